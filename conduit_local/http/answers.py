"""JSON answers."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

_ENCODER = msgspec.json.Encoder()
_TYPE = "application/json"


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`value` (dicts, lists, dataclasses, numbers, text) as JSON in UTF-8."""
    return raw_answer(_ENCODER.encode(value), status, headers)


def raw_answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Bytes that are JSON already."""
    answer = web.Response(body=body, status=status, content_type=_TYPE)
    if headers:
        answer.headers.update(headers)
    return answer
