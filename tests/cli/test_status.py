"""`status`, and how a command finds its appliance."""

import http.server
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import KEY, Appliance
from tests.cli.commands import Operator, command


def test_people_get_a_line_of_totals_and_a_row_a_pipeline(appliance: Appliance, conduit: Operator) -> None:
    appliance.emit({})
    appliance.until_delivered()
    head, totals, _, columns, *rows = conduit.ok("status").splitlines()
    assert appliance.url in head
    assert head.endswith("ledger ok")
    assert "pending 0" in totals
    assert columns.split()[:5] == ["STATE", "PIPELINE", "IN/s", "OUT/s", "PENDING"]
    assert [row.split()[:2] for row in rows] == [["active", "orders-stream"]]


def test_scripts_get_the_snapshot(appliance: Appliance, conduit: Operator) -> None:
    found = conduit.json("status")
    assert found["appliance"]["url"] == appliance.url
    assert found["ledger_closes"] is True
    assert [one["id"] for one in found["pipelines"]] == ["pl_8f3a"]


def test_a_state_that_is_not_active_and_a_file_that_is_wrong_are_shown(appliance: Appliance, conduit: Operator) -> None:
    conduit.ok("pipelines", "pause", "pl_8f3a")
    appliance.write_pipeline("broken", "nam: x")
    appliance.until(lambda found: found["configuration"]["problems"])
    said = conduit.ok("status")
    assert "paused  orders-stream" in said
    assert "CONFIGURATION: pipelines/broken.yaml:1: nam: unknown field; did you mean 'name'?" in said
    (appliance.config / "pipelines" / "broken.yaml").unlink()
    conduit.ok("pipelines", "resume", "pl_8f3a")
    appliance.until(lambda found: not found["configuration"]["problems"])


def test_watching_goes_on_until_it_is_interrupted(appliance: Appliance) -> None:
    args = ("status", "--watch", "--url", appliance.url, "--key", KEY)
    watching = subprocess.Popen(
        [sys.executable, "-m", "conduit_local", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    heads = (line for line in watching.stdout if line.startswith("conduit-local "))
    assert next(heads).split(" | ")[1] == next(heads).split(" | ")[1] == appliance.url
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=30)
    assert (watching.returncode, err.strip()) == (1, "Aborted.")


# Which appliance -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ("status",),
        ("pipelines", "list"),
        ("events", "list"),
        ("runs", "list"),
        ("keys", "list"),
        ("events", "send", "pl_8f3a", "a.b", "{}"),
        ("events", "tail"),
    ],
)
def test_where_nobody_listens_the_exit_code_is_3(args: tuple[str, ...]) -> None:
    done = command(*args, "--url", "http://127.0.0.1:1")
    assert (done.code, done.out) == (3, "")
    assert done.err == "conduit-local: no appliance answers at http://127.0.0.1:1: [Errno 111] Connection refused\n"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://[::1", "http:///x"])
def test_what_is_no_url_is_said_so(url: str) -> None:
    done = command("status", "--url", url)
    assert done.code == 3
    assert done.err.startswith(f"conduit-local: {url!r} is not the URL of an appliance; it looks like http://127.0.0.1")


def test_a_key_that_is_wrong_fails_and_is_not_shown(appliance: Appliance) -> None:
    for key in ("ck_live_wrong", "ключ"):
        done = command("status", "--url", appliance.url, "--key", key)
        assert (done.code, done.err) == (1, "conduit-local: the API key is not valid (unauthorized)\n")
    done = command("status", "--url", appliance.url, "--key", f"{KEY}\n")
    assert done.code == 1
    assert KEY not in done.err


def test_the_url_and_the_key_may_come_from_the_environment(
    appliance: Appliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDUIT_URL", appliance.url)
    monkeypatch.setenv("CONDUIT_TOKEN", KEY)
    assert command("status", "--json").json["appliance"]["url"] == appliance.url
    assert command("status", "--json", "--key", "wrong").code == 1


def test_a_data_folder_is_enough(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDUIT_URL", "http://127.0.0.1:1")  # what is given beats the environment
    assert command("status", "--json", "--data-dir", str(appliance.data)).json["appliance"]["url"] == appliance.url
    monkeypatch.delenv("CONDUIT_URL")
    monkeypatch.setenv("CONDUIT_LOCAL_DATA_DIR", str(appliance.data))
    assert command("status", "--json").json["appliance"]["url"] == appliance.url


@pytest.mark.parametrize(
    "said", [None, "", "[]", "{}", '{"pid": 1e30, "url": "http://127.0.0.1:8642"}', '{"pid": "x"}']
)
def test_a_data_folder_that_nobody_serves_is_never_mistaken_for_another(tmp_path: Path, said: str | None) -> None:
    if said is not None:
        (tmp_path / "appliance.json").write_text(said)
    done = command("status", "--data-dir", str(tmp_path))
    assert done.code == 3
    assert done.err.startswith(f"conduit-local: no appliance serves the data folder {tmp_path}; start one")


def test_a_killed_appliance_is_not_reachable(tmp_path: Path) -> None:
    with Appliance(tmp_path) as appliance:
        appliance.kill()
    assert (appliance.data / "appliance.json").exists()
    assert command("status", "--data-dir", str(appliance.data)).code == 3


def test_what_answers_but_is_no_appliance_is_said_so(web: str) -> None:
    done = command("status", "--url", web)
    assert (done.code, done.err) == (3, f"conduit-local: what answers at {web} is no appliance\n")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server that answers everything with a page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<h1>It works!</h1>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
