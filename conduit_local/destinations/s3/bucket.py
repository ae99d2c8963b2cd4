"""What is asked of a bucket: one method an operation of S3, done by botocore's client."""

import http.client
import importlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from conduit_local.core.plain import plain, shorten
from conduit_local.destinations.s3.client import client_of
from conduit_local.destinations.s3.credentials import Identity
from conduit_local.destinations.s3.failures import Failure, Present, of_answer
from conduit_local.destinations.s3.names import Names
from conduit_local.destinations.s3.spec import S3Spec

_PAGE_KEYS = 1_000
_PIECE_BYTES = 1 << 20
_SHOWN_CHARS = 200


class Body(Protocol):
    """Bytes to send, known before they go."""

    @property
    def size_bytes(self) -> int:
        """How many these are."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """The bytes, from the first one on."""
        ...


class Listed(NamedTuple):
    """An object in a listing."""

    key: str
    size_bytes: int


class Bucket:
    """
    The bucket of an `S3Spec`, for threads.

    Every method raises Failure. Source: "Amazon S3 API Reference"; each method names its action.
    """

    def __init__(self, spec: S3Spec, names: Names, identity: Callable[[], Identity]) -> None:
        """`identity` is asked for each request, and may raise Failure."""
        self._spec = spec
        self._names = names
        self._identity = identity
        self._lock = threading.Lock()
        self._sending: Any = None
        self._client: tuple[Identity, Any] | None = None
        self._is_cut = False
        self._for_objects = _said_of_objects(spec)

    def size_of(self, key: str) -> int | None:
        """`HeadObject`: None where there is no such object (or no such bucket: that is told when it is written)."""
        try:
            return int(self._ask("head_object", Key=key).get("ContentLength", 0))
        except Failure as failure:
            if failure.status == http.client.NOT_FOUND:
                return None
            if failure.status is None or failure.status >= http.client.INTERNAL_SERVER_ERROR:
                raise
        found = self.open(key)  # the same refusal, this time with the words
        if found is None:
            return None
        found[1].close()
        return found[0]

    def put(self, key: str, body: Body, *, create: bool) -> None:
        """`PutObject`: the object is there whole, or not at all. Raises: Present, if `create` and one is there."""
        sent = {"ContentLength": body.size_bytes, "Body": _File(body), **self._for_objects, **_condition(create)}
        with _present():
            self._ask("put_object", Key=key, **sent)

    def open(self, key: str) -> tuple[int, Generator[bytes, None, None]] | None:
        """`GetObject`: how many bytes it has, and those; None where there is no such object."""
        try:
            found = self._ask("get_object", Key=key)
        except Failure as failure:
            if failure.status == http.client.NOT_FOUND and failure.code != "NoSuchBucket":
                return None
            raise
        pieces = _pieces(found["Body"])
        next(pieces)  # from here on the answer goes with it, also when nobody asks for a piece
        return int(_member(found, "ContentLength")), pieces

    def page(self, prefix: str, token: str | None) -> tuple[Sequence[Listed], str | None]:
        """`ListObjectsV2`: up to a thousand objects below `prefix`, and what to ask for the next ones with."""
        after = {} if token is None else {"ContinuationToken": token}
        found = self._ask("list_objects_v2", Prefix=prefix, MaxKeys=_PAGE_KEYS, **after)
        objects = [Listed(_member(one, "Key"), _member(one, "Size")) for one in found.get("Contents", ())]
        return objects, _member(found, "NextContinuationToken") if found.get("IsTruncated") else None

    def remove(self, key: str) -> None:
        """`DeleteObject`; well too where there is none."""
        with _gone():
            self._ask("delete_object", Key=key)

    def begin(self, key: str) -> str:
        """`CreateMultipartUpload`: what to name the upload by."""
        return str(_member(self._ask("create_multipart_upload", Key=key, **self._for_objects), "UploadId"))

    def put_part(self, key: str, upload: str, number: int, body: Body) -> str:
        """`UploadPart`: what to name the part by."""
        sent = {"ContentLength": body.size_bytes, "Body": _File(body)}
        return str(_member(self._ask("upload_part", Key=key, UploadId=upload, PartNumber=number, **sent), "ETag"))

    def complete(self, key: str, upload: str, parts: Sequence[str], *, create: bool) -> None:
        """`CompleteMultipartUpload`: the object is there. Raises: Present, if `create` and one is there."""
        listed = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]}
        with _present():
            self._ask(
                "complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload=listed, **_condition(create)
            )

    def abort(self, key: str, upload: str) -> None:
        """`AbortMultipartUpload`; well too where there is none."""
        with _gone():
            self._ask("abort_multipart_upload", Key=key, UploadId=upload)

    def uploads(self, key: str) -> list[str]:
        """`ListMultipartUploads`: those to exactly this key that were neither completed nor aborted."""
        try:
            found = self._ask("list_multipart_uploads", Prefix=key)
        except Failure as failure:
            if failure.code == "NoSuchUpload":
                return []  # as rclone says it
            raise
        return [str(_member(one, "UploadId")) for one in found.get("Uploads", ()) if one.get("Key") == key]

    def cut(self) -> None:
        """End what is under way, in whatever thread."""
        self._is_cut = True
        self._names.cut()
        if self._sending is not None:
            self._sending.cut()

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Have an operation done on the bucket, once."""
        identity = self._identity()
        exceptions = importlib.import_module("botocore.exceptions")
        try:
            found: dict[str, Any] = getattr(self._asking_as(identity), operation)(
                Bucket=self._spec.bucket, **parameters
            )
        except exceptions.ClientError as error:
            answer = error.response["ResponseMetadata"]
            reason = error.response["Error"]
            code, message = reason.get("Code", ""), reason.get("Message", "")
            raise of_answer(answer["HTTPStatusCode"], answer["HTTPHeaders"], code, message) from error
        except importlib.import_module("botocore.parsers").ResponseParserError as error:
            raise _not_s3() from error
        except (exceptions.BotoCoreError, ValueError) as error:
            said = shorten(plain(str(error)), _SHOWN_CHARS)
            raise Failure(f"the settings cannot be used: {said}", needs_person=True) from error
        if found.keys() == {"ResponseMetadata"} and operation.startswith("list"):
            raise _not_s3()
        return found

    def _asking_as(self, identity: Identity) -> Any:
        """The client; another one when the keys in the profile are new."""
        with self._lock:
            if self._client is None or self._client[0] != identity:
                self._client = identity, client_of(self._spec, identity, self._sender().send)
            return self._client[1]

    def _sender(self) -> Any:
        if self._sending is None:
            sending = importlib.import_module("conduit_local.destinations.s3.sending")
            self._sending = sending.Sending(self._spec, self._names)
            if self._is_cut:
                self._sending.cut()
        return self._sending


class _File:
    """A body as botocore reads it: twice, to sign it and to send it."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._pieces = body.pieces()
        self._piece = memoryview(b"")
        self._at = 0

    def read(self, size_bytes: int) -> bytes:
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
        found, self._piece = bytes(self._piece[:size_bytes]), self._piece[size_bytes:]
        self._at += len(found)
        return found

    def tell(self) -> int:
        return self._at

    def seek(self, _begin: int) -> None:
        self._pieces, self._piece, self._at = self._body.pieces(), memoryview(b""), 0


def _pieces(body: Any) -> Generator[bytes, None, None]:
    """Nothing, then the pieces. Raises: Failure."""
    try:
        yield b""
        while piece := body.read(_PIECE_BYTES):
            yield piece
    finally:
        body.close()


def _said_of_objects(spec: S3Spec) -> dict[str, str]:
    """What is said about each object."""
    said = {"ContentType": "application/octet-stream"}
    if spec.server_side_encryption != "none":
        said["ServerSideEncryption"] = spec.server_side_encryption
    if spec.kms_key_id is not None:
        said["SSEKMSKeyId"] = spec.kms_key_id
    if spec.tags:
        said["Tagging"] = urlencode(spec.tags, safe="", quote_via=quote)
    return said


def _condition(create: bool) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if create else {}


@contextmanager
def _present() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        if failure.status == http.client.PRECONDITION_FAILED:
            raise Present from failure
        raise


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except Failure as failure:
        if failure.status != http.client.NOT_FOUND:
            raise


def _not_s3() -> Failure:
    return Failure("what came back is not S3's: look at `endpoint_url`", needs_person=True)


def _member(found: dict[str, Any], name: str) -> Any:
    if name not in found:
        raise Failure(f"the server's answer has no {name}", needs_person=True)
    return found[name]
