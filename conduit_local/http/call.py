"""What a handler gets."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from aiohttp import web

from conduit_local.core.errors import InvalidRequest, KeysDiffer, UnsupportedMediaType
from conduit_local.core.keys import Principal
from conduit_local.core.problems import Problem, refusal
from conduit_local.http.body import BodyReader
from conduit_local.http.proxies import Proxies

_NONE: Mapping[str, str] = MappingProxyType({})


class Call:
    """One request on its way through a handler."""

    __slots__ = ("_bodies", "_proxies", "answer_headers", "params", "principal", "request")

    def __init__(
        self,
        request: web.BaseRequest,
        params: Mapping[str, str],
        principal: Principal,
        bodies: BodyReader,
        proxies: Proxies,
    ) -> None:
        self.request = request
        self.params = params
        self.principal = principal
        self.answer_headers = _NONE
        """Headers for whatever becomes the answer, a refusal too."""
        self._bodies = bodies
        self._proxies = proxies

    async def body(self, limit_bytes: int) -> bytes:
        """
        The body, decoded.

        Raises: BodyTooLarge past `limit_bytes` decoded bytes; UnsupportedEncoding; InvalidRequest when it is cut short
        or not what its encoding says; BodyTooSlow.
        """
        return await self._bodies.read(self.request, limit_bytes)

    async def optional_body(self, limit_bytes: int, types: Collection[str]) -> bytes:
        """
        The body where the route can do without one; what is sent must be of one of `types`.

        Raises: as `body`; UnsupportedMediaType.
        """
        body = await self.body(limit_bytes)
        if body:
            self.require_type(types)
        return body

    def require_type(self, types: Collection[str]) -> None:
        """Raises: UnsupportedMediaType unless the `Content-Type` is one of `types`, in any case, with any parameter."""
        given = self.request.headers.get("Content-Type", "")
        if given in types:
            return
        kind = given.partition(";")[0].strip().lower()
        if kind not in types:
            shown = f"not {kind[:60]!r}" if kind else "and it is missing"
            raise UnsupportedMediaType(f"the Content-Type must be {' or '.join(types)}, {shown}")

    def client_address(self) -> str | None:
        """The client's address: of the connection, or what a trusted proxy says it is (S3.10)."""
        return self._proxies.client_of(self.request.remote, self.request.headers.getall("X-Forwarded-For", []))

    def if_match(self) -> str | None:
        """The `If-Match` header; several are one list."""
        found = self.request.headers.getall("If-Match", [])
        return ",".join(found) if found else None

    def idempotency_key(self, in_body: str | None = None) -> str | None:
        """
        The request's idempotency key: of the body, `Idempotency-Key` or `X-Idempotency-Key`.

        Raises: KeysDiffer when two of them differ.
        """
        headers = self.request.headers
        found = in_body
        for name in ("Idempotency-Key", "X-Idempotency-Key"):
            given = headers.get(name)
            if given is not None:
                if found is not None and found != given:
                    raise KeysDiffer("the request carries two different idempotency keys; send one")
                found = given
        return found

    def text(self, name: str) -> str | None:
        """A query parameter, or None. Raises: InvalidRequest when it is given twice."""
        values = self.request.query.getall(name, [])
        if len(values) > 1:
            raise _invalid(name, "is given more than once")
        return values[0] if values else None

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number out of the query. Raises: InvalidRequest when it is none, or out of range."""
        text = self.text(name)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or len(text) > 18 or not least <= int(text) <= most:
            raise _invalid(name, f"must be a whole number from {least} to {most}, not {text[:40]!r}")
        return int(text)


def _invalid(name: str, message: str) -> InvalidRequest:
    return refusal([Problem(path=(name,), message=message)])
