"""A request as people type it: one `curl` command, ready to be copied."""

import json
import re
from collections.abc import Sequence
from urllib.parse import quote

from conduit_local.http.router import Doc, Route

LINES = ("ndjson", "jsonl", "jsonlines", "json-lines")
"""How the content types end whose bodies are one JSON value a line."""
_STEP = re.compile(r"\{([^}]+)\}")
_SPECIAL = re.compile(r'([\\"$`])')
_KEY = '-H "Authorization: Bearer $CONDUIT_TOKEN"'


def curl(route: Route, doc: Doc, server_url: str, *, with_key: bool) -> str:
    """
    The command for `route` on the appliance at `server_url`.

    A part of the path that has no example is a shell variable of its name: `$EVENT_ID`.
    """
    method = {"GET": [], "HEAD": ["--head"]}.get(route.method, ["-X", route.method])
    parts = [" ".join(["curl", *method, _address(route, doc, server_url)])]
    if doc.answer_type == "text/event-stream":
        parts.append("--no-buffer")
    if with_key:
        parts.append(_KEY)
    parts += [f'-H "{one.name}: ${_variable(one.name)}"' for one in doc.headers if one.required]
    types = route.takes or (doc.body_types if doc.body is not None else ())
    if types:
        kind = _plainest(types)
        content = "@body" if doc.example is None else body_text(doc.example, kind)
        parts += [f"-H 'Content-Type: {kind}'", f"--data-binary {_single(content)}"]
    return " \\\n  ".join(parts)


def body_text(example: object, kind: str) -> str:
    """An example as a body of content type `kind`; JSON is YAML too."""
    if isinstance(example, str):
        return example
    if kind.endswith(LINES):
        lines = example if isinstance(example, list | tuple) else [example]
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    return json.dumps(example, ensure_ascii=False)


def _plainest(types: Sequence[str]) -> str:
    return "application/json" if "application/json" in types else types[0]


def _address(route: Route, doc: Doc, server_url: str) -> str:
    pieces = _STEP.split(route.path)  # text, name, text, name, … text
    for place in range(1, len(pieces), 2):
        known = doc.path_examples.get(pieces[place])
        pieces[place] = f"${_variable(pieces[place])}" if known is None else quote(known, safe="")
    asked = "&".join(f"{_quoted(one.name)}=${_variable(one.name)}" for one in doc.query if one.required)
    return f'"{_quoted(server_url)}{"".join(pieces)}{"?" if asked else ""}{asked}"'


def _variable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).upper()


def _quoted(text: str) -> str:
    """For the inside of double quotes."""
    return _SPECIAL.sub(r"\\\1", text)


def _single(text: str) -> str:
    """In single quotes."""
    return "'" + text.replace("'", r"'\''") + "'"
