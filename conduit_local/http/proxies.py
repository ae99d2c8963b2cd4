"""Whose word on the client's address counts."""

import ipaddress
from collections.abc import Iterable, Sequence

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """`X-Forwarded-For` is believed from the right, as far as each hop is a trusted proxy (S3.10)."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: tuple[_Network, ...] = tuple(ipaddress.ip_network(network) for network in trusted)

    def client_of(self, remote: str | None, forwarded: Sequence[str]) -> str | None:
        """
        The client's address, given that of the connection and the `X-Forwarded-For` headers.

        What is not an address ends the chain: the last hop that can be believed is then the client.
        """
        client = _plain(remote)
        if not self._trusted or not forwarded or not self._trusts(client):
            return client
        for hop in reversed(",".join(forwarded).split(",")):
            address = _plain(hop.strip())
            if address is None:
                return client
            client = address
            if not self._trusts(address):
                return client
        return client

    def _trusts(self, address: str | None) -> bool:
        if address is None:
            return False
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self._trusted)


def _plain(text: str | None) -> str | None:
    """An address in its usual form, without port, or None."""
    if text is None:
        return None
    text = text.strip()
    if text.startswith("["):
        text, closed, _ = text[1:].partition("]")
        if not closed:
            return None
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)
