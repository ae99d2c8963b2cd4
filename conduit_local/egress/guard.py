"""
Which addresses may be reached.

The internet may. Private networks only where the settings name them, loopback only while the appliance itself is on
loopback or where a network within loopback is named, and link-local and cloud metadata addresses only where a network
as narrow as a subnet of theirs is: a generous `0.0.0.0/0` is not meant for them.
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

MAX_URL = 2_048

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DELICATE: tuple[_Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",
            "::/128",
            "fe80::/10",
            "fd00:ec2::254/128",  # Amazon
            "fd20:ce::254/128",  # Google
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure, out of its public range
            "192.0.0.192/32",  # Oracle
        ),
    )
)
_NARROW = {4: 24, 6: 64}
_INTERNET = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("0.0.0.0/0")
_NOT_INTERNET: tuple[_Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
        ),
    )
)
"""IANA's special-purpose registries, 2025; written down because the standard library's changes with its version."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMERIC_END = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)$")


class UrlRefused(ValueError):
    """The URL cannot be called, or may not be: the message says why, and what would allow it."""


class Guard:
    """Decides about URLs and addresses. Whatever resolves to a refused address is refused, when it is connected to."""

    def __init__(self, allowed_networks: Iterable[str], *, loopback: bool) -> None:
        """`allowed_networks` as in `10.0.0.0/8`. Raises: ValueError for what is no network."""
        self._allowed: tuple[_Network, ...] = tuple(map(ipaddress.ip_network, allowed_networks))
        self._loopback = loopback

    def check_address(self, address: str) -> None:
        """Raises: UrlRefused unless this IP address may be reached."""
        try:
            ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
        except ValueError:
            raise UrlRefused(f"{address[:60]!r} is not an IP address") from None
        named = [network for network in self._allowed if ip in network]
        if any(ip in network for network in _DELICATE):
            if not any(network.prefixlen >= _NARROW[network.version] for network in named):
                raise UrlRefused(f"{ip} is an unspecified, link-local or metadata address")
            return
        if ip.is_loopback:
            if not self._loopback and not any(network.is_loopback for network in named):
                raise UrlRefused(f"{ip} is this machine itself, and the appliance listens beyond it")
            return
        if named:
            return
        if not any(ip in network for network in _INTERNET) or any(ip in network for network in _NOT_INTERNET):
            raise UrlRefused(f"{ip} is in a private or reserved network; name it under `allowed_networks` to allow it")

    def check_url(self, url: str) -> None:
        """Raises: UrlRefused unless `url` may be called, as far as that shows without asking the network."""
        host = host_of(url)
        if host == "localhost" or host.endswith(".localhost"):
            self.check_address("127.0.0.1")
        elif ":" in host or _NUMERIC_END.search(host):
            self.check_address(host)

    def socket_factory(self, found: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
        """
        A socket to connect with: asked with the very address that is connected to, so that a name which resolves to
        something else by now gets nowhere.

        Raises: OSError (EACCES).
        """
        family, kind, protocol, _, address = found
        try:
            self.check_address(str(address[0]))
        except UrlRefused as error:
            raise OSError(errno.EACCES, f"refused: {error}") from error
        return socket.socket(family, kind, protocol)


def host_of(url: str) -> str:
    """The host in `url`, in lowercase, without a final dot. Raises: UrlRefused unless the URL can be called at all."""
    if len(url) > MAX_URL:
        raise UrlRefused(f"must have at most {MAX_URL:,} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise UrlRefused("must be plain ASCII without spaces, backslashes or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UrlRefused(f"is not a URL: {error}") from None
    if parts.scheme not in {"http", "https"}:
        raise UrlRefused("must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise UrlRefused("must not carry a user name or password")
    if not host or port == 0:
        raise UrlRefused("must name a host, and no port 0")
    host = host.removesuffix(".")
    if ":" in host or "[" in parts.netloc:
        return _literal(host)
    if not _NAME.fullmatch(host) or len(host) > 253:
        raise UrlRefused(f"{host[:60]!r} is not a host name")
    return _literal(host) if _NUMERIC_END.search(host) else host


def _literal(host: str) -> str:
    """An address as it is written; spellings that only some resolvers read as one are refused."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise UrlRefused(f"{host[:60]!r} is neither a host name nor an address in its usual form") from None


def _plain(ip: _Address) -> _Address:
    """The IPv4 address inside an IPv6 one that stands for it."""
    if not isinstance(ip, ipaddress.IPv6Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    teredo = ip.teredo
    return ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else ip)
