"""`destinations`: list, test."""

import io
import sys

import pytest

from conduit_local.cli.destinations import _show
from tests.appliance import Appliance
from tests.cli.commands import Operator


def make(appliance: Appliance, name: str, *destinations: dict[str, object]) -> None:
    body = {"batch": {"max_age": "50ms"}, "destinations": list(destinations)}
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status == 201


def test_destinations_are_listed_with_where_they_are(appliance: Appliance, conduit: Operator) -> None:
    where = {"bucket": "lake", "prefix": "raw", "endpoint_url": "http://127.0.0.1:9"}
    keys = {"access_key_id": "AKIA", "secret_access_key": "hush"}
    make(appliance, "listed", {"type": "files", "path": "here"}, {"type": "s3", "paused": True, **where, **keys})
    head, files, s3 = conduit.table("destinations", "list", "listed")
    assert head[:5] == ["DESTINATION", "TYPE", "HEALTH", "IN", "FLIGHT"]
    assert files == ["files", "files", "ok", "0", "-", "path=here"]
    assert s3[:3] == ["s3", "s3", "held"]
    assert s3[5:] == ["endpoint_url=http://127.0.0.1:9", "bucket=lake", "prefix=raw"]
    assert [one["name"] for one in conduit.json("destinations", "list", "listed")] == ["files", "s3"]


def test_each_step_is_told_and_a_failure_is_the_exit_code(appliance: Appliance, conduit: Operator) -> None:
    (appliance.data / "wall").write_text("in the way")
    make(appliance, "tested", {"type": "files"}, {"type": "files", "name": "stuck", "path": "wall"})
    said = conduit.ok("destinations", "test", "tested", "files").splitlines()
    assert said[0] == "files"
    assert [line.split()[:2] for line in said[1:]] == [["✓", step] for step in ("write", "read", "overwrite", "remove")]
    done = conduit("destinations", "test", "tested")
    assert done.code == 1
    assert done.out.startswith("files\n  ✓ write")
    assert "stuck (files)\n  ✗ write" in done.out
    assert done.err.startswith("conduit-local: stuck: ")
    found = conduit("destinations", "test", "tested", "--json")
    assert (found.code, [one["ok"] for one in found.json]) == (1, [True, False])
    assert conduit.json("destinations", "test", "tested", "files")[0]["findings"][0]["step"] == "write"


def test_what_is_not_there_is_said(conduit: Operator) -> None:
    done = conduit("destinations", "test", "orders-stream", "sink")
    assert (done.code, done.out) == (1, "")
    assert "has no destination 'sink'; it has: files (destination_not_found)" in done.err
    assert "(pipeline_not_found)" in conduit("destinations", "list", "nobody").err


def test_a_terminal_without_the_letters_gets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [{"step": str(ok), "ok": ok, "message": "so\x1b[2J"} for ok in (True, False, None)]
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii", errors="strict"))
    _show({"destination": "lake", "type": "s3", "ok": False, "findings": findings})
    sys.stdout.flush()
    assert said.getvalue() == b"lake (s3)\n  + True   so\\x1b[2J\n  x False  so\\x1b[2J\n  - None   so\\x1b[2J\n"
