"""Objects as a download: one as it is, several as a zip."""

import asyncio
import tempfile
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, closing

from aiohttp import web

from conduit_local.core.batch import Batch
from conduit_local.core.delivering import ObjectContent
from conduit_local.core.errors import ObjectNotFound, StoreUnavailable
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


_Found = tuple[Batch, ObjectContent]
_File = tempfile.SpooledTemporaryFile[bytes]


async def send_objects(call: Call, objects: AsyncIterator[_Found], name: str) -> web.StreamResponse:
    """
    Answer with what there is; `name` is what a zip of several is called.

    Memory stays bounded: objects are read in pieces, and a zip grows in a temporary file past 8 MiB.
    Raises: ObjectNotFound where there is nothing; StoreUnavailable where there is no room for a zip.
    """
    first = await anext(objects, None)
    if first is None:
        raise ObjectNotFound("the run has written nothing, or what it wrote is not there any more")
    with ExitStack() as opened:
        opened.callback(first[1].close)
        second = await anext(objects, None)
        if second is None:
            batch, content = first
            return await _send(call, content.pieces, content.size_bytes, batch.key.rsplit("/", 1)[-1])
        opened.callback(second[1].close)
        file = opened.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))
        try:
            await _zip(call, file, first, second, objects)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            raise StoreUnavailable(f"put what the run has written into a zip: {error.strerror}") from error
        size_bytes = file.tell()
        file.seek(0)
        return await _send(call, _pieces(file), size_bytes, f"{name}.zip")


async def _zip(call: Call, file: _File, first: _Found, second: _Found, others: AsyncIterator[_Found]) -> None:
    """All of them, in order. Raises: OSError; ConnectionError when nobody waits any more."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        await asyncio.to_thread(_add, archive, *first)
        await asyncio.to_thread(_add, archive, *second)
        async for batch, content in others:
            if call.request.transport is None:
                content.close()
                raise ConnectionResetError("nobody waits for the zip any more")
            await asyncio.to_thread(_add, archive, batch, content)


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
    if call.request.method == "HEAD":
        return answer
    sent = 0
    async with aclosing(_in_a_thread(pieces)) as read:
        async for piece in read:
            sent += len(piece)
            await answer.write(piece)
    if sent != size_bytes:
        raise ConnectionResetError("the object changed while it was sent")  # what was promised does not come
    await answer.write_eof()
    return answer


async def _in_a_thread(pieces: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _add(archive: zipfile.ZipFile, batch: Batch, content: ObjectContent) -> None:
    """One object; without a time, so that the same objects give the same zip."""
    entry = zipfile.ZipInfo(batch.key, _OLDEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with closing(content), archive.open(entry, "w", force_zip64=True) as target:
        for piece in content.pieces:
            target.write(piece)


def _pieces(file: _File) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
