"""
Paged JSON over GET: each record is taken once, whatever stops in between on either side.

A look reads some pages. What it brought is kept with the place it got to, so a page that fails costs that page only.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from conduit_local.core.fetching import Fetched, Fetcher, FetchRefused
from conduit_local.core.headers import check_header
from conduit_local.core.plain import plain, shorten
from conduit_local.core.ports import Clock, SendFailed
from conduit_local.core.pulling import Pulled, SourceFailed
from conduit_local.core.strict import NotJson, check_json
from conduit_local.core.variables import with_variables
from conduit_local.formats.json_document import elements
from conduit_local.sources.events import Look, type_out_of
from conduit_local.sources.http_spec import HttpSpec
from conduit_local.sources.paging import PageReader, Position, TooManyAlike, Value, same_value

MAX_BODY_BYTES = 16 * 1024**2
MAX_PAGE_RECORDS = 10_000
_MOST_PAGES = 10
"""In one look: what was fetched is not kept before its end."""
_PASSING = {408, 425, 429}
_NAME_OF_VALUE = "value"


class HttpSource:
    """`Source` of a server's JSON."""

    def __init__(
        self,
        spec: HttpSpec,
        fetcher: Fetcher,
        threads: ThreadPoolExecutor,
        clock: Clock,
        variables: Mapping[str, str],
    ) -> None:
        """Raises: VariableMissing; ValueError for a header that cannot be sent."""
        self._spec = spec
        self._fetcher = fetcher
        self._threads = threads
        self._clock = clock
        self._url = with_variables(spec.url, variables)
        self._params = {name: with_variables(value, variables) for name, value in spec.params.value.items()}
        self._headers = {name: with_variables(value, variables) for name, value in spec.headers.value.items()}
        for name, value in self._headers.items():
            check_header(name, value)
        self._shown = plain(self._url.partition("?")[0].partition("#")[0])
        self._type = type_out_of((urlsplit(self._url).path.rstrip("/").rpartition("/")[2]) or "record")

    async def pull(self, cursor: str | None, most: int) -> Pulled:
        """`Source.pull`."""
        position = Position.out_of(cursor)
        look = Look(self._spec, most)
        more = False
        for _ in range(_MOST_PAGES):
            try:
                more = await self._next_page(position, look)
            except SourceFailed:
                if look.state == (0, 0, 0):
                    raise
                more = True  # what was brought is kept first; the next look meets the same failure
                break
            if not more or look.full:
                break
        return Pulled(events=look.events, cursor=position.text(), poison=look.poison, more=more)

    async def wait(self) -> None:
        """`Source.wait`."""
        await self._clock.wait(None, self._spec.every)

    async def close(self) -> None:
        """`Source.close`: nothing is held."""

    async def _next_page(self, position: Position, look: Look) -> bool:
        """Take what is new on the page in hand, and move on where it ends. Returns whether there is more at once."""
        answer = await self._fetch(position.page, position.since)
        loop = asyncio.get_running_loop()
        if answer is None:
            if self._spec.since is not None:
                position.end_sweep()
            return False
        count, whole = await loop.run_in_executor(self._threads, self._take, answer.body, position, look)
        if not whole:
            return True
        following = self._following(answer, position.page, count)
        if following is not None and count and self._spec.page is not None and self._spec.page.size is None:
            ahead = await self._fetch(following, position.since)  # is there such a page already?
            if ahead is None or not await loop.run_in_executor(self._threads, self._count, ahead.body):
                following = None
        if following is not None:
            position.move_to(following, overlapping=self._spec.id_field is not None)
            if count:
                return True
        if self._spec.since is not None:
            position.end_sweep()
        return False

    def _following(self, answer: Fetched, page: str | None, count: int) -> str | None:
        """The page that follows, or None where the list ends. Raises: SourceFailed."""
        spec = self._spec
        if spec.cursor is not None:
            value = same_value(_value_at(answer.body, spec.cursor.next))
            found = None if value is None else str(value)
        elif spec.page is not None:
            full = count > 0 if spec.page.size is None else count >= spec.page.size
            found = str(int(page or spec.page.start) + 1) if full else None
        elif spec.link and answer.next_url is not None:
            if _server_of(answer.next_url) != _server_of(self._url):
                raise self._failed("its next page is on another server", needs_person=True)
            found = _without(answer.next_url, self._params)
        else:
            found = None
        return None if found == page else found

    async def _fetch(self, page: str | None, since: Value | None) -> Fetched | None:
        """A page; None where a numbered one is not there (yet). Raises: SourceFailed."""
        spec = self._spec
        url, given = self._url, dict(self._params)
        if page is not None and spec.link:
            url = page
        else:
            if spec.cursor is not None and page is not None:
                given[spec.cursor.param] = page
            if spec.page is not None:
                given[spec.page.param] = page or str(spec.page.start)
                if spec.page.size_param is not None and spec.page.size is not None:
                    given[spec.page.size_param] = str(spec.page.size)
            if spec.since is not None and spec.since.param is not None and since is not None:
                given[spec.since.param] = str(since)
        try:
            answer = await self._fetcher.get(_with(url, given), self._headers, spec.timeout, MAX_BODY_BYTES)
        except FetchRefused as error:
            raise SourceFailed(error.message, needs_person=True) from error
        except SendFailed as error:
            raise SourceFailed(error.message) from error
        if answer.status == 404 and spec.page is not None and page not in {None, str(spec.page.start)}:
            return None
        if answer.status != 200:
            raise self._answered(answer)
        return answer

    def _answered(self, answer: Fetched) -> SourceFailed:
        """What a status other than 200 means."""
        status = answer.status
        if 300 <= status < 400:
            there = plain((answer.location or "nowhere").partition("?")[0])
            said = f"it answered {status} and points to {shorten(there, 200)}; redirects are not followed"
            return self._failed(said, needs_person=True)
        said = f"it answered {status}"
        if answer.body:
            said = f"{said}: {shorten(plain(answer.body.decode('utf-8', 'replace')), 200)}"
        lasting = status < 500 and status not in _PASSING
        return self._failed(said, needs_person=lasting, retry_after_s=answer.retry_after_s)

    def _failed(self, said: str, *, needs_person: bool = False, retry_after_s: float | None = None) -> SourceFailed:
        return SourceFailed(f"GET {self._shown}: {said}", needs_person=needs_person, retry_after_s=retry_after_s)

    def _take(self, body: bytes, position: Position, look: Look) -> tuple[int, bool]:
        """How many records the page has, and whether all that are new were taken. Raises: SourceFailed."""
        since, id_field = self._spec.since, self._spec.id_field
        page = PageReader(position, since=since is not None)
        count = 0
        for content in self._records(body):
            count += 1
            given = same_value(_value_at(content, id_field)) if id_field is not None else None
            value = same_value(_value_at(content, since.field)) if since is not None else None
            record = page.name_of(content, given)
            if not page.is_new(record, value):
                continue
            if look.full:
                return count, False
            error = f"it has no {since.field}" if since is not None and value is None else None
            look.take(content, f"{self._shown}[{count - 1}]", self._type, error)
            page.take(record)
            if since is not None:
                try:
                    position.note(value, record)
                except TooManyAlike:
                    raise self._failed(
                        f"too many records have the same {since.field}, or none", needs_person=True
                    ) from None
        page.end()
        ended = since is not None and since.newest_first and page.older
        return (0 if ended else count), True

    def _count(self, body: bytes) -> int:
        return sum(1 for _ in self._records(body))

    def _records(self, body: bytes) -> "list[bytes]":
        """The records of a page, each as it stands. Raises: SourceFailed."""
        try:
            check_json(body)
        except NotJson as error:
            raise self._failed(f"its answer {error}") from None
        text = _text_at(body, self._spec.records)
        if text is None:
            said = f"its answer has no {self._spec.records!r} where the records should be"
            raise self._failed(said, needs_person=True)
        if text.startswith(b"{"):
            return [text]
        if text == b"null":
            return []
        if not text.startswith(b"["):
            raise self._failed("what it has for records is neither a list nor an object", needs_person=True)
        found: list[bytes] = []
        for begin, end in elements(text, 1):
            if len(found) >= MAX_PAGE_RECORDS:
                said = f"it has more than {MAX_PAGE_RECORDS:,} records on a page; ask for fewer"
                raise self._failed(said, needs_person=True)
            found.append(text[begin:end])
        return found


def _text_at(text: bytes, path: str) -> bytes | None:
    """What stands at a path in valid JSON, as it is written; None where there is nothing."""
    for name in path.split(".") if path else ():
        try:
            found = _decoder(name).decode(text)
        except msgspec.ValidationError:  # it is no object
            return None
        value = getattr(found, _NAME_OF_VALUE)
        if value is msgspec.UNSET:
            return None
        text = bytes(value)
    return text.strip()


def _value_at(text: bytes, path: str) -> Any:
    found = _text_at(text, path)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found)
    except (ValueError, RecursionError):
        return None


_DECODERS: dict[str, Any] = {}


def _decoder(name: str) -> Any:
    """Reads one field of an object, and makes nothing of the others."""
    if name not in _DECODERS:
        fields = [(_NAME_OF_VALUE, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET)]
        _DECODERS[name] = msgspec.json.Decoder(msgspec.defstruct("Field", fields, rename={_NAME_OF_VALUE: name}))
    return _DECODERS[name]


def _server_of(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _with(url: str, params: Mapping[str, str]) -> str:
    """The URL with these query parameters, in place of those of the same name."""
    if not params:
        return url
    before, _, query = _without(url, params).partition("?")
    pairs = [query] if query else []
    pairs += [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items()]
    return f"{before}?{'&'.join(pairs)}"


def _without(url: str, params: Mapping[str, str]) -> str:
    """The URL without these query parameters, and without a fragment."""
    before, _, query = url.partition("#")[0].partition("?")
    names = {quote(name, safe="") for name in params}
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in names]
    return f"{before}?{'&'.join(kept)}" if kept else before
