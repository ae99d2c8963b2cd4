"""
botocore's requests on their way: urllib3, over sockets of which the guard has seen the address.

A name is resolved once, each of its addresses is shown to the guard (`names`), and one of these very addresses is
connected to: a name that stands for something else a moment later leads nowhere (fault 17). A redirect is an answer
like any other, no proxy is used, nothing is sent twice, and a server that sends a byte a minute is not waited for.
"""

import http.client
import importlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from conduit_local.core.plain import plain, shorten
from conduit_local.destinations.s3.failures import Failure, of_network
from conduit_local.destinations.s3.names import Names
from conduit_local.destinations.s3.spec import S3Spec

_STEP_BYTES = 65_536
_ANSWER_BYTES = 8 * 1024**2
"""A page of a thousand keys has at most 4 MiB."""
_KEPT = 16
"""More connections than this are not kept for the next request."""


class Line(socket.socket):
    """A connection whose time-out is for all that is read from then on, up to 64 KiB; then it begins anew."""

    _timeout_s: float | None = None
    _until_s = 0.0
    _left_bytes = 0

    def settimeout(self, value: float | None) -> None:
        """`socket.settimeout`."""
        self._timeout_s = value
        self._until_s = time.monotonic() + (value or 0)
        self._left_bytes = _STEP_BYTES
        super().settimeout(value)

    def recv_into(self, *args: Any) -> int:
        """`socket.recv_into`."""
        if self._left_bytes <= 0:
            self.settimeout(self._timeout_s)
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        super().settimeout(left_s)
        count = super().recv_into(*args)
        self._left_bytes -= count
        return count


class Lines:
    """The connections there are. For threads; `cut` ends them all, for good."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._open: WeakSet[Line] = WeakSet()
        self._is_cut = False

    def cut(self) -> None:
        """End them, in whatever thread they are used; none is made any more."""
        with self._lock:
            self._is_cut = True
            for line in self._open:
                with suppress(OSError):  # it is not connected yet, or not any more
                    socket.socket.shutdown(line, socket.SHUT_RDWR)  # TLS' own would take the session from its reader

    def keep(self, line: Line) -> None:
        """Count it among those that `cut` ends. Raises: OSError."""
        with self._lock:
            if self._is_cut:
                raise OSError("the destination is closed")
            self._open.add(line)

    def connected(self, host: str, port: int, timeout_s: float) -> Line:
        """One to the first address of the host that answers. Raises: Failure, OSError."""
        failed = OSError(f"{host} has no address")
        try:
            addresses = self._names.addresses(host, port, timeout_s)
        except OSError as error:
            raise _unsent(host, port, error) from error
        for address in addresses:
            line = Line(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                self.keep(line)
                line.settimeout(timeout_s)
                line.connect((address, port))
                line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                line.close()
                failed = error
            else:
                return line
        raise _unsent(host, port, failed) from failed


def _unsent(host: str, port: int, error: OSError) -> Failure:
    said = shorten(plain(error.strerror or str(error) or type(error).__name__), 200)
    return Failure(f"{host}:{port} cannot be reached: {said}", unsent=True)


def _pools(lines: Lines, timeout_s: float) -> dict[str, Any]:
    """urllib3's pools by scheme, of connections that are made by `lines`."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Line:
            return lines.connected(self._dns_host, self.port, timeout_s)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> Line:
            return lines.connected(self._dns_host, self.port, timeout_s)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _context(lines: Lines, ca_file: str | None) -> ssl.SSLContext:
    """TLS over lines. Raises: Failure."""

    class SecureLine(Line, ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            lines.keep(self)
            super().do_handshake(block)

    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        reason = f"ca_file {ca_file} cannot be used: {error.strerror or type(error).__name__}"
        raise Failure(reason, needs_person=True) from error
    context.sslsocket_class = SecureLine
    return context


class Sending:
    """Sends botocore's requests, instead of botocore. For threads."""

    def __init__(self, spec: S3Spec, names: Names) -> None:
        """Raises: Failure, when there is nothing in `ca_file` to trust."""
        self._timeout_s = spec.timeout
        self._lines = Lines(names)
        is_plain = spec.endpoint_url is not None and spec.endpoint_url.startswith("http:")
        self._answer = importlib.import_module("botocore.awsrequest").AWSResponse
        self._manager = urllib3.PoolManager(
            maxsize=_KEPT,
            timeout=spec.timeout,
            blocksize=_STEP_BYTES,
            ssl_context=None if is_plain else _context(self._lines, spec.ca_file),
        )
        self._manager.pool_classes_by_scheme = _pools(self._lines, spec.timeout)

    def send(self, request: Any, **_: Any) -> Any:
        """
        What `before-send` is answered with: a response, its body read unless it is asked for in pieces.

        Raises: Failure, with no status: it may have been done, or not. The body's `read` raises it too.
        """
        parts = urlsplit(request.url)
        with _worded(self._timeout_s):
            raw = self._manager.connection_from_url(request.url).urlopen(
                request.method,
                f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/",
                request.body,
                request.headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
        answer = self._answer(request.url, raw.status, raw.headers, _Body(raw, self._timeout_s))
        if not request.stream_output or raw.status >= http.client.MULTIPLE_CHOICES:
            answer.content  # noqa: B018 - is read here, once for all
        return answer

    def cut(self) -> None:
        """End what is under way, in whatever thread; what is asked for later fails."""
        self._lines.cut()
        self._manager.clear()


class _Body:
    """An answer's body, as botocore reads it."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, timeout_s: float) -> None:
        self._raw = raw
        self._timeout_s = timeout_s

    def read(self, amt: int | None = None) -> bytes:
        with _worded(self._timeout_s):
            return self._raw.read(amt)

    def stream(self) -> Iterator[bytes]:
        found = self.read(_ANSWER_BYTES + 1)
        if len(found) > _ANSWER_BYTES:
            self.close()
            raise Failure("the answer has more than 8 MiB")
        yield b"" if b"<!DOCTYPE" in found else found  # no S3 server declares anything: entities could grow

    def close(self) -> None:
        self._raw.close()


@contextmanager
def _worded(timeout_s: float) -> Iterator[None]:
    """Raises: Failure instead of what urllib3 raises."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
        raise of_network(_cause(error), timeout_s) from error


def _cause(error: Exception) -> Exception:
    """What urllib3 has wrapped up."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return TimeoutError()
    is_wrapped = isinstance(error, urllib3.exceptions.ProtocolError | urllib3.exceptions.SSLError)
    inner = error.args[-1] if is_wrapped else None
    return inner if isinstance(inner, Exception) else error
