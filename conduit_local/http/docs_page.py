"""
`/openapi.json`, `/openapi.yaml` and `/docs`: what this appliance answers, with its own address in every line.

The page is Swagger UI out of `static/`; it asks nobody but the appliance it came from. Files and documents are made
ready when they are first asked for, on a thread: a start that nobody reads about costs nothing.
"""

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from conduit_local.core.errors import PathNotFound
from conduit_local.http.call import Call
from conduit_local.http.openapi import openapi_document
from conduit_local.http.router import Api, Doc, Handler, Route
from conduit_local.http.wording import coded_error

_STATIC = Path(__file__).with_name("static")
_PAGE = "docs.html"
_FILES = {
    "init.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
    "swagger-ui-bundle.js.LICENSE.txt": "text/plain",
    "LICENSE": "text/plain",
    "NOTICE": "text/plain",
}
"""What `/docs/{file}` answers, with its type; no other name is looked up on the disk."""
_HEADERS = {
    "Cache-Control": "no-cache",  # asked again each time, and answered 304: after an upgrade nothing old is shown
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_REMEMBERED = 8
"""Addresses whose documents are kept: whoever asks may name many."""


def docs_api(apis: Sequence[Api], *, title: str, version: str, about: str = "", base_url: str | None = None) -> Api:
    """
    The routes of the documentation of `apis` and of itself; none needs a key, none is counted.

    `base_url` is the address that the documents name; None or "": the one that the request came to.
    """
    docs = _Docs(title, version, about, base_url)
    docs.apis = (*apis, docs.api())
    return docs.apis[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """Something to answer: its bytes, the same compressed where that is less, and a mark of what they are."""

    content: bytes
    packed: bytes | None
    kind: str
    mark: str


class _Docs:
    """The handlers."""

    def __init__(self, title: str, version: str, about: str, base_url: str | None) -> None:
        self.apis: tuple[Api, ...] = ()
        self._title = title
        self._version = version
        self._about = about
        self._base_url = (base_url or "").rstrip("/")
        self._making = asyncio.Lock()
        self._files: dict[str, _Page] = {}
        self._documents: dict[tuple[str, str], _Page] = {}

    async def get_json(self, call: Call) -> web.Response:
        """`GET /openapi.json`."""
        return _answer(call, await self._document(call, "application/json"))

    async def get_yaml(self, call: Call) -> web.Response:
        """`GET /openapi.yaml`: the same document."""
        return _answer(call, await self._document(call, "application/yaml"))

    async def get_page(self, call: Call) -> web.Response:
        """`GET /docs`."""
        return _answer(call, (await self._all_files())[_PAGE])

    async def get_file(self, call: Call) -> web.Response:
        """`GET /docs/{file}`. Raises: PathNotFound for a name that is not in the list."""
        name = call.params["file"]
        if name not in _FILES:
            raise PathNotFound(f"the documentation has no file {name[:100]!r}")
        return _answer(call, (await self._all_files())[name])

    async def _all_files(self) -> Mapping[str, _Page]:
        async with self._making:
            if not self._files:
                self._files = await asyncio.to_thread(_read_files)
            return self._files

    async def _document(self, call: Call, kind: str) -> _Page:
        url = self._base_url or _address_of(call.request)
        async with self._making:
            found = self._documents.get((url, kind))
            if found is None:
                found = await asyncio.to_thread(self._written, url, kind)
                if len(self._documents) >= _REMEMBERED:
                    self._documents.pop(next(iter(self._documents)))
                self._documents[url, kind] = found
            return found

    def _written(self, url: str, kind: str) -> _Page:
        document = openapi_document(
            self.apis, title=self._title, version=self._version, server_url=url, about=self._about
        )
        text = json.dumps(document, ensure_ascii=False)
        return _page((text if kind == "application/json" else _yaml(json.loads(text))).encode(), kind)

    def api(self) -> Api:
        """The routes."""
        text: Mapping[str, Any] = {"type": "string"}
        document: Mapping[str, Any] = {"type": "object", "required": ["openapi", "info", "paths"]}
        file = Doc(
            summary="One of the page's files",
            path={"file": "Its name."},
            path_examples={"file": "LICENSE"},
            answers={200: text, 304: None},
            answer_type="text/plain",
        )
        return Api(
            name="documentation",
            about="This page, and the document that it is made of.",
            prefixes=("/openapi.", "/docs"),
            words=coded_error,
            errors={400: _REFUSAL, 403: _REFUSAL, 404: _REFUSAL, 500: _REFUSAL, 503: _REFUSAL},
            routes=(
                _route("/openapi.json", self.get_json, _shown("This document", document, "application/json")),
                _route("/openapi.yaml", self.get_yaml, _shown("The same in YAML", document, "application/yaml")),
                _route("/docs", self.get_page, _shown("This page", text, "text/html")),
                _route("/docs/{file}", self.get_file, file),
            ),
        )


_REFUSAL: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def _shown(summary: str, shape: Mapping[str, Any], kind: str) -> Doc:
    return Doc(summary=summary, source="S3.11", answers={200: shape, 304: None}, answer_type=kind)


def _route(path: str, handler: Handler, doc: Doc) -> Route:
    return Route(method="GET", path=path, handler=handler, scope=None, counted=False, doc=doc)


# Bytes and headers -------------------------------------------------------------------------------------------


class _Dumper(yaml.SafeDumper):
    """Writes out what stands in several places, each time; texts of many lines as they are read."""

    def ignore_aliases(self, data: object) -> bool:
        """Yes."""
        return True


def _text_of(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text_of)


def _yaml(document: object) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _read_files() -> dict[str, _Page]:
    return {name: _page((_STATIC / name).read_bytes(), kind) for name, kind in {_PAGE: "text/html", **_FILES}.items()}


def _page(content: bytes, kind: str) -> _Page:
    packed = gzip.compress(content, mtime=0)
    mark = hashlib.sha256(content).hexdigest()[:20]
    return _Page(content=content, packed=packed if len(packed) < len(content) else None, kind=kind, mark=mark)


def _answer(call: Call, page: _Page) -> web.Response:
    """The page, compressed where the caller takes that; 304 where it has it."""
    headers, content, mark = dict(_HEADERS), page.content, page.mark
    if page.packed is not None and _takes_gzip(call.request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        content, mark = page.packed, f"{mark}-gzip"
    headers["ETag"] = f'"{mark}"'
    if any(one.value in {mark, "*"} for one in call.request.if_none_match or ()):
        headers.pop("Content-Encoding", None)
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if page.kind.startswith("text/") else None
    return web.Response(body=content, headers=headers, content_type=page.kind, charset=charset)


def _takes_gzip(accepted: str) -> bool:
    for one in accepted.lower().split(","):
        name, _, quality = one.partition(";")
        if name.strip() in {"gzip", "*"}:
            return not re.fullmatch(r"q=0(\.0*)?", quality.strip())
    return False


def _address_of(request: web.BaseRequest) -> str:
    """The scheme and host that the request came to; where it names no sane host, the socket that it came to."""
    host = request.headers.get("Host", "")
    if not _HOST.fullmatch(host):
        name, port = request.get_extra_info("sockname", ("127.0.0.1", 80))[:2]
        host = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    return f"{request.scheme}://{host}"
