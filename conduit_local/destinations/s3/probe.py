"""Trying a bucket out, for people who want to know whether deliveries will work, and how."""

from collections.abc import Iterator

from conduit_local.core.delivering import Finding
from conduit_local.destinations.s3.bucket import Bucket
from conduit_local.destinations.s3.failures import Failure, Present

_HEEDED = (
    "the server writes over no object when it is told not to; with `conditional_create: true` a request less is made "
    "for each object"
)
_NOT_HEEDED = (
    "the server writes over objects though it is told not to (it has no conditional create): leave "
    "`conditional_create` out, so that each object is looked for before it is written. Batches land once all the same; "
    "only an object that somebody else writes to the same key in the same moment is not safe"
)
_NO_LIST = "leftovers of broken uploads cannot be looked for ({}); let the bucket drop them after a day"


class _Trial:
    """A short body."""

    def __init__(self, text: str) -> None:
        self._content = text.encode()
        self.size_bytes = len(self._content)

    def pieces(self) -> Iterator[bytes]:
        """`Body.pieces`."""
        yield self._content


def probe(bucket: Bucket, key: str, place: str) -> list[Finding]:
    """`Destination.probe`: all that deliveries need, done to an object of its own at `key`."""
    steps = _Steps(bucket, key, place)
    findings: list[Finding] = []
    for name, step in (
        ("write", steps.write),
        ("read back", steps.read_back),
        ("overwrite", steps.overwrite),
        ("list", steps.list),
        ("uploads", steps.uploads),
    ):
        try:
            ok, message = step()
        except Failure as failure:
            ok, message = False, failure.reason
        findings.append(Finding(step=name, ok=ok, message=message))
        if ok is False:
            break
    if steps.may_be_there:
        findings += _removed(bucket, key, place, is_last=findings[-1].ok is False)
    return findings


def _removed(bucket: Bucket, key: str, place: str, *, is_last: bool) -> list[Finding]:
    """After a step that failed, tidying up is only told of where it fails too."""
    try:
        bucket.remove(key)
    except Failure as failure:
        return [Finding(step="remove", ok=False, message=f"{place} may still be there: {failure.reason}")]
    return [] if is_last else [Finding(step="remove", ok=True, message="the trial object is gone")]


class _Steps:
    """Each raises Failure, or says how it went."""

    def __init__(self, bucket: Bucket, key: str, place: str) -> None:
        self._bucket = bucket
        self._key = key
        self._place = place
        self._trial = _Trial("conduit-local looks whether it can write here\n")
        self.may_be_there = False

    def write(self) -> tuple[bool | None, str]:
        """A first object."""
        try:
            self._bucket.put(self._key, self._trial, create=False)
        except Failure as failure:
            self.may_be_there = failure.status is None
            raise
        self.may_be_there = True
        return True, f"{self._place} takes objects"

    def read_back(self) -> tuple[bool | None, str]:
        """What was written."""
        found = self._bucket.open(self._key)
        if found is None:
            return False, "what was written is not there"
        _, pieces = found
        if b"".join(pieces) != b"".join(self._trial.pieces()):
            return False, "what was written comes back changed"
        return True, "what was written comes back"

    def overwrite(self) -> tuple[bool | None, str]:
        """Whether the server keeps what is there, when it is told to."""
        try:
            self._bucket.put(self._key, _Trial("other content\n"), create=True)
        except Present:
            return True, _HEEDED
        except Failure as failure:
            if failure.status != 501:
                raise
        return None, _NOT_HEEDED

    def list(self) -> tuple[bool | None, str]:
        """The object among others."""
        folder = self._key.rpartition("/")[0]
        listed, _ = self._bucket.page(f"{folder}/", None)
        if self._key not in {one.key for one in listed}:
            return False, "what was written is not in the list of objects"
        return True, "objects are listed"

    def uploads(self) -> tuple[bool | None, str]:
        """Whether what a killed attempt leaves can be cleared away."""
        try:
            self._bucket.uploads(self._key)
        except Failure as failure:
            if failure.status is None:
                raise
            return None, _NO_LIST.format(failure.reason)
        return True, "leftovers of broken uploads can be found"
