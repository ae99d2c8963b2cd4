"""
Objects in a bucket of Amazon S3, or of any server that speaks its protocol.

Exactly once: a batch's key and its bytes are fixed before the first attempt, and a server shows an object whole or not
at all; so a repeat writes the very same object. It goes up with `If-None-Match: *`: where the key is taken already, the
object's bytes are read back and compared. The same: a reply was lost, the batch is there. Others: somebody else's
object, never written over; the route is blocked until a person decides. Servers that do not heed that header (or are
not known to: `conditional_create`) are asked for the object before it is sent; that protects another's object too,
unless it is written in the very same moment. For one's own objects the promise holds on any server.

Large objects go up in parts. What a killed attempt leaves of them has the key of its batch, and is aborted by the
repeat of that batch, before it begins anew.

No redirect is followed, and each address is shown to the guard when it is connected to. The protocol is botocore's
(`client`); its requests go over sockets of ours (`sending`). obstore 0.12, which was tried first, follows the
redirect of a GET to wherever it leads, resolves names behind the guard's back, takes settings out of the environment
for whatever it is not told, and can neither list nor abort what is left of an upload, nor tell a `Retry-After`.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from conduit_local.core.batch import Partition, Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Finding, Found, ObjectContent
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.means import Means
from conduit_local.destinations.s3.bucket import Bucket
from conduit_local.destinations.s3.credentials import Identity, NoCredentials, identity_of
from conduit_local.destinations.s3.failures import Failure
from conduit_local.destinations.s3.names import Names
from conduit_local.destinations.s3.probe import probe
from conduit_local.destinations.s3.spec import S3Spec
from conduit_local.destinations.s3.uploads import Uploader, spooled
from conduit_local.formats.objects import Pieces, encoded

_IN_FLIGHT = 4
_END_WITHIN_S = 5.0
_T = TypeVar("_T")


class S3Destination:
    """`Destination` for a bucket."""

    def __init__(self, spec: S3Spec, means: Means) -> None:
        self._spec = spec
        self._means = means
        self._form = spec.form
        self._partition = Partition(spec.partition)
        self._before = f"{spec.prefix}/" if spec.prefix else ""
        self._names = Names(means.addresses)
        self._bucket = Bucket(spec, self._names, self._identity)
        heeds = spec.conditional_create if spec.conditional_create is not None else spec.endpoint_url is None
        self._uploader = Uploader(self._bucket, spec.part_size, heeds_condition=heeds)
        self._is_closed = False
        self._threads: ThreadPoolExecutor | None = None
        self._under_way: set[Future[Any]] = set()
        self.extension = self._form.extension
        self.in_flight = spec.concurrency or _IN_FLIGHT

    def partition(self, received_at_us: int) -> str:
        """`Destination.partition`."""
        return self._partition.of(received_at_us)

    async def write(self, key: str, content: Content) -> Written:
        """`Destination.write`: in a thread; when the caller is cancelled, the thread goes on to its end."""
        async with encoded(content, self._form, self._means.encoder) as pieces:
            return await self._in_thread("write", key, lambda: self._write(key, pieces))

    async def read(self, key: str) -> ObjectContent | None:
        """`Destination.read`: the answer begins here; its pieces are read by whoever asks for them."""
        found = await self._in_thread("read", key, lambda: self._bucket.open(self._before + key))
        if found is None:
            return None
        size, pieces = found
        worded = self._worded(key, pieces)
        next(worded)  # from here on the answer goes with it, also when nobody asks for a piece
        return ObjectContent(size_bytes=size, pieces=worded)

    async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
        """`Destination.objects`: a thousand a page."""
        token: str | None = None
        while True:
            page = partial(self._bucket.page, f"{self._before}{folder}/", token)
            listed, token = await self._in_thread("list", folder, page)
            yield [Found(key.removeprefix(self._before), size) for key, size in listed]
            if token is None:
                return

    async def probe(self) -> list[Finding]:
        """`Destination.probe`."""
        key = f"{self._before}.conduit-local-probe/{uuid.uuid4().hex}"  # no pipeline's name begins with a dot
        return await self._in_thread("try", "", lambda: probe(self._bucket, key, self._place("")))

    async def close(self) -> None:
        """`Destination.close`: what is under way ends now, and fails."""
        self._is_closed = True
        self._bucket.cut()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        ending = partial(wait, tuple(self._under_way), _END_WITHIN_S)
        await asyncio.get_running_loop().run_in_executor(self._means.threads, ending)

    def _place(self, key: str) -> str:
        return f"s3://{self._spec.bucket}/{self._before}{key}"

    async def _in_thread(self, verb: str, key: str, work: Callable[[], _T]) -> _T:
        """Have it done, what fails in the words of the engine. Raises: DestinationUnavailable."""
        if self._is_closed:
            raise DestinationUnavailable(f"{verb} {self._place(key)}: the destination is closed")
        if self._threads is None:
            self._names.ask_in(asyncio.get_running_loop())
            self._threads = ThreadPoolExecutor(self.in_flight, thread_name_prefix="s3")
        future = self._threads.submit(work)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.wrap_future(future)
        except Failure as failure:
            raise self._unavailable(verb, key, failure) from failure

    def _worded(self, key: str, pieces: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
        """Nothing, then the pieces. Raises: DestinationUnavailable."""
        with closing(pieces):
            yield b""
            try:
                yield from pieces
            except Failure as failure:
                raise self._unavailable("read", key, failure) from failure

    def _unavailable(self, verb: str, key: str, failure: Failure) -> DestinationUnavailable:
        return DestinationUnavailable(
            f"{verb} {self._place(key)}: {failure.reason}",
            needs_person=failure.needs_person,
            wait_s=failure.wait_s,
            unsent=failure.unsent,
        )

    def _identity(self) -> Identity:
        try:
            return identity_of(self._spec, self._means.environment)
        except NoCredentials as error:
            raise Failure(str(error), needs_person=True) from error

    def _write(self, key: str, pieces: Pieces) -> Written:
        with spooled(pieces, self._means.data_folder) as body:
            self._uploader.put(self._before + key, body)
            return Written(self._place(key), body.size_bytes, body.sha256)
