"""Where a request comes from, by the rules that all middlewares share: its id, its client's address and program."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias

from uuid_utils import uuid7

from ..context import get_scope
from ..errors import ConfigurationError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Headers: TypeAlias = Callable[[str], list[str]]
"""What the request says under a header's name in lower case: nothing, a value, or one for each line of that name."""

# No space, quote, comma or control character: the id goes back into a header, and into people's shells and searches.
_REQUEST_ID = re.compile(r"(?!(?:-|none|null)\Z)[A-Za-z0-9._:/+=@-]{1,128}", re.IGNORECASE | re.ASCII)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WITH_PORT = re.compile(r"\[([^]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")


class OriginRules:
    """
    The parameters of a middleware, and what they make of its requests.

    :raises ConfigurationError: *header* is no header name, or one of *trusted_proxies* no address or network.
    """

    def __init__(self, header: str | None, trusted_proxies: Iterable[str]) -> None:
        if header is not None and not (isinstance(header, str) and _HEADER_NAME.fullmatch(header)):
            raise ConfigurationError(f"header {header!r} is no HTTP header name: write something like 'X-Request-ID'")
        self.header = header
        self._proxies = _parse_proxies(trusted_proxies)

    def fields(self, headers: Headers, peer: object) -> dict[str, str]:
        """Return what the events of a request share; *peer* is the server's word for who sent it."""
        fields = {}
        if self.header is not None:
            # Inside of another middleware of ours the request has its id, which goes back to the client.
            around = (get_scope().request or {}).get("request_id")
            fields["request_id"] = around or _request_id(headers(self.header.lower()))
        if client := self._client(headers, peer):
            fields["source_ip"] = str(client)
        if user_agent := " ".join(headers("user-agent")):
            fields["user_agent"] = user_agent
        return fields

    def _client(self, headers: Headers, peer: object) -> Address | None:
        """Walk from the peer towards the client for as long as a trusted proxy tells who came before it."""
        client = _parse_address(str(peer))
        hops = [hop.strip() for line in headers("x-forwarded-for") for hop in line.split(",")]
        for hop in reversed([hop for hop in hops if hop]):
            if client is None or not any(client in network for network in self._proxies):
                break
            before = _parse_address(hop)
            if before is None:
                break
            client = before
        return client


def environ_values(environ: Mapping[str, Any], name: str) -> list[str]:
    """Return what *environ*, of WSGI (PEP 3333) or as Django makes one, has of the header *name*."""
    # The server has joined the lines of one name with commas.
    value = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
    return [] if value is None else [value]


def _request_id(values: list[str]) -> str:
    # Two ids in one request: whichever we took, another log would show the other one.
    if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]):
        return values[0]
    return str(uuid7())


def _parse_proxies(proxies: Iterable[str]) -> tuple[Network, ...]:
    if isinstance(proxies, str):
        raise ConfigurationError(f"trusted_proxies is a single string: write a list, [{proxies!r}]")
    if not isinstance(proxies, Iterable):
        raise ConfigurationError(f"trusted_proxies must be a list of addresses and networks, not {proxies!r}")
    return tuple(_parse_proxy(proxy) for proxy in proxies)


def _parse_proxy(proxy: str) -> Network:
    try:
        # As text: ip_network would take a number for an address.
        return ip_network(str(proxy))
    except ValueError as error:
        raise ConfigurationError(
            f"trusted_proxies: {error}; write the addresses or networks of your own proxies, such as '10.0.0.0/8'"
        ) from None


def _parse_address(text: str) -> Address | None:
    """Return the address in *text*, with or without a port, or None: also for a socket's path or a zoned address."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    with suppress(ValueError):
        address = ip_address(text)
        if isinstance(address, IPv4Address):
            return address
        # A dual-stack socket shows IPv4 peers as ::ffff:192.0.2.1, which is in none of the networks people write.
        # PostgreSQL's inet has no place for a zone.
        return address.ipv4_mapped or (None if address.scope_id else address)
    return None
