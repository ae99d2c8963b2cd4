"""S3.1, S3.11, and the document's examples as they are printed, but for host, key and ids; our page's too."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

import conduit_local.dialects.s3
from conduit_local.dialects.s3 import told
from tests.appliance import KEY, Appliance, serving
from tests.dialects.curl import curl
from tests.dialects.s3.asking import KEYS, MILLISECONDS, PIPES, good, make, payloads, refused, shown
from tests.docs.test_readme import PORT, pattern, steps

DOCUMENTED = {
    "/v1/pipes": {"get", "post"},
    "/v1/pipes/{pipe_id}": {"get", "patch", "delete"},
    "/v1/pipes/{pipe_id}/destinations": {"post"},
    "/v1/pipes/{pipe_id}/destinations/{destination_id}": {"patch", "delete"},
    "/v1/pipes/{pipe_id}/destinations/{destination_id}/status": {"patch"},
    "/v1/pipes/{pipe_id}/limits": {"put"},
    "/v1/pipes/{pipe_id}/allowed-origins": {"post"},
    "/v1/pipes/{pipe_id}/allowed-origins/{origin_id}": {"delete"},
    "/v1/api-keys": {"get", "post"},
    "/v1/api-keys/{api_key_id}": {"delete"},
    "/v1/health": {"get"},
    "/v1/ingest/{pipe_id}": {"get", "post", "options"},
}
CURL = r"""curl -X POST "https://YOUR_HOST/v1/ingest/PIPE_UUID" \
  -H "Authorization: Bearer bp_v1_…" \
  -H "Content-Type: application/json" \
  -d '{"event":"signup","user_id":"123"}'"""


def test_s3_1_health_answers_without_a_key_and_with_milliseconds(appliance: Appliance) -> None:
    said = good(appliance.ask("GET", "/v1/health", key=None), 200, told.Health)
    assert list(said) == ["status", "timestamp"]
    assert said["status"] == "ok"
    assert MILLISECONDS.fullmatch(said["timestamp"])
    assert abs(datetime.fromisoformat(said["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert good(appliance.ask("GET", "/v1/health"), 200, told.Health)["status"] == "ok"
    refused(appliance.ask("POST", "/v1/health", {}), 405, "method_not_allowed")


def test_s3_2_every_route_of_the_document_is_there_and_no_other(appliance: Appliance) -> None:
    paths = appliance.ask("GET", "/openapi.json").json["paths"]
    found = {path: set(one) for path, one in paths.items() if any("pipes" in each["tags"] for each in one.values())}
    assert found == DOCUMENTED


def test_s3_6_the_documents_curl_goes_as_it_is_printed(appliance: Appliance) -> None:
    pipe = make(appliance, "my_pipe")["pipe_id"]
    secret = appliance.ask("POST", KEYS, {"api_key_name": "curl", "scopes": ["ingest"]}).json["api_key"]["secret"]
    line = CURL.replace("https://YOUR_HOST", appliance.url).replace("PIPE_UUID", pipe).replace("bp_v1_…", secret)
    said = told.Accepted.model_validate_json(curl(line.replace("curl ", "curl -s ", 1)))
    assert (said.pipe_id, said.pipe_name, said.records_count) == (pipe, "my_pipe", 1)
    assert payloads(appliance, pipe) == [{"event": "signup", "user_id": "123"}]


def test_s3_2_the_documents_bodies_are_taken_as_they_are_printed(appliance: Appliance) -> None:
    made = make(appliance, "printed")
    path = f"{PIPES}/{made['pipe_id']}"
    origin = appliance.ask("POST", f"{path}/allowed-origins", b'{"origin_domain":"https://app.example.com"}')
    assert good(origin, 201, told.OriginAnswer)["allowed_origin"]["origin_domain"] == "https://app.example.com"
    status = f"{path}/destinations/{made['destinations'][0]['destination_id']}/status"
    for named in (b'{"destination_status":"blocked"}', b'{"destination_status":"active"}'):
        found = good(appliance.ask("PATCH", status, named), 200, told.DestinationAnswer)["destination"]
        assert found["destination_status"].encode() in named


def test_the_pages_example_goes_as_it_is_shown(appliance: Appliance) -> None:
    page = (Path(conduit_local.dialects.s3.__file__).parent / "README.md").read_text()
    (setting, nothing), (command, printed) = steps(page)
    assert (nothing.strip(), KEY in setting) == ("", True)
    found = curl(f"{setting}\n{command}".replace(PORT, str(appliance.port)))
    assert re.fullmatch(pattern(printed.strip("\n")), found.strip("\n")), found


# OpenAPI -------------------------------------------------------------------------------------------------------


def test_s3_11_base_url_is_the_server_that_the_document_names(tmp_path: Path) -> None:
    base = "https://www.batchpipe.com"
    with serving(tmp_path, {}, environment={"BASE_URL": base}) as appliance:
        answer = appliance.ask("GET", "/openapi.yaml", key=None)
        assert (answer.status, "yaml" in answer.headers["Content-Type"]) == (200, True)
        document: dict[str, Any] = yaml.safe_load(answer.body)
        assert [one["url"].rstrip("/") for one in document["servers"]] == [base]
        assert document == appliance.ask("GET", "/openapi.json", key=None).json
        assert "/v1/ingest/{pipe_id}" in document["paths"]
        lines = document["paths"]["/v1/ingest/{pipe_id}"]["post"]["x-codeSamples"][0]["source"]
        assert f"{base}/v1/ingest/" in lines


def test_s3_11_without_it_the_document_names_this_appliance(appliance: Appliance) -> None:
    document = yaml.safe_load(appliance.ask("GET", "/openapi.yaml", key=None).body)
    assert document["openapi"].startswith("3.1")
    assert [one["url"].rstrip("/") for one in document["servers"]] == [appliance.url]


def test_s3_2_what_is_shown_of_a_new_pipe_is_what_is_documented(appliance: Appliance) -> None:
    made = make(appliance, "as documented")
    schemas = appliance.ask("GET", "/openapi.json").json["components"]["schemas"]
    (shape,) = (one for name, one in schemas.items() if name.endswith("PipeShown"))
    assert set(shape["required"]) == set(shape["properties"]) == set(shown(appliance, made["pipe_id"]))
