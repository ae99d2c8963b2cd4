"""
Host and Origin: a web page must not reach the appliance through its visitor's browser (fault 18).

A page on another site can make a browser send requests to `localhost`, and can rebind its own name to this machine.
The first shows in `Origin`, the second in `Host`.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from conduit_local.core.errors import Forbidden, HeaderMismatch

_REMEMBERED = 256


class Guards:
    """
    Checks both headers.

    An address (`127.0.0.1`, `[::1]`, `192.168.1.7`) cannot be rebound and always passes; a name passes when it is
    `localhost`, this machine's, the one that is listened on, or named in the settings.
    """

    def __init__(self, bound_to: str, allowed: Iterable[str]) -> None:
        names = {"localhost", bound_to, socket.gethostname(), *allowed}
        self._names = {name.lower().rstrip(".") for name in names}
        self._any = "*" in self._names
        self._passed: set[str] = set()

    def check_host(self, host: str | None) -> None:
        """Raises: HeaderMismatch for a name that is not ours. HTTP/1.0 without a Host passes: no browser sends that."""
        if host is None or host in self._passed or self._any:
            return
        if not self._ours(f"//{host}"):
            raise HeaderMismatch(
                f"the Host {host[:100]!r} is not served here; add it to `allowed_hosts` in the settings"
            )
        if len(self._passed) < _REMEMBERED:
            self._passed.add(host)

    @staticmethod
    def check_origin(origin: str, host: str | None) -> None:
        """Raises: Forbidden for a page that did not come from here."""
        if host is None or origin.lower() not in {f"http://{host.lower()}", f"https://{host.lower()}"}:
            raise Forbidden(f"a page from {origin[:100]!r} may not call this appliance")

    def _ours(self, url: str) -> bool:
        try:
            name = (urlsplit(url).hostname or "").rstrip(".")
        except ValueError:
            return False
        if name in self._names or name.endswith(".localhost") or self._any:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
