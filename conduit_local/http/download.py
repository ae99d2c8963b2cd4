"""Objects as a download: one as it is, several as a zip."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import IO

from aiohttp import web

from conduit_local.core.batch import Batch
from conduit_local.core.errors import ObjectNotFound
from conduit_local.core.ports import ObjectContent
from conduit_local.http.call import Call

_PIECE_BYTES = 1 << 20
_IN_MEMORY_BYTES = 8 * 1024**2
_OLDEST = (1980, 1, 1, 0, 0, 0)
_TYPES = {
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".gz": "application/gzip",
    ".zst": "application/zstd",
}


async def send_objects(
    call: Call, objects: AsyncIterator[tuple[Batch, ObjectContent]], name: str
) -> web.StreamResponse:
    """
    Answer with what there is; `name` is what a zip of several is called.

    Memory stays bounded: objects are read in pieces, and a zip grows in a temporary file past 8 MiB.
    Raises: ObjectNotFound where there is nothing.
    """
    first = await anext(objects, None)
    if first is None:
        raise ObjectNotFound("the run has written nothing, or what it wrote is not there any more")
    second = await anext(objects, None)
    if second is None:
        batch, content = first
        file_name = batch.key.rsplit("/", 1)[-1]
        return await _send(call, content.pieces, content.size_bytes, file_name)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            await asyncio.to_thread(_add, archive, *first)
            await asyncio.to_thread(_add, archive, *second)
            async for batch, content in objects:
                await asyncio.to_thread(_add, archive, batch, content)
        size_bytes = file.tell()
        file.seek(0)
        return await _send(call, _pieces(file), size_bytes, f"{name}.zip")


async def _send(call: Call, pieces: Iterator[bytes], size_bytes: int, file_name: str) -> web.StreamResponse:
    suffix = f".{file_name.rsplit('.', 1)[-1]}"
    answer = web.StreamResponse(
        headers={
            "Content-Type": "application/zip" if suffix == ".zip" else _TYPES.get(suffix, "application/octet-stream"),
            "Content-Disposition": f'attachment; filename="{file_name}"',
            "X-Content-Type-Options": "nosniff",
        }
    )
    answer.content_length = size_bytes
    await answer.prepare(call.request)
    async with aclosing(_in_a_thread(pieces)) as read:
        async for piece in read:
            await answer.write(piece)
    await answer.write_eof()
    return answer


async def _in_a_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _add(archive: zipfile.ZipFile, batch: Batch, content: ObjectContent) -> None:
    """One object; without a time, so that the same objects give the same zip."""
    entry = zipfile.ZipInfo(batch.key, _OLDEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as target:
        for piece in content.pieces:
            target.write(piece)


def _pieces(file: "tempfile.SpooledTemporaryFile[bytes] | IO[bytes]") -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
