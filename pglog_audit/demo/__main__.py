"""``python -m pglog_audit.demo``: serve the site on a free port of 127.0.0.1 and print its number."""

import os
import signal
import socket
import threading

import uvicorn

from .site import create_app


def main() -> None:
    """Serve until SIGTERM, or until the program that holds our standard input is gone."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(create_app(), log_config=None)).run(sockets=[listener])


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin: its lock, held at exit by a daemon thread, is a fatal error
    signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
