"""One HTTP exchange on `http.client`: the CLI starts in a tenth of the time that aiohttp takes to import."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from conduit_local.client.errors import Refusal, Unreachable


class Wire:
    """A connection to one appliance, kept open between requests. Not for several threads at once."""

    def __init__(self, url: str, key: str | None, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._kept: http.client.HTTPConnection | None = None
        parts = urlsplit(self.url if "//" in self.url else f"http://{self.url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"{url!r} is not the URL of an appliance; it looks like http://127.0.0.1:8642")
        self._https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
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

        A kept connection that the other side closed in the meantime is opened again once, before anything was sent.
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
        return _value(response, content)

    def listen(self, path: str, query: Mapping[str, object]) -> Iterator[tuple[str, Any]]:
        """
        Server-sent events of `path`: name and value, until the other side ends them. Raises: Unreachable, Refusal.
        """
        response = self._exchange("GET", path, None, query, {"Accept": "text/event-stream"})
        if response.status != 200:
            _value(response, response.read())
        name, data = "", ""
        try:
            for raw in response:
                line = raw.decode("utf-8", "replace").rstrip("\r\n")
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data += line[6:]
                elif not line and data:
                    yield name, json.loads(data)
                    name, data = "", ""
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.url} was cut off: {error}") from error
        finally:
            response.close()
            self.close()

    def _exchange(
        self,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
    ) -> http.client.HTTPResponse:
        wanted = {name: str(value) for name, value in (query or {}).items() if value is not None}
        target = self._path + path + (f"?{urlencode(wanted)}" if wanted else "")
        sent = {"Accept": "application/json", **(headers or {})}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key}"
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        fresh = self._kept is None
        try:
            connection = self._connection()
            try:
                connection.request(method, target, content, sent)
                return connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if fresh or method == "POST":
                    raise
                connection = self._connection()
                connection.request(method, target, content, sent)
                return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"no appliance answers at {self.url}: {error}") from error

    def _connection(self) -> http.client.HTTPConnection:
        if self._kept is None:
            kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
            self._kept = kind(self._host, self._port, timeout=self._timeout_s)
        return self._kept


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


def _value(response: http.client.HTTPResponse, content: bytes) -> Any:
    try:
        value = json.loads(content) if content else None
    except ValueError:
        value = None
    if 200 <= response.status < 300:
        return value
    error = value.get("error") if isinstance(value, dict) else None
    said = error if isinstance(error, dict) else {}
    retry_after = response.headers.get("Retry-After", "")
    raise Refusal(
        response.status,
        str(said.get("code", "error")),
        str(said.get("message", response.reason)),
        {str(name): str(text) for name, text in said.get("details", {}).items()},
        int(retry_after) if retry_after.isdigit() else None,
    )
