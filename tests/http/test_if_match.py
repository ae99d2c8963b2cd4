"""`If-Match`: who changes what they saw before does so only while it is still that (RFC 9110, 13.1.1)."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.errors import PreconditionFailed
from tests.appliance import KEY, Answer, Appliance, serving
from tests.making import pipeline

MADE = replace(pipeline(), uuid="6f1dcafe-0000-4000-8000-000000000007")
TAG = MADE.etag


@pytest.mark.parametrize(
    "header",
    [
        None,
        "*",
        " * ",
        TAG,
        f" {TAG}\t",
        f'"other", {TAG}',
        f'{TAG},"other"',
        f'"a","b",{TAG},"c"',
        f"W/{TAG}",
        f",{TAG},",
    ],
)
def test_what_names_this_version_passes(header: str | None) -> None:
    """A weak tag too: proxies that compress make ours weak."""
    MADE.require_match(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        ",",
        '"other"',
        TAG.strip('"'),
        TAG[:-1],
        f'"{TAG}"',
        f"w/{TAG}",
        TAG.upper(),
        f"W/W/{TAG}",
        '"*"',
        '*,"a"',
    ],
)
def test_what_names_another_version_or_none_is_refused_with_the_current_one(header: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        MADE.require_match(header)
    assert TAG in caught.value.message


@given(st.text(max_size=60))
def test_any_text_passes_or_is_refused(header: str) -> None:
    try:
        MADE.require_match(header)
    except PreconditionFailed:
        return
    assert TAG in header or header.strip() == "*"


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_no_two_versions_share_a_tag(one: int, other: int) -> None:
    tags = {pipeline(name).etag for name in ("a", "b")} | {TAG}
    assert len(tags) == 3
    changed = [MADE]
    for _ in range(min(one, other) % 7):
        changed.append(changed[-1].changed(7))
    assert len({version.etag for version in changed}) == len(changed)


# In the appliance -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("if-match"), {}) as running:
        yield running


def put(appliance: Appliance, name: str, title: str, if_match: str | None = None) -> Answer:
    body: dict[str, Any] = {"title": title}
    return appliance.ask("PUT", f"/_local/pipelines/{name}", body, headers={"If-Match": if_match} if if_match else None)


def test_a_change_that_comes_too_late_changes_nothing(appliance: Appliance) -> None:
    first = put(appliance, "late", "one").headers["ETag"]
    second = put(appliance, "late", "two", first).headers["ETag"]
    assert first != second
    late = put(appliance, "late", "three", first)
    assert (late.status, late.code) == (412, "precondition_failed")
    now = appliance.ask("GET", "/_local/pipelines/late")
    assert (now.json["configuration"]["title"], now.headers["ETag"]) == ("two", second)
    assert put(appliance, "late", "four", "*").status == 200


def test_every_change_of_state_is_another_version(appliance: Appliance) -> None:
    seen = [put(appliance, "states", "one").headers["ETag"]]
    for verb in ("pause", "resume", "drain", "resume"):
        seen.append(appliance.ask("POST", f"/_local/pipelines/states/{verb}").headers["ETag"])
        appliance.until(
            lambda found: next(one for one in found["pipelines"] if one["name"] == "states")["state"] != "draining"
        )
        seen.append(appliance.ask("GET", "/_local/pipelines/states").headers["ETag"])
    kept = list(dict.fromkeys(seen))
    assert len(kept) >= 5
    assert seen == sorted(seen, key=lambda tag: int(tag.rpartition("-")[2].strip('"'))), "a version never comes again"


def test_several_headers_are_one_list(appliance: Appliance) -> None:
    tag = put(appliance, "several", "one").headers["ETag"]
    body = b'{"title": "two"}'
    head = (
        "PUT /_local/pipelines/several HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n"
    )
    others = 'If-Match: "a", "b"\r\n'
    refused = appliance.raw(f"{head}{others}{others}\r\n".encode() + body)
    assert refused.startswith(b"HTTP/1.1 412"), refused
    assert appliance.raw(f"{head}{others}If-Match: {tag}\r\n\r\n".encode() + body).startswith(b"HTTP/1.1 200")


def test_of_twenty_who_change_the_same_version_at_once_one_wins(appliance: Appliance) -> None:
    tag = put(appliance, "race", "start").headers["ETag"]
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(put(appliance, "race", f"by {n}", tag))) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [200] + [412] * 19


def test_a_version_survives_a_restart(appliance: Appliance) -> None:
    put(appliance, "again", "one")
    tag = put(appliance, "again", "two").headers["ETag"]
    assert appliance.stop() == 0
    appliance.start()
    assert appliance.ask("GET", "/_local/pipelines/again").headers["ETag"] == tag
    assert put(appliance, "again", "three", tag).status == 200
