"""S1.2: bodies in JSON and YAML, good and bad, against a running appliance. And what is no route at all."""

import gzip
from typing import Any

import pytest
from backports import zstd

from conduit_local.dialects.s1 import models
from tests.appliance import KEY, Answer, Appliance
from tests.dialects.s1.asking import PIPELINES, good, make, refused, shown

YAML_TYPES = ["application/yaml", "application/x-yaml", "text/yaml", "Text/YAML; charset=utf-8"]
DEFINITION = """\
# a pipeline file, as it stands
name: {name}
version: 1.0
schedule: "0 */6 * * *"
sources:
  - type: push
transforms: []
destinations:
  - &files {{type: files, path: out}}
  - <<: not merged, so refused
    type: files
"""
GOOD = DEFINITION.partition("  - <<")[0]


def post(appliance: Appliance, body: str | bytes, content_type: str = "application/yaml", **headers: str) -> Answer:
    sent = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return appliance.ask("POST", PIPELINES, body.encode() if isinstance(body, str) else body, headers=sent)


# YAML ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", YAML_TYPES)
def test_s1_2_a_pipeline_file_can_be_pushed(appliance: Appliance, content_type: str) -> None:
    name = f"pushed-{YAML_TYPES.index(content_type)}"
    found = good(post(appliance, GOOD.format(name=name), content_type), 201, models.PipelineShown)["data"]
    assert (found["name"], found["version"], found["schedule"]) == (name, "1.0", "0 */6 * * *")
    assert shown(appliance, name) == found
    changed = f"name: {name}\nversion: '2'\nstatus: paused\n".encode()
    headers = {"Content-Type": content_type}
    answer = appliance.ask("PUT", f"{PIPELINES}/{name}", changed, headers=headers)
    after = good(answer, 200, models.PipelineShown)["data"]
    assert (after["version"], after["schedule"], after["status"]) == ("2", None, "paused")


def test_s1_2_yaml_and_json_mean_the_same(appliance: Appliance) -> None:
    good(post(appliance, "name: as-yaml\nbatch: {max_age: 2m, max_events: 0x10}\ntitle: on"), 201, models.PipelineShown)
    make(appliance, "as-json", batch={"max_age": "2m", "max_events": 16}, title="on")
    yaml, json = shown(appliance, "as-yaml"), shown(appliance, "as-json")
    assert {**yaml, "name": "", "id": ""} == {**json, "name": "", "id": ""}


def test_s1_2_the_environment_is_not_read(appliance: Appliance) -> None:
    found = good(post(appliance, "name: literal\ntitle: ${HOME} $$x"), 201, models.PipelineShown)["data"]
    assert found["title"] == "${HOME} $$x"


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("name: a\nversion: 1\nname: b", 3, "the key 'name' stands here twice"),
        ("name: a\nsources: [{type: push}\n", 2, "is not YAML"),
        ("name: a\ntitle: !!python/object:os.system {}", 2, "the tag"),
        ("name: a\ntitle: !secret x", 2, "the tag '!secret' is not known"),
        ("name: a\n---\nname: b", 2, "a second document"),
        ("name: a\n\ttitle: x", 2, "is not YAML"),
        ("name: a\ntitle: *nobody", 2, "nothing before this is named &nobody"),
        ("name: a\nextra: {n: 1e999}", 2, "the number is out of range"),
        pytest.param("name: a\nextra: " + "[" * 200, 2, "nested more than 100 deep", id="200 deep"),
        pytest.param("name: a\nextra: " + "[" * 500_000, 2, "nested more than 100 deep", id="500,000 deep"),
        (b"name: a\ntitle: \xff", 2, "is not UTF-8"),
        (b"name: a\ntitle: \x00", 2, "control characters"),
        pytest.param("name: a\nextra:\n" + "- a\n" * 30_000, 20_000, "is too large", id="30,000 items"),
    ],
)
def test_s1_2_what_is_no_yaml_is_a_400_with_the_line(
    appliance: Appliance, body: str | bytes, line: int, message: str
) -> None:
    said = refused(post(appliance, body), 400, "invalid_yaml")
    assert said["message"].startswith(f"line {line}: ")
    assert message in said["message"]


def test_s1_2_aliases_cannot_grow_without_bounds(appliance: Appliance) -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert "too large once its aliases" in refused(post(appliance, laughs), 400, "invalid_yaml")["message"]
    long = f"name: a\nextra: [&a {'x' * 50_000}, {', '.join(['*a'] * 100)}]"
    assert "too large once its aliases" in refused(post(appliance, long), 400, "invalid_yaml")["message"]


@pytest.mark.parametrize("body", ["", "# nothing", "- a", "text", "5", "~"])
def test_s1_2_a_document_that_is_no_mapping_is_a_400(appliance: Appliance, body: str) -> None:
    assert "must be a YAML mapping" in refused(post(appliance, body), 400, "invalid_request")["message"]


def test_s1_6_a_wrong_field_in_yaml_is_a_422_as_in_json(appliance: Appliance) -> None:
    said = refused(post(appliance, DEFINITION.format(name="merged")), 422, "invalid_configuration")
    assert list(said["details"]) == ["destinations.1.<<"]
    said = refused(post(appliance, "name: [a]\nversion: {}\n5: x"), 422, "invalid_configuration")
    assert set(said["details"]) == {"name", "version", "5"}


# JSON ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"name: a", "invalid_json"),
        (b'{"name": "a"} x', "invalid_json"),
        (b'{"name": NaN}', "invalid_json"),
        (b'{"name": "\xff"}', "invalid_json"),
        (b'{"name": "\\ud800"}', "invalid_json"),
        (b'{"version": 1e999}', "invalid_request"),
        pytest.param(b'{"version": ' + b"9" * 5_000 + b"}", "invalid_request", id="5,000 digits"),
        pytest.param(b'{"extra": ' + b"[" * 200 + b"]" * 200 + b"}", "invalid_request", id="200 deep"),
        pytest.param(b'{"extra": ' + b"[" * 500_000 + b"]" * 500_000 + b"}", "invalid_json", id="500,000 deep"),
        (b"[]", "invalid_request"),
        (b"5", "invalid_request"),
        (b"null", "invalid_request"),
    ],
)
@pytest.mark.parametrize("path", [PIPELINES, f"{PIPELINES}/json/runs"])
def test_s1_6_what_is_no_json_object_is_a_400(appliance: Appliance, path: str, body: bytes, code: str) -> None:
    if path.endswith("runs"):
        if appliance.ask("GET", f"{PIPELINES}/json").status == 404:
            make(appliance, "json")
        if not body:
            return  # a run needs no body
    refused(appliance.ask("POST", path, body), 400, code)


def test_s1_6_a_whole_number_too_large_for_a_field_is_named(appliance: Appliance) -> None:
    body = b'{"name": "big", "batch": {"max_events": ' + b"9" * 40 + b"}}"
    said = refused(appliance.ask("POST", PIPELINES, body), 422, "invalid_configuration")
    assert list(said["details"]) == ["batch.max_events"]


# What HTTP says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/yamlx"])
def test_s1_6_another_content_type_is_a_415(appliance: Appliance, content_type: str) -> None:
    for method, path in (("POST", PIPELINES), ("PUT", f"{PIPELINES}/orders-stream")):
        answer = appliance.ask(method, path, b"{}", headers={"Content-Type": content_type})
        said = refused(answer, 415, "unsupported_media_type")
        assert "application/json or application/yaml" in said["message"]
    for kind in (content_type, "application/yaml"):
        answer = appliance.ask("POST", f"{PIPELINES}/orders-stream/runs", b"{}", headers={"Content-Type": kind})
        refused(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("encoding", "content"),
    [("gzip", gzip.compress), ("zstd", zstd.compress)],
)
def test_s1_6_bodies_may_be_compressed_and_bad_ones_are_refused(
    appliance: Appliance, encoding: str, content: Any
) -> None:
    body = content(f"name: packed-{encoding}\n".encode())
    good(post(appliance, body, Content_Encoding=encoding), 201, models.PipelineShown)
    refused(post(appliance, body[:-3], Content_Encoding=encoding), 400, "invalid_request")
    refused(post(appliance, b"not packed", Content_Encoding=encoding), 400, "invalid_request")
    refused(post(appliance, body, Content_Encoding="br"), 415, "unsupported_media_type")
    bomb = content(b"#" * 3_000_000)
    refused(post(appliance, bomb, Content_Encoding=encoding), 413, "body_too_large")


@pytest.mark.parametrize("path", [PIPELINES, f"{PIPELINES}/orders-stream/runs"])
def test_s1_6_a_body_over_a_mebibyte_is_a_413(appliance: Appliance, path: str) -> None:
    refused(appliance.ask("POST", path, b" " * 1_048_577), 413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", PIPELINES, "GET, POST"),
        ("DELETE", PIPELINES, "GET, POST"),
        ("POST", f"{PIPELINES}/orders-stream", "DELETE, GET, PUT"),
        ("DELETE", f"{PIPELINES}/orders-stream/runs", "GET, POST"),
        ("PUT", f"{PIPELINES}/orders-stream/runs/run_00000001", "GET"),
    ],
)
def test_s1_6_another_method_is_a_405(appliance: Appliance, method: str, path: str, allowed: str) -> None:
    answer = appliance.ask(method, path)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/a/b", "/a/runs/b/c", "/a/runs/"])
def test_s1_6_another_path_is_a_404_in_s1s_words(appliance: Appliance, path: str) -> None:
    answer = appliance.ask("GET", f"{PIPELINES}{path}")
    assert refused(answer, 404, "not_found")["message"].startswith("no route ")


def test_s1_6_another_host_is_a_403(appliance: Appliance) -> None:
    answer = appliance.ask("GET", PIPELINES, headers={"Host": "evil.example"})
    refused(answer, 403, "forbidden")


def test_s1_6_head_is_get_without_the_body(appliance: Appliance) -> None:
    answer = appliance.ask("HEAD", f"{PIPELINES}/orders-stream", key=KEY)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["ETag"] == appliance.ask("GET", f"{PIPELINES}/orders-stream").headers["ETag"]
