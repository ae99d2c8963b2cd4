"""`verify`."""

from pathlib import Path

from tests.appliance import Appliance
from tests.cli.commands import Operator, command
from tests.client.servers import Said, answering

TENS = {"max_events": 10, "max_age": "50ms"}


def landed(appliance: Appliance, name: str, count: int, *destinations: dict[str, object]) -> list[Path]:
    """The files that so many events of a new pipeline have become."""
    body: dict[str, object] = {"batch": TENS}
    if destinations:
        body["destinations"] = list(destinations)
    assert appliance.ask("PUT", f"/_local/pipelines/{name}", body).status == 201
    if count:
        events = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
        assert appliance.ask("POST", f"/_local/pipelines/{name}/events", events).status == 200
        appliance.until_delivered(name)
    return sorted((appliance.data / "out" / name).rglob("*.jsonl*"))


def test_all_that_is_well_is_a_table(appliance: Appliance, conduit: Operator) -> None:
    files = landed(appliance, "well", 30)
    head, row = conduit.table("verify", "well")
    assert head == [
        "DESTINATION", "TYPE", "OBJECTS", "ROWS", "SIZE", "MISSING", "ALTERED", "UNREADABLE", "EXTRA", "OLDER",
        "RESULT",
    ]  # fmt: skip
    assert (row[:4], row[5:]) == (["files", "files", str(len(files)), "30"], ["0", "0", "0", "0", "0", "ok"])
    said = conduit.ok("verify", "well", "--quick")
    assert f"ok, {len(files)} by their size alone" in said
    found = conduit.json("verify", "well")
    assert (found["ok"], found["problems"], found["destinations"][0]["compared"]) == (True, [], len(files))


def test_nothing_delivered_is_well_too(appliance: Appliance, conduit: Operator) -> None:
    landed(appliance, "empty", 0)
    assert conduit.table("verify", "empty")[1][2:4] == ["0", "0"]


def test_each_problem_is_named_with_what_to_do(appliance: Appliance, conduit: Operator) -> None:
    away: dict[str, object] = {"type": "files", "name": "away", "path": "away"}
    lost, short, *_ = landed(appliance, "spoilt", 30, {"type": "files"}, away)
    lost.unlink()
    short.write_bytes(b"x")
    (short.parent / "notes\x1b[2J.txt").write_text("mine")
    (appliance.data / "away").rename(appliance.data / "moved")
    (appliance.data / "away").write_text("in the way")
    done = conduit("verify", "spoilt")
    assert done.code == 1
    paragraphs = done.out.split("\n\n")
    assert [one.split(":")[0] for one in paragraphs[1:]] == ["missing", "altered", "extra"]
    assert "conduit-local runs start spoilt --full-refresh" in paragraphs[1]
    assert f"  files: {lost}: it was delivered, and is not there (" in paragraphs[1]
    assert f"  files: {short}: it has 1 bytes; " in paragraphs[2]
    assert "  files: spoilt/notes\\x1b[2J.txt: it lies there, and the pipeline has not delivered it" in paragraphs[3]
    assert "\x1b" not in done.out + done.err
    assert "unavailable: list " in done.out
    assert done.err == (
        "conduit-local: 3 objects not as delivered; away cannot be reached "
        "(conduit-local destinations test spoilt away)\n"
    )
    found = conduit("verify", "spoilt", "--destination", "files", "--json")
    assert (found.code, found.json["ok"]) == (1, False)
    assert {one["problem"] for one in found.json["problems"]} == {"missing", "altered", "extra"}
    (only,) = found.json["destinations"]
    assert (only["destination"], only["missing"], only["altered"], only["extra"]) == ("files", 1, 1, 1)


def test_of_many_problems_some_are_shown(appliance: Appliance, conduit: Operator) -> None:
    (one, *_) = landed(appliance, "many", 10)
    for n in range(120):
        (one.parent / f"{n}.txt").touch()
    done = conduit("verify", "many")
    assert done.out.count("it lies there") == 100
    assert "  and 20 more: --json names all" in done.out


def test_what_is_not_there_is_said(conduit: Operator) -> None:
    assert "(pipeline_not_found)" in conduit("verify", "nobody").err
    done = conduit("verify", "orders-stream", "--destination", "sink")
    assert (done.code, "(destination_not_found)" in done.err) == (1, True)


def test_a_check_that_is_cut_off_is_not_taken_for_one_that_is_well() -> None:
    progress = b'{"kind":"progress","destination":"files","step":"read","done":1,"of":2}\n'
    for body in (progress, progress[:-5], b""):
        with answering(Said(200, body)) as server:
            done = command("verify", "orders", "--url", server.url)
            assert (done.code, done.out) == (3, "")
            assert "was cut off" in done.err
    said = b'{"kind":"error","status":503,"error":{"code":"store_unavailable","message":"the disk is full"}}\n'
    with answering(Said(200, progress + said)) as server:
        done = command("verify", "orders", "--url", server.url)
        assert (done.code, done.out, done.err) == (1, "", "conduit-local: the disk is full (store_unavailable)\n")
