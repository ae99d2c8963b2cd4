"""One HTTP exchange on `http.client`: the CLI starts in a tenth of the time that aiohttp takes to import."""

import http.client
import json
import math
import select
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from conduit_local.client.errors import Refusal, Unreachable

_PIECE_BYTES = 1 << 20
_MAX_DIGITS = 4_300  # Python neither reads nor prints a longer whole number


class Headers(Protocol):
    """The headers of an answer, whoever read them."""

    def get(self, name: str, /) -> str | None:
        """One header, its name in any case."""
        ...


class Wire:
    """A connection to one appliance, kept open between requests. Not for several threads at once."""

    def __init__(self, url: str, key: str | None, timeout_s: float = 30.0) -> None:
        self.url = (url if "//" in url else f"http://{url}").rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._kept: http.client.HTTPConnection | None = None
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or parts.scheme not in {"http", "https"}:
            raise Unreachable(f"{url!r} is not the URL of an appliance; it looks like http://127.0.0.1:8642")
        self._https = parts.scheme == "https"
        self._host, self._port = host, port
        self._path = parts.path.rstrip("/")

    def close(self) -> None:
        """Let go of the connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """
        Send a request, return the JSON of its answer. `body` is sent as JSON, bytes as they are.

        A kept connection that the other side closed in the meantime is opened again, before anything is sent.
        Raises: Unreachable, Refusal.
        """
        response = self._exchange(method, path, body, query, headers)
        try:
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self.url} was cut off: {error}") from error
        if response.will_close:
            self.close()
        return value_of(self.url, response.status, response.reason, response.headers, content)

    def listen(self, path: str, query: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
        """
        Server-sent events of `path`: name and value, until the other side ends them. Raises: Unreachable, Refusal.
        """
        response = self._exchange("GET", path, None, query, {"Accept": "text/event-stream"})
        if response.status != 200:
            value_of(self.url, response.status, response.reason, response.headers, response.read())
        name, data, rest = "", "", b""
        try:
            while block := response.read1(65_536):  # not by lines: `readline` takes a cut for an end
                *lines, rest = (rest + block).split(b"\n")
                for line in (raw.decode("utf-8", "replace").rstrip("\r") for raw in lines):
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        data += line[6:]
                    elif not line and data:
                        yield name, _read(data)
                        name, data = "", ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url} was cut off: {error}") from error
        finally:
            response.close()
            self.close()

    def lines(self, path: str, query: Mapping[str, object]) -> Iterator[Any]:
        """
        The JSON of each line of `path`, as they come; a cut is none of its ends. Raises: Unreachable, Refusal.
        """
        response = self._exchange("GET", path, None, query, {"Accept": "application/x-ndjson"})
        if response.status != 200:
            value_of(self.url, response.status, response.reason, response.headers, response.read())
        rest = b""
        try:
            while block := response.read1(65_536):
                *lines, rest = (rest + block).split(b"\n")
                yield from map(_read, lines)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url} was cut off: {error}") from error
        finally:
            response.close()
            self.close()

    def download(self, path: str) -> "Download":
        """A file: close it. Raises: Unreachable, Refusal."""
        response = self._exchange("GET", path, None, None, {"Accept": "*/*"})
        if response.status != 200:
            try:
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise Unreachable(f"{self.url} was cut off: {error}") from error
            value_of(self.url, response.status, response.reason, response.headers, content)
        return Download(self, response)

    def _exchange(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
    ) -> http.client.HTTPResponse:
        target = self._path + with_query(path, query)
        sent = {"Accept": "application/json", **(headers or {})}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        encoded = {name: header_value(name, value) for name, value in sent.items()}
        fresh = self._kept is None
        try:
            connection = self._connection()
            try:
                connection.request(method, target, content, encoded)
                return connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh or method == "POST":
                    raise
                connection = self._connection()
                connection.request(method, target, content, encoded)
                return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"no appliance answers at {self.url}: {error}") from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._kept is not None and _was_closed(self._kept):
            self.close()
        if self._kept is None:
            kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
            self._kept = kind(self._host, self._port, timeout=self._timeout_s)
        return self._kept


class Download:
    """A file on its way: its name, and its bytes in pieces."""

    def __init__(self, wire: Wire, response: http.client.HTTPResponse) -> None:
        self._wire = wire
        self._response = response
        self.name = response.headers.get_filename() or "download"
        """What the appliance calls it."""

    def __iter__(self) -> Iterator[bytes]:
        """All of it, or: Unreachable."""
        try:
            while piece := self._response.read(_PIECE_BYTES):
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self._wire.url} was cut off: {error}") from error
        if self._response.length:
            raise Unreachable(f"{self._wire.url} was cut off: {self._response.length:,} bytes lack")

    def close(self) -> None:
        """Let go of it."""
        self._response.close()
        self._wire.close()


def with_query(path: str, query: Mapping[str, object] | None) -> str:
    """`path` with the parameters of `query` that are not None."""
    wanted = {name: str(value) for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(wanted, errors='surrogateescape')}" if wanted else path


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="", errors="surrogateescape")


def header_value(name: str, value: str) -> bytes:
    """A header as it is sent. Raises: Refusal where it holds what no header can, a line break above all."""
    if any(char < " " or char == "\x7f" for char in value):
        message = f"the header {name} cannot hold a line break or another control character"
        raise Refusal(400, "invalid_request", message, {}, None)
    return value.encode("utf-8", "surrogateescape")


def value_of(url: str, status: int, reason: str | None, headers: Headers, content: bytes) -> Any:
    """
    The JSON object of an answer.

    Raises: Refusal for an error; Unreachable where what answers is no appliance.
    """
    try:
        value = _read(content)
    except (ValueError, RecursionError):
        value = None
    if 200 <= status < 300:
        if not isinstance(value, dict):
            raise Unreachable(f"what answers at {url} is no appliance")
        return value
    error = value.get("error") if isinstance(value, dict) else None
    said = error if isinstance(error, dict) else {}
    details = said.get("details")
    retry_after = headers.get("Retry-After") or ""
    raise Refusal(
        status,
        str(said.get("code", "error")),
        str(said.get("message") or reason or f"status {status}"),
        {str(name): str(text) for name, text in details.items()} if isinstance(details, dict) else {},
        int(retry_after) if retry_after.isascii() and retry_after.isdecimal() else None,
    )


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    """Whether the other side closed a connection that waits for its next request: it is readable then."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _read(content: str | bytes) -> Any:
    """JSON; a number that Python cannot hold (1e999, 5,000 digits) comes as its text."""
    return json.loads(content, parse_int=_whole, parse_float=_fraction)


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_DIGITS else text


def _fraction(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text
