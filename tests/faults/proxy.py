"""A network between writer and server that fails as networks do."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from selectors import EVENT_READ, DefaultSelector
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 8192


class Proxy:
    """
    Pass TCP connections on to the server's socket, on a thread of its own, until told otherwise.

    :param path: of the server's Unix socket, where it asks for no password.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = DefaultSelector()
        self._selector.register(self._listener, EVENT_READ)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._commands: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy")
        self._heal()
        self.resets = 0
        """Connections that were reset."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._thread.join()
        for one in (self._listener, *self._peers):
            one.close()
        self._selector.close()

    def conninfo(self, conninfo: str) -> str:
        """Return how to connect through this proxy rather than as *conninfo* says."""
        host, port = self._listener.getsockname()
        there = {"host": host, "port": port, "sslmode": "disable", "gssencmode": "disable"}
        return make_conninfo(**{**conninfo_to_dict(conninfo), **there})

    def lose_replies(self) -> None:
        """From now on drop what the server says."""
        self._commands.put(lambda: setattr(self, "_drops_replies", True))

    def garble_reply(self) -> None:
        """Let the next thing that the server says be no message of its protocol."""
        self._commands.put(lambda: setattr(self, "_garbles_reply", True))

    def stop_reading(self) -> None:
        """From now on take nothing from anybody, and answer nobody: a black hole."""
        self._commands.put(lambda: setattr(self, "_is_black_hole", True))

    def slow_down(self, bytes_per_second: int, delay: float = 0.05) -> None:
        """From now on pass the clients' bytes on at that speed, what makes up *delay* seconds in one go."""
        self._commands.put(lambda: self._set_speed(bytes_per_second, delay))

    def reset(self, after: int = 0) -> None:
        """Reset all connections when clients have sent *after* bytes more."""
        self._commands.put(lambda: setattr(self, "_resets_after", after))

    def heal(self) -> None:
        """Pass on everything again."""
        self._commands.put(self._heal)

    def _set_speed(self, bytes_per_second: int, delay: float) -> None:
        self._speed, self._delay = bytes_per_second, delay

    def _heal(self) -> None:
        self._drops_replies = self._is_black_hole = self._garbles_reply = False
        self._set_speed(0, 0.0)
        self._resets_after: int | None = None

    # The thread

    def _run(self) -> None:
        while not self._closing.is_set():
            with suppress(Empty):
                self._commands.get(block=False)()
            if self._resets_after == 0:
                self._reset_all()
            if self._is_black_hole:
                self._closing.wait(0.01)
            else:
                self._pass_on()

    def _pass_on(self) -> None:
        for key, _ in self._selector.select(0.01):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj in self._peers:  # it may have ended with its peer, a moment ago
                assert isinstance(key.fileobj, socket.socket)
                self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._path)
        except OSError:
            client.close()
            server.close()
            return
        self._clients.add(client)
        for one, other in ((client, server), (server, client)):
            self._peers[one] = other
            self._selector.register(one, EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        target = self._peers[source]
        try:
            data = source.recv(self._allowance(source))
            if self._garbles_reply and source not in self._clients:
                data, self._garbles_reply = b"\0" * len(data), False
            if data and not (self._drops_replies and source not in self._clients):
                target.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._end(source)
        elif source in self._clients and self._resets_after is not None:
            self._resets_after -= len(data)

    def _allowance(self, source: socket.socket) -> int:
        if source not in self._clients:
            return _CHUNK
        if self._speed:
            self._closing.wait(self._delay)
            return max(1, int(self._speed * self._delay))
        return min(_CHUNK, self._resets_after or _CHUNK)

    def _end(self, one: socket.socket) -> None:
        for each in (one, self._peers[one]):
            self._selector.unregister(each)
            del self._peers[each]
            self._clients.discard(each)
            each.close()

    def _reset_all(self) -> None:
        self._resets_after = None
        for client in list(self._clients):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._end(client)
            self.resets += 1
