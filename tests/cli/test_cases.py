"""`pipelines test`: the tests of pipeline files, in a real child, without an appliance."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conduit_local.cli.demo import sample_folder
from tests.appliance import serving
from tests.cli.commands import Operator, command, process

GOOD = """
name: orders
variables: {LEAST: "0"}
transforms:
  - {type: filter, where: "(payload->>'total')::DOUBLE >= ${LEAST}"}
  - type: sql
    query: |
      SELECT payload->>'orderId' AS order_id, event_type, (payload->>'total')::DOUBLE AS total
      FROM events
tests:
  - name: totals become numbers
    events:
      - {orderId: ord_1, total: "4.50"}
      - {type: order.paid, payload: {orderId: ord_2, total: 7}}
      - {orderId: ord_3, total: many}
    rows:
      - {order_id: ord_1, event_type: event, total: 4.5}
      - {total: 7, event_type: order.paid, order_id: ord_2}
    dead: [2]
  - name: a run may ask for more
    variables: {LEAST: "5"}
    events: [{orderId: a, total: 4}, {orderId: b, total: 6}]
    rows: [{order_id: b, event_type: event, total: 6}]
"""
MASKED = """
name: masked
transforms: [{type: mask, fields: [payload.mail]}]
tests:
  - name: mail is covered, the rest stays as it is
    events: [{mail: ada@example.com, n: 1}]
    rows: [{mail: "***", n: 1}]
"""
FAILING = """
name: failing
transforms: [{type: sql, query: "SELECT CAST(payload->>'n' AS INTEGER) AS n FROM events"}]
tests:
  - name: good
    events: [{n: 1}]
    rows: [{n: 1}]
  - name: rows that differ
    events: [{n: 1}, {n: 2}, {n: 3}]
    rows: [{n: 1}, {n: 5}]
  - name: one that dies
    events: [{n: 1}, {n: "\\e[31mx"}]
    rows: [{n: 1}, {n: 2}]
    dead: [0]
"""


ANY = "tests: [{name: a, events: [], rows: []}]"


def put(folder: Path, **pipelines: str) -> Path:
    """A configuration folder."""
    (folder / "pipelines").mkdir(parents=True)
    for name, text in pipelines.items():
        (folder / "pipelines" / f"{name}.yaml").write_text(text)
    return folder


def test_tests_that_pass_are_listed(tmp_path: Path) -> None:
    folder = put(tmp_path, orders=GOOD, masked=MASKED, plain="name: plain\n") / "pipelines"
    expected = [
        f"{folder}/masked.yaml: masked",
        "  ok    mail is covered, the rest stays as it is",
        f"{folder}/orders.yaml: orders",
        "  ok    totals become numbers",
        "  ok    a run may ask for more",
        f"{folder}/plain.yaml: plain has no tests",
        "3 tests passed",
    ]
    for given in (tmp_path, folder):
        done = command("pipelines", "test", str(given))
        assert (done.code, done.out.splitlines(), done.err) == (0, expected, "")
    one = command("pipelines", "test", str(folder / "masked.yaml"), str(folder / "plain.yaml"))
    assert one.out.splitlines() == [*expected[:2], expected[5], "1 test passed"]
    none = command("pipelines", "test", str(folder / "plain.yaml"))
    assert (none.code, none.out.splitlines()) == (0, [expected[5], "no tests"])


def test_the_sample_that_comes_along_passes() -> None:
    done = command("pipelines", "test", str(sample_folder() / "examples"))
    assert (done.code, done.out.splitlines()[-1]) == (0, "2 tests passed")


def test_what_differs_is_shown_test_by_test(tmp_path: Path) -> None:
    file = put(tmp_path, failing=FAILING) / "pipelines" / "failing.yaml"
    done = command("pipelines", "test", str(file))
    assert (done.code, done.err) == (1, "conduit-local: 2 of 3 tests failed\n")
    assert done.out.splitlines() == [
        f"{file}: failing",
        "  ok    good",
        "  FAIL  rows that differ",
        "        rows: 2 expected, 3 came",
        "        rows[1]: differs in 'n'",
        '          expected  {"n": 5}',
        '          got       {"n": 2}',
        "        rows[2]: is one too many",
        '          got       {"n": 3}',
        "  FAIL  one that dies",
        "        rows: 2 expected, 1 came",
        "        rows[1]: is missing",
        '          expected  {"n": 2}',
        "        events[0]: was to die, and did not",
        "        events[1]: died: Could not convert string '\\x1b[31mx' to INT32",
    ]


def test_json_is_one_document_whatever_came_of_it(tmp_path: Path) -> None:
    folder = put(tmp_path, failing=FAILING, plain="name: plain\n")
    done = command("pipelines", "test", str(folder), "--json")
    assert done.code == 1
    failing, plain = done.json
    assert plain == {"file": str(folder / "pipelines" / "plain.yaml"), "pipeline": "plain", "tests": []}
    assert [(one["name"], one["ok"]) for one in failing["tests"]] == [
        ("good", True),
        ("rows that differ", False),
        ("one that dies", False),
    ]
    assert failing["tests"][1]["differences"] == [
        {"about": "rows", "message": "2 expected, 3 came"},
        {"about": "rows[1]", "message": "differs in 'n'", "expected": {"n": 5}, "got": {"n": 2}},
        {"about": "rows[2]", "message": "is one too many", "got": {"n": 3}},
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: bad\ntests:\n  - {name: a, events: [], row: []}\n", "bad.yaml:3: tests[0].row: unknown field"),
        ("name: bad\nbatch: {max_events: 0}\n", "bad.yaml:2: batch.max_events: must be at least 1, not 0"),
        ("name: [\n", "bad.yaml:1: is not YAML"),
        (
            "name: bad\ntransforms:\n  - type: filter\n    where: true\n",
            "bad.yaml:4: transforms[0].where: must be text",
        ),
        (
            f"name: bad\ntransforms:\n  - {{type: sql, query: SELECT m FROM events}}\n{ANY}\n",
            "bad.yaml:3: transforms[0]: line 1, column 8: ",
        ),
        (
            f"name: bad\nvariables: {{V: null}}\ntransforms:\n  - {{type: filter, where: '${{V}}'}}\n{ANY}\n",
            "bad.yaml:4: transforms[0].where: there is no variable V",
        ),
    ],
)
def test_a_wrong_file_exits_2_with_file_and_line_and_the_others_are_tested(
    tmp_path: Path, text: str, said: str
) -> None:
    folder = put(tmp_path, bad=text, masked=MASKED)
    done = command("pipelines", "test", str(folder))
    assert done.code == 2
    assert f"{folder / 'pipelines'}/{said}" in done.err
    assert "problem" in done.err.splitlines()[-1]
    assert "ok    mail is covered" in done.out


def test_a_place_without_pipelines_exits_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("pipelines", "test", str(tmp_path / "gone.yaml")).code == 2
    (tmp_path / "empty").mkdir()
    done = command("pipelines", "test", str(tmp_path / "empty"))
    assert (done.code, done.err) == (2, f"conduit-local: {tmp_path / 'empty'}: no pipeline files here\n")
    put(tmp_path / "here", masked=MASKED)
    monkeypatch.chdir(tmp_path / "here")
    assert command("pipelines", "test").out.endswith("1 test passed\n"), "the folder that serve would use"


def test_a_query_without_end_fails_its_own_test_only(tmp_path: Path) -> None:
    greedy = """
name: greedy
transforms: [{type: sql, query: "SELECT repeat(payload::VARCHAR, 100000000) AS a FROM events"}]
tests:
  - {name: too much, events: [{n: 1}, {n: 2}, {n: 3}, {n: 4}], rows: []}
"""
    done = command("pipelines", "test", str(put(tmp_path, greedy=greedy, masked=MASKED)), "--json")
    assert done.code == 1
    found, masked = done.json
    assert "transforms." in found["tests"][0]["differences"][0]["message"]
    assert masked["tests"][0]["ok"]


def test_it_runs_as_a_command_and_leaves_nothing(tmp_path: Path) -> None:
    folder = put(tmp_path / "config", orders=GOOD)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = process("pipelines", "test", environment={"TMPDIR": str(scratch)}, folder=folder)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("2 tests passed\n")
    assert list(scratch.iterdir()) == []


def test_an_appliance_takes_a_file_with_tests_and_never_shows_them(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": GOOD}) as appliance:
        assert "tests" not in appliance.ask("GET", "/_local/pipelines/orders").json["configuration"]
        file = tmp_path / "masked.yaml"
        file.write_text(MASKED)
        operator = Operator(appliance)
        operator.ok("pipelines", "apply", str(file))
        assert "tests" not in operator.json("pipelines", "show", "masked")["configuration"]
        file.write_text(MASKED.replace("rows:", "row:"))
        done = operator("pipelines", "apply", str(file))
        assert done.code == 2
        assert f"{file}:5: tests[0].rows: is required" in done.err


def test_another_checkout_gives_the_same_bytes(tmp_path: Path) -> None:
    """Deterministic: two processes, two folders, one outcome but for the file's own path."""
    outcomes = []
    for name in ("one", "two"):
        folder = put(tmp_path / name, failing=FAILING, orders=GOOD)
        done = subprocess.run(
            [sys.executable, "-m", "conduit_local", "pipelines", "test", "--json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        outcomes.append([{**one, "file": Path(one["file"]).name} for one in json.loads(done.stdout)])
        shutil.rmtree(folder)
    assert outcomes[0] == outcomes[1]
