"""S3.8, S3.9: which pages may send, what their browsers are told, and the hint."""

from typing import Any

import pytest

from conduit_local.dialects.s3 import told
from tests.appliance import KEY, Answer, Appliance
from tests.dialects.s3.asking import APP, ELSEWHERE, NOBODY, PIPES, accepted, good, looked_at, make, refused, send

SUB = "https://app.example.com.evil.example"
NOT_WEB = ["null", "file://", "chrome-extension://abcdef", "app.example.com", "https://", "https://a b", "*", ""]


def preflight(appliance: Appliance, pipe: str, origin: str | None = APP, **headers: str) -> Answer:
    """What a browser asks before it sends."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    more = {"Origin": origin} if origin is not None else {}
    return looked_at(appliance.ask("OPTIONS", f"/v1/ingest/{pipe}", key=None, headers={**asked, **more, **headers}))


def echoed(answer: Answer, origin: str | None) -> bool:
    """Whether that origin, and no other, may read the answer."""
    assert answer.headers.get("Access-Control-Allow-Origin") in {origin, None}
    if origin is not None and "Access-Control-Allow-Origin" in answer.headers:
        assert "Origin" in answer.headers["Vary"].split(", ")
        return True
    return False


# The table: (key required, listed, any) x (key sent, origin) -> status, echoed

Access = dict[str, Any]
LISTED: Access = {"allowed_origins": [APP]}
ANY: Access = {"allow_any_origin": True}
NONE: Access = {}
BOTH = LISTED | ANY
KEYED: Access = {"requires_api_key": True}
OPEN: Access = {"requires_api_key": False}
TABLE: list[tuple[Access, bool, str | None, int]] = [
    # a key is required, and there is a list: an Origin that is sent must match
    (KEYED | LISTED, True, None, 202),
    (KEYED | LISTED, True, APP, 202),
    (KEYED | LISTED, True, ELSEWHERE, 403),
    (KEYED | LISTED, True, SUB, 403),
    (KEYED | LISTED, True, "null", 403),
    (KEYED | LISTED, False, APP, 401),
    # any origin: any http(s) one with a valid key, rows are not consulted
    (KEYED | BOTH, True, ELSEWHERE, 202),
    (KEYED | BOTH, True, "http://localhost:3000", 202),
    (KEYED | BOTH, True, None, 202),
    (KEYED | BOTH, True, "null", 403),
    (KEYED | ANY, True, "file://", 403),
    (KEYED | ANY, False, ELSEWHERE, 401),
    # neither: nothing is asked of an Origin
    (KEYED | NONE, True, None, 202),
    (KEYED | NONE, True, ELSEWHERE, 202),
    # no key required: a matching Origin, or any http(s) one
    (OPEN | LISTED, False, APP, 202),
    (OPEN | LISTED, True, APP, 202),
    (OPEN | LISTED, False, ELSEWHERE, 403),
    (OPEN | LISTED, True, ELSEWHERE, 403),
    (OPEN | LISTED, False, None, 401),
    (OPEN | LISTED, True, None, 401),
    (OPEN | ANY, False, ELSEWHERE, 202),
    (OPEN | ANY, False, "null", 403),
    (OPEN | ANY, False, None, 401),
    (OPEN | NONE, False, APP, 500),
    (OPEN | NONE, True, None, 500),
]


@pytest.fixture(scope="module")
def pipes(appliance: Appliance) -> dict[str, str]:
    """A pipe for each kind of access."""
    kinds = {str(access): access for access, *_ in TABLE}
    return {name: make(appliance, "access", **access)["pipe_id"] for name, access in kinds.items()}


CODES = {401: "unauthorized", 403: "forbidden", 500: "configuration_error"}


@pytest.mark.parametrize(("access", "with_key", "origin", "status"), TABLE)
def test_s3_8_who_may_send(
    appliance: Appliance,
    pipes: dict[str, str],
    access: Access,
    with_key: bool,
    origin: str | None,
    status: int,
) -> None:
    answer = send(appliance, pipes[str(access)], [{}], key=KEY if with_key else None, origin=origin)
    if status == 202:
        good(answer, 202, told.Accepted)
        assert echoed(answer, origin) == (origin is not None)
    else:
        refused(answer, status, CODES[status])
        assert not (status == 403 and echoed(answer, origin))


@pytest.mark.parametrize("origin", NOT_WEB)
def test_s3_8_what_is_not_an_origin_of_the_web_is_never_let_in_nor_echoed(
    appliance: Appliance, pipes: dict[str, str], origin: str
) -> None:
    answer = send(appliance, pipes[str(KEYED | ANY)], {}, origin=origin or " ")
    refused(answer, 403, "forbidden")
    assert not echoed(answer, None)
    plain = send(appliance, pipes[str(KEYED | NONE)], {}, origin=origin or " ")
    assert plain.status == 202
    assert not echoed(plain, None)


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("https://App.Example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_s3_8_an_origin_is_the_same_however_it_is_written(appliance: Appliance, written: str, sent: str) -> None:
    pipe = make(appliance, "written", allowed_origins=[written], requires_api_key=False)["pipe_id"]
    assert echoed(send(appliance, pipe, {}, key=None, origin=sent), sent)


@pytest.mark.parametrize(
    "origin", ["http://app.example.com", "https://app.example.com:8443", "https://example.com", SUB]
)
def test_s3_8_another_scheme_port_or_host_is_another_origin(appliance: Appliance, origin: str) -> None:
    pipe = make(appliance, "exact", allowed_origins=[APP])["pipe_id"]
    refused(send(appliance, pipe, {}, origin=origin), 403, "forbidden")


def test_s3_8_a_page_that_is_let_in_may_read_refusals_too(appliance: Appliance, pipes: dict[str, str]) -> None:
    pipe = pipes[str(KEYED | LISTED)]
    for answer, code in (
        (send(appliance, pipe, {}, key=None, origin=APP), "unauthorized"),
        (send(appliance, pipe, b"{", origin=APP), "invalid_payload"),
        (send(appliance, pipe, {}, origin=APP, headers={"Content-Type": "text/plain"}), "unsupported_media_type"),
    ):
        assert answer.json["error"] == code
        assert echoed(answer, APP)


def test_s3_8_a_change_of_the_rule_holds_for_the_next_request(appliance: Appliance) -> None:
    pipe = make(appliance, "changing")["pipe_id"]
    accepted(appliance, pipe, {}, origin=ELSEWHERE)
    origins = f"{PIPES}/{pipe}/allowed-origins"
    made = good(appliance.ask("POST", origins, {"origin_domain": APP}), 201, told.OriginAnswer)["allowed_origin"]
    refused(send(appliance, pipe, {}, origin=ELSEWHERE), 403, "forbidden")
    accepted(appliance, pipe, {}, origin=APP)
    assert appliance.ask("PATCH", f"{PIPES}/{pipe}", {"allow_any_origin": True}).status == 200
    accepted(appliance, pipe, {}, origin=ELSEWHERE)
    assert appliance.ask("PATCH", f"{PIPES}/{pipe}", {"allow_any_origin": False}).status == 200
    good(appliance.ask("DELETE", f"{origins}/{made['origin_id']}"), 200, told.Deleted)
    accepted(appliance, pipe, {}, origin=ELSEWHERE)
    refused(appliance.ask("DELETE", f"{origins}/{made['origin_id']}"), 404, "origin_not_found")


def test_s3_8_pages_may_not_call_anything_else(appliance: Appliance) -> None:
    for path in (PIPES, "/v1/api-keys", "/v1/health"):
        answer = appliance.ask("GET", path, headers={"Origin": APP})
        refused(answer, 403, "forbidden")
        assert not echoed(answer, APP)


# The preflight, and the hint -------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", [True, False])
def test_s3_9_a_preflight_of_an_allowed_page_is_a_204(
    appliance: Appliance, pipes: dict[str, str], required: bool
) -> None:
    answer = preflight(appliance, pipes[str({"requires_api_key": required} | LISTED)])
    assert (answer.status, answer.body) == (204, b"")
    assert echoed(answer, APP)
    allowed = answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert "Content-Type" in allowed
    assert ("Authorization" in allowed) == required
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("access", "origin", "status"),
    [
        (KEYED | LISTED, None, 400),
        (KEYED | LISTED, ELSEWHERE, 403),
        (KEYED | NONE, APP, 403),
        (OPEN | LISTED, SUB, 403),
        (OPEN | LISTED, "null", 403),
        (KEYED | ANY, None, 400),
        (KEYED | ANY, "null", 403),
        (KEYED | ANY, "http://localhost:5173", 204),
        (OPEN | ANY, ELSEWHERE, 204),
    ],
)
def test_s3_9_a_preflight_is_answered_without_a_body(
    appliance: Appliance, pipes: dict[str, str], access: Access, origin: str | None, status: int
) -> None:
    answer = preflight(appliance, pipes[str(access)], origin)
    assert (answer.status, answer.body) == (status, b"")
    assert echoed(answer, origin) == (status == 204)


def test_s3_9_a_preflight_for_no_pipe_is_refused_without_a_body(appliance: Appliance) -> None:
    assert [(one.status, one.body) for one in (preflight(appliance, "x"), preflight(appliance, NOBODY))] == [
        (400, b""),
        (404, b""),
    ]


def test_s3_9_a_browser_that_asks_for_a_private_network_is_told(appliance: Appliance, pipes: dict[str, str]) -> None:
    asked = {"Access-Control-Request-Private-Network": "true"}
    answer = preflight(appliance, pipes[str(KEYED | LISTED)], **asked)
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"


def test_s3_9_get_takes_nothing_in_and_says_how(appliance: Appliance, pipes: dict[str, str]) -> None:
    pipe = pipes[str(KEYED | LISTED)]
    for origin in (None, APP, ELSEWHERE):
        headers = {"Origin": origin} if origin else {}
        answer = appliance.ask("GET", f"/v1/ingest/{pipe}", key=None, headers=headers)
        said = good(answer, 200, told.Hint)
        assert (said["pipe_id"], said["method"]) == (pipe, "POST")
        assert "JSON" in said["message"]
        assert echoed(answer, origin) == (origin == APP)
    refused(appliance.ask("GET", "/v1/ingest/x", key=None), 400, "invalid_pipe_id")
    refused(appliance.ask("GET", f"/v1/ingest/{NOBODY}", key=None), 404, "pipe_not_found")
