"""S1: what the document and its page print, run as it is printed but for host and key."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conduit_local.dialects import s1
from tests.appliance import KEY, Appliance
from tests.dialects.curl import curl, matches, steps
from tests.dialects.s1.asking import PIPELINES, ended, run_of, runs_of, until

PAGE = (Path(s1.__file__).parent / "README.md").read_text()
TRIGGER = """\
curl -X POST \\
  -H "Authorization: Bearer df_key_..." \\
  -H "Content-Type: application/json" \\
  -d '{"full_refresh": false}' \\
  https://acme.example.com/api/v1/pipelines/user-analytics/runs
"""
FILE = """\
name: user-analytics
version: "1.0"
schedule: "0 */6 * * *"
sources: [{type: push}]
destinations: [{type: files, path: out}]
"""


@pytest.fixture
def key(appliance: Appliance) -> str:
    asked = {"name": "document", "scopes": ["manage"], "prefix": "df_key_"}
    secret: str = appliance.ask("POST", "/_local/keys", asked).json["secret"]
    return secret


@pytest.fixture(autouse=True)
def nothing_of_that_name(appliance: Appliance) -> None:
    appliance.ask("DELETE", f"{PIPELINES}/user-analytics")


def ran(appliance: Appliance, key: str, command: str) -> str:
    """What a printed command prints, with our host and key in it."""
    ours = {r"https?://(acme\.example\.com|127\.0\.0\.1:8642)": appliance.url, r"df_key_[\w.]+": key}
    return curl(command, ours)


def test_s1_3_the_documents_curl_runs_as_printed(appliance: Appliance, key: str) -> None:
    appliance.ask("POST", PIPELINES, FILE.encode(), headers={"Content-Type": "application/yaml"})
    printed = ran(appliance, key, TRIGGER)
    shown = (
        '{"data":{"id":"run_…","pipeline":"user-analytics","status":"running","started_at":"…Z",'
        '"progress":{"stage":"extract","rows_processed":0}}}'
    )
    assert matches(shown, printed), printed
    (run,) = runs_of(appliance, "user-analytics")["data"]
    assert ended(appliance, "user-analytics", run["id"])["status"] == "success"


def test_s1_2_a_file_is_pushed_by_curl(appliance: Appliance, key: str, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(FILE)
    head = f'curl -s -w "%{{http_code}}" -H "Authorization: Bearer {key}" -H "Content-Type: text/yaml"'
    sent = f"--data-binary @{tmp_path}/pipeline.yaml http://127.0.0.1:8642{PIPELINES}"
    assert ran(appliance, key, f"{head} {sent}").endswith("}}201")
    assert ran(appliance, key, f"{head} {sent}").endswith("}}409")
    assert ran(appliance, key, f"{head} -X PUT {sent}/user-analytics").endswith("}}200")
    assert ran(appliance, key, f"{head} -X DELETE http://127.0.0.1:8642{PIPELINES}/user-analytics") == "204"


def test_the_pages_commands_print_what_it_shows(appliance: Appliance, key: str) -> None:
    found = steps(PAGE)
    assert len(found) == 2
    for command, shown in found:
        printed = ran(appliance, key, command)
        assert matches(shown, printed), printed


def test_s1_5_the_pages_script_runs(appliance: Appliance, key: str) -> None:
    appliance.ask("POST", PIPELINES, FILE.encode(), headers={"Content-Type": "application/yaml"})
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    environment = {**os.environ, "CONDUIT_TOKEN": KEY, "CONDUIT_URL": appliance.url}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "active success 0 1\n", done.stderr
    (run,) = runs_of(appliance, "user-analytics")["data"]
    assert run["full_refresh"] is True


def test_s1_what_one_dialect_does_shows_here(appliance: Appliance) -> None:
    made = appliance.ask("POST", "/v1/pipelines", {"name": "user-analytics", "batch": {"max_age": "1h"}}).json
    appliance.emit({}, pipeline=made["id"])
    flushed = appliance.ask("POST", "/_local/pipelines/user-analytics/flush").json["id"]
    found = until(lambda: run_of(appliance, "user-analytics", flushed), lambda run: run["status"] == "success")
    assert (found["rows_loaded"], found["trigger"]) == (1, "manual")
