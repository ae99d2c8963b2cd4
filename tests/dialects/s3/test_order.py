"""
S3.7: the checks of `POST /v1/ingest/{pipe_id}`, in the document's order.

The appliance here is full, so that every request fails the last check; each test fails two or more, and the earlier one
is what the answer says.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import pytest

from tests.appliance import KEY, Answer, Appliance, serving
from tests.dialects.s3.asking import APP, ELSEWHERE, PIPES, make, refused, send


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request to which nothing is wrong, until it is replaced."""

    by_name: bool = False
    active: bool = True
    key_required: bool = True
    has_rule: bool = True
    limited: bool = True
    key: str | None = KEY
    origin: str | None = APP
    content_type: str = "application/json"
    body: bytes = b'[{"n": 1}]'

    @property
    def pipe(self) -> tuple[bool, bool, bool, bool]:
        """What distinguishes the pipe that it goes to."""
        return self.active, self.key_required, self.has_rule, self.limited


@dataclass(frozen=True)
class Check:
    """One check: how to fail it, and what is then said."""

    status: int
    code: str
    fail: Callable[[Asked], Asked]


INVALID_ID = Check(400, "invalid_pipe_id", lambda one: replace(one, by_name=True))
NOT_FOUND = Check(404, "pipe_not_found", lambda one: replace(one, active=False))
MISCONFIGURED = Check(500, "configuration_error", lambda one: replace(one, key_required=False, has_rule=False))
NO_ORIGIN = Check(401, "unauthorized", lambda one: replace(one, key_required=False, origin=None))
NO_KEY = Check(401, "unauthorized", lambda one: replace(one, key=None))
DEAD_KEY = Check(401, "unauthorized", lambda one: replace(one, key="bp_v1_dead"))
FORBIDDEN = Check(403, "forbidden", lambda one: replace(one, origin=ELSEWHERE))
MEDIA_TYPE = Check(415, "unsupported_media_type", lambda one: replace(one, content_type="text/plain"))
NOT_JSON = Check(400, "invalid_payload", lambda one: replace(one, body=one.body[:-1]))
PRIMITIVE_IN_ARRAY = Check(400, "invalid_payload", lambda one: replace(one, body=one.body[:-1] + b", 5]"))
EMPTY = Check(400, "empty_payload", lambda one: replace(one, body=b"[]"))
NOTHING = Check(400, "empty_payload", lambda one: replace(one, body=b""))
TOO_MANY = Check(413, "batch_too_large", lambda one: replace(one, body=b'[{"n": 1}, {"n": 2}, {"n": 3}]'))
TOO_LARGE = Check(
    413, "payload_too_large", lambda one: replace(one, body=b'[{"n": 1}, {"n": "' + b"x" * 262_144 + b'"}]')
)
FAR_TOO_MANY = Check(
    413, "payload_too_large", lambda one: replace(one, limited=False, body=b"[" + b"{}," * 10_000 + b"{}]")
)
FULL = Check(503, "buffer_unavailable", lambda one: one)

CHAINS = {
    "with a key": (INVALID_ID, NOT_FOUND, NO_KEY, FORBIDDEN, MEDIA_TYPE, NOT_JSON, TOO_MANY, FULL),
    "with a dead key": (INVALID_ID, NOT_FOUND, DEAD_KEY, FORBIDDEN, MEDIA_TYPE, PRIMITIVE_IN_ARRAY, TOO_LARGE, FULL),
    "without one": (INVALID_ID, NOT_FOUND, MISCONFIGURED, NO_ORIGIN, MEDIA_TYPE, EMPTY, FULL),
    "misconfigured": (NOT_FOUND, MISCONFIGURED, FORBIDDEN, MEDIA_TYPE, NOTHING, FULL),
    "without limits": (NO_ORIGIN, MEDIA_TYPE, PRIMITIVE_IN_ARRAY, FAR_TOO_MANY, FULL),
}
PAIRS = [
    pytest.param(earlier, later, id=f"{name}: {earlier.code} before {later.code}")
    for name, chain in CHAINS.items()
    for earlier, later in combinations(chain, 2)
]


class Full:
    """An appliance that takes no record more, with a pipe of every kind that the checks need."""

    def __init__(self, appliance: Appliance) -> None:
        self.appliance = appliance
        kinds = [(a, k, r, n) for a in (True, False) for k in (True, False) for r in (True, False) for n in (0, 1)]
        self._pipes = {
            (active, key_required, has_rule, bool(limited)): make(
                appliance,
                f"pipe-{place}",
                pipe_status="active" if active else "inactive",
                requires_api_key=key_required,
                allowed_origins=[APP] if has_rule else [],
                limits={"pl_ingest_max_records_per_request": 2} if limited else None,
            )
            for place, (active, key_required, has_rule, limited) in enumerate(kinds)
        }
        filled = make(appliance, "filled")["pipe_id"]
        assert appliance.ask("POST", f"/_local/pipelines/{filled}/pause").status == 200
        answer = send(appliance, filled, {"text": os.urandom(100_000).hex()})
        while answer.status == 202:
            answer = send(appliance, filled, {"text": os.urandom(100_000).hex()})
        said = refused(answer, 503, "buffer_unavailable")
        assert "quota" in said["message"]

    def send(self, asked: Asked) -> Answer:
        """Send it to the pipe that it is for."""
        pipe = self._pipes[asked.pipe]
        ref = pipe["pipe_name"] if asked.by_name else pipe["pipe_id"]
        headers = {"Content-Type": asked.content_type}
        return send(self.appliance, ref, asked.body, key=asked.key, origin=asked.origin, headers=headers)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    with serving(tmp_path_factory.mktemp("full"), {}, "--testing", settings="storage: {quota: 1MiB}\n") as appliance:
        yield Full(appliance)
        assert "Traceback" not in appliance.log.read_text()


@pytest.mark.parametrize(("earlier", "later"), PAIRS)
def test_s3_7_of_two_checks_that_fail_the_earlier_one_wins(full: Full, earlier: Check, later: Check) -> None:
    refused(full.send(earlier.fail(later.fail(Asked()))), earlier.status, earlier.code)


@pytest.mark.parametrize("name", CHAINS)
def test_s3_7_a_request_that_fails_them_all_is_told_the_first(full: Full, name: str) -> None:
    asked = Asked()
    for check in reversed(CHAINS[name]):
        asked = check.fail(asked)
        refused(full.send(asked), check.status, check.code)


def test_s3_7_what_is_full_is_a_503_with_a_request_id_of_its_own_each_time(full: Full) -> None:
    ids = {refused(full.send(Asked()), 503, "buffer_unavailable")["request_id"] for _ in range(3)}
    assert len(ids) == 3


def test_s3_7_what_is_full_can_still_be_managed(full: Full) -> None:
    made = make(full.appliance, "made while full")
    path = f"{PIPES}/{made['pipe_id']}"
    assert full.appliance.ask("PATCH", path, {"pipe_name": "changed while full"}).status == 200
    assert full.appliance.ask("DELETE", path).status == 200
