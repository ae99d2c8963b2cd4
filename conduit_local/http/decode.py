"""JSON bodies to typed values, strictly: `InvalidJson` for what is not JSON in UTF-8, else the field that is wrong."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, StrictBool, ValidationError

from conduit_local.core.errors import ConduitError, InvalidJson, InvalidRequest
from conduit_local.core.event import MAX_DEPTH, is_too_deep
from conduit_local.core.problems import Path, Problem, problems_of, refusal
from conduit_local.core.run import RunOptions
from conduit_local.core.spec import Part
from conduit_local.core.strict import NotJson, parse

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_PLACE = re.compile(r" - at `\$?(.*)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_FIELD = re.compile(r"^Object (?:missing required|contains unknown) field `(.+)`")


def decode(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """
    The value in `body`.

    Raises: InvalidJson, InvalidRequest.
    """
    try:
        return parse(body, decoder)
    except msgspec.ValidationError as error:
        decode(body, _WHOLE)  # what is wrong with its shape may come before what makes it no JSON at all
        raise _misshapen(str(error)) from None
    except NotJson as error:
        raise InvalidJson(f"the body {error}") from None


_MANY = 200_000
_WHOLE = msgspec.json.Decoder(msgspec.Raw)
_ANY: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()


def decode_object(body: bytes) -> dict[str, Any]:
    """
    A JSON object, nested at most 100 deep, for bodies whose shape a model checks next.

    Raises: InvalidJson, InvalidRequest.
    """
    value = decode(body, _ANY)
    if is_too_deep(body):
        raise InvalidRequest(f"the body must not be nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    return value


def check_object_count(body: bytes, most: int, refusal_of_more: Callable[[], ConduitError]) -> None:
    """
    Whether an array holds objects, and at most so many, before a list is made of them: 32 MiB of `{},` took 800 MB.

    Nothing is kept of what is looked at, and nothing behind the first object too many is. An array that is too short to
    matter (56 bytes a record) passes unseen.
    Raises: InvalidJson, InvalidRequest with the path of what is no object, and `refusal_of_more`.
    """
    if len(body) <= 2 * _MANY or body.count(b",") <= _MANY:
        return
    left = most

    class Counted(msgspec.Struct, gc=False):
        """Any object; its fields are skipped."""

        def __post_init__(self) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise refusal_of_more()

    decode(body, msgspec.json.Decoder(list[Counted]))


class _RunOptions(Part):
    full_refresh: StrictBool | None = None
    dry_run: StrictBool | None = None
    variables: dict[str, str] | None = None


def run_options(document: dict[str, Any]) -> RunOptions:
    """What a run is asked for: `{full_refresh?, dry_run?, variables?}` (S1.3). Raises: InvalidRequest."""
    found = validated(document, _RunOptions)
    return RunOptions(
        full_refresh=found.full_refresh or False, dry_run=found.dry_run or False, variables=found.variables or {}
    )


def validated(document: object, model: type[M]) -> M:
    """`document` as a `model`. Raises: InvalidRequest with every problem found."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise refusal(problems_of(error, model)) from None


def _misshapen(message: str) -> InvalidRequest:
    path: Path = ()
    place = _PLACE.search(message)
    if place:
        message = message[: place.start()]
        path = tuple(int(index) if index.isdigit() else name or index for name, index in _STEP.findall(place[1]))
    field = _FIELD.match(message)
    if field:
        said = "is required" if "missing" in message[:25] else "is not known here"
        return refusal([Problem(path=(*path, field[1]), message=said)])
    message = (
        message.replace("`", "").replace("Expected object", "must be a JSON object").replace("Expected ", "must be ")
    )
    message = message.replace(", got ", ", not ").replace(" | ", " or ")
    message = _KINDS.sub(lambda found: f"{found[1]} {_PLAINLY[found[2]]}", message)
    return refusal([Problem(path=path, message=message)])


_PLAINLY = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_KINDS = re.compile(rf"(must be|, not| or) ({'|'.join(_PLAINLY)})\b")
