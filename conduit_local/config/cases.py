"""
The `tests` of a pipeline file: sample events, and what the transforms are to make of them.

    tests:
      - name: dollars are numbers
        events: [{orderId: ord_1, total: "4.50"}, {type: order.paid, payload: {orderId: ord_2, total: many}}]
        rows: [{order_id: ord_1, total: 4.5}]
        dead: [1]

They are no part of the pipeline: no API sees them. Where the transforms yield events again (`filter`, `mask`), or there
are none, an expected row is written as an event is.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, ValidationError

from conduit_local.config.trying import Died, Sample, Tried
from conduit_local.core.errors import InvalidRequest, Refused
from conduit_local.core.event import check_event_type
from conduit_local.core.plain import shorten
from conduit_local.core.problems import Path, Problem, problems_of
from conduit_local.core.spec import Part, PipelineSpec
from conduit_local.core.strict import NotAnEvent, payload_in

KEY = "tests"
DEFAULT_TYPE = "event"
MAX_EVENTS = 10_000
_SHOWN = 400
_LISTED = 20
_LONG_FORM = ({"payload"}, {"type", "payload"})

Json = dict[str, Any]


class Case(Part):
    """Sample events, and what is expected of them."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    """What is tested, in words."""
    events: Annotated[tuple[Json, ...], Field(max_length=MAX_EVENTS)]
    """Payloads, or `{type, payload}` each; together they are one batch."""
    rows: tuple[Json, ...]
    """What lands, in order."""
    dead: tuple[Annotated[int, Field(ge=0)] | str, ...] = ()
    """Events that die: their places in `events`, counted from 0, or a part of the reason that each dies of."""
    variables: Mapping[str, str] = {}
    """What a run would be given: override `${NAME}` in the transforms."""

    def samples(self) -> list[Sample]:
        """The events. Raises: InvalidRequest, naming the first that is none."""
        found: list[Sample] = []
        for place, event in enumerate(self.events):
            event_type, payload = DEFAULT_TYPE, event
            if event.keys() in _LONG_FORM and isinstance(event["payload"], dict):
                event_type, payload = event.get("type", DEFAULT_TYPE), event["payload"]
            path = ("events", place)
            if not isinstance(event_type, str):
                raise _wrong((*path, "type"), "must be text")
            try:
                check_event_type(event_type)
                text = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
                found.append(Sample(event_type, payload_in(text)))
            except Refused as error:
                raise _wrong((*path, "type"), error.message.removeprefix("event_type: ")) from None
            except (NotAnEvent, ValueError) as error:
                raise _wrong(path, str(error)) from None
        return found


class Cases(Part):
    """What a pipeline file has beside its pipeline."""

    tests: tuple[Case, ...] = ()
    """What its transforms are to make of sample events; run by `conduit-local pipelines test`."""


def cases_in(value: object) -> tuple[object, tuple[Case, ...], list[Problem]]:
    """A pipeline document without its tests, those, and what is wrong with their shape."""
    if not isinstance(value, dict) or KEY not in value:
        return value, (), []
    rest = {name: inner for name, inner in value.items() if name != KEY}
    try:
        cases = Cases.model_validate({KEY: value[KEY]}).tests
    except ValidationError as error:
        return rest, (), problems_of(error, Cases)
    return rest, cases, list(_problems_of(cases))


def undeclared(cases: Sequence[Case], spec: PipelineSpec) -> list[Problem]:
    """Variables that a test gives and the pipeline does not declare: nothing could ever name them."""
    return [
        Problem(path=(KEY, place, "variables", name), message="is not declared under `variables` of the pipeline")
        for place, case in enumerate(cases)
        for name in case.variables
        if name not in spec.variables
    ]


def _problems_of(cases: Sequence[Case]) -> Iterator[Problem]:
    names: set[str] = set()
    for place, case in enumerate(cases):
        if case.name in names:
            yield Problem(path=(KEY, place, "name"), message=f"another test is named {case.name!r}")
        names.add(case.name)
        try:
            case.samples()
        except InvalidRequest as error:
            for problem in error.problems:
                yield Problem(path=(KEY, place, *problem.path), message=problem.message)
        for number, expected in enumerate(case.dead):
            if isinstance(expected, int) and expected >= len(case.events):
                said = f"there is no event {expected}; they are counted from 0"
                yield Problem(path=(KEY, place, "dead", number), message=said)


def _wrong(path: Path, message: str) -> InvalidRequest:
    return InvalidRequest(message, problems=[Problem(path=path, message=message)])


# Whether it came true --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One way in which it did not: `about` is a row, an event, or the whole."""

    about: str
    message: str
    expected: Any = None
    got: Any = None


def differences(case: Case, tried: Tried) -> list[Difference]:
    """What is other than expected; none: the test passed."""
    return [*_rows(case.rows, tried), *_dead(case.dead, tried.dead)]


def shown(value: Any) -> str:
    """A value as JSON, on one line."""
    return shorten(json.dumps(value, ensure_ascii=False), _SHOWN)


def _rows(expected: Sequence[Json], tried: Tried) -> Iterator[Difference]:
    rows = [
        _as_event(row, expected[place] if place < len(expected) else {}) if tried.are_events else row
        for place, row in enumerate(tried.rows)
    ]
    if len(rows) != len(expected):
        yield Difference(about="rows", message=f"{len(expected):,} expected, {len(rows):,} came")
    for place, (wanted, row) in enumerate(zip(expected, rows, strict=False)):
        if not _same(wanted, row):
            yield Difference(about=f"rows[{place}]", message=_where(wanted, row), expected=wanted, got=row)
            break
    for place, wanted in list(enumerate(expected))[len(rows) :][:_LISTED]:
        yield Difference(about=f"rows[{place}]", message="is missing", expected=wanted)
    for place, row in list(enumerate(rows))[len(expected) :][:_LISTED]:
        yield Difference(about=f"rows[{place}]", message="is one too many", got=row)


def _as_event(row: Json, expected: Json) -> Json:
    """A row that is an envelope, in the form in which it is expected."""
    if expected.keys() == {"type", "payload"}:
        return {"type": row["event_type"], "payload": row["payload"]}
    if expected.keys() == {"payload"} and isinstance(expected["payload"], dict):
        return {"payload": row["payload"]}
    found: Json = row["payload"]
    return found


def _same(one: object, other: object) -> bool:
    """Whether two JSON values are the same: numbers by their value, objects whatever the order of their fields."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
        case list(), list():
            return len(one) == len(other) and all(map(_same, one, other))
        case (bool(), _) | (_, bool()):
            return one is other
        case _:
            return one == other


def _where(expected: Json, row: Json) -> str:
    """Which fields differ."""
    lacking = [name for name in expected if name not in row]
    more = [name for name in row if name not in expected]
    other = [name for name, value in expected.items() if name in row and not _same(value, row[name])]
    said = [("differs in", other), ("lacks", lacking), ("has besides", more)]
    return "; ".join(f"{what} {', '.join(map(repr, names))}" for what, names in said if names)


def _dead(expected: Sequence[int | str], died: Sequence[Died]) -> Iterator[Difference]:
    """Places first, so that a reason is left for those that are not named by their place."""
    left = {one.place: one for one in died}
    for place in [one for one in expected if isinstance(one, int)]:
        if left.pop(place, None) is None:
            yield Difference(about=f"events[{place}]", message="was to die, and did not")
    for reason in [one for one in expected if isinstance(one, str)]:
        found = next((one for one in left.values() if reason.casefold() in one.error.casefold()), None)
        if found is None:
            yield Difference(about="events", message=f"none died of {reason!r}")
        else:
            del left[found.place]
    for one in list(left.values())[:_LISTED]:
        yield Difference(about=f"events[{one.place}]", message=f"died: {one.error}")
