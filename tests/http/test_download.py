"""What a run has written, as a download: whole, in bounded memory, and with a clear answer where it is gone."""

import io
import json
import os
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance import KEY, Appliance, serving
from tests.disks import Disk

MIB = 1 << 20
PLAIN = """
name: orders
id: pl_8f3a
schedule: 0 0 1 1 *
batch: {max_events: 10}
"""
PACKED = """
name: packed
id: pl_packed
schedule: 0 0 1 1 *
batch: {max_events: 100}
destinations: [{type: files, path: packed, compression: gzip}]
"""


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    with serving(tmp_path_factory.mktemp("download"), {"orders": PLAIN, "packed": PACKED}) as running:
        yield running


def run_of(appliance: Appliance, count: int, pipeline: str = "orders") -> str:
    """A run that has ended, over so many new events."""
    batch = [{"event_type": "a.b", "payload": {"n": n}} for n in range(count)]
    if batch:
        assert appliance.ask("POST", f"/_local/pipelines/{pipeline}/events", batch).status == 200
    answer = appliance.ask("POST", f"/_local/pipelines/{pipeline}/runs", {})
    assert answer.status == 202
    run = str(answer.json["id"])
    while (state := appliance.ask("GET", f"/_local/runs/{run}").json["state"]) in {"pending", "running"}:
        pass
    assert state == "success"
    return run


def objects(appliance: Appliance, before: frozenset[Path] = frozenset(), below: str = "out") -> list[Path]:
    return sorted({*(appliance.data / below).rglob("*.jsonl*")} - before)


def new_run(appliance: Appliance, count: int) -> tuple[str, list[Path]]:
    """A run and its objects."""
    before = frozenset(objects(appliance))
    return run_of(appliance, count), objects(appliance, before)


def path_of(run: str) -> str:
    return f"/_local/runs/{run}/download"


def open_files(appliance: Appliance) -> set[str]:
    """The objects and temporary files that it holds open."""
    assert appliance.process is not None
    found = set()
    for link in Path(f"/proc/{appliance.process.pid}/fd").iterdir():
        try:
            found.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    return {name for name in found if ".jsonl" in name or "deleted" in name}


def until_none_is_open(appliance: Appliance) -> None:
    """An answer lies between two looks, so that the appliance had its turn."""
    for _ in range(2_000):
        if not open_files(appliance):
            return
        appliance.snapshot()
    raise AssertionError(open_files(appliance))


def hung_up_after(appliance: Appliance, run: str, count: int) -> None:
    """Ask for a download, read so many bytes, and be gone without a word."""
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=10) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        head = f"GET {path_of(run)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.sendall(head.encode())
        while count > 0 and (block := connection.recv(min(count, 65_536))):
            count -= len(block)


def test_one_object_comes_as_the_file_it_is(appliance: Appliance) -> None:
    run, (path,) = new_run(appliance, 7)
    answer = appliance.ask("GET", path_of(run))
    assert (answer.status, answer.body) == (200, path.read_bytes())
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{path.name}"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_a_packed_object_stays_packed(appliance: Appliance) -> None:
    run = run_of(appliance, 7, "packed")
    (path,) = objects(appliance, below="packed")
    answer = appliance.ask("GET", path_of(run))
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, path.read_bytes(), "application/gzip")
    assert "Content-Encoding" not in answer.headers


def test_several_objects_come_as_a_zip_that_is_sound_and_always_the_same(appliance: Appliance) -> None:
    run, paths = new_run(appliance, 35)
    assert len(paths) == 4
    answer = appliance.ask("GET", path_of(run))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{run}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {str(path.relative_to(appliance.data / "out")): path.read_bytes() for path in paths}
    assert not any(name.startswith("/") or ".." in name for name in found)
    assert appliance.ask("GET", path_of(run)).body == answer.body


def test_a_look_at_the_head_leaves_the_connection_in_order(appliance: Appliance) -> None:
    run, (path,) = new_run(appliance, 3)
    rest = f"{path_of(run)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=10) as connection:
        connection.sendall(f"HEAD {rest}\r\nGET {rest}Connection: close\r\n\r\n".encode())
        said = b""
        while block := connection.recv(65_536):
            said += block
    head, second, body = said.split(b"\r\n\r\n", 2)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {path.stat().st_size}".encode() in head
    assert second.startswith(b"HTTP/1.1 200 OK")
    assert body == path.read_bytes()


def test_a_run_that_wrote_nothing_says_so(appliance: Appliance) -> None:
    answer = appliance.ask("GET", path_of(run_of(appliance, 0)))
    assert (answer.status, answer.code) == (404, "output_not_found")
    assert "has written nothing" in answer.json["error"]["message"]


def test_objects_that_are_gone_are_left_out_and_once_all_are_gone_it_says_so(appliance: Appliance) -> None:
    run, paths = new_run(appliance, 25)
    paths[0].unlink()
    with zipfile.ZipFile(io.BytesIO(appliance.ask("GET", path_of(run)).body)) as archive:
        assert len(archive.namelist()) == 2
    paths[1].unlink()
    assert appliance.ask("GET", path_of(run)).body == paths[2].read_bytes()
    paths[2].unlink()
    answer = appliance.ask("GET", path_of(run))
    assert (answer.status, answer.code) == (404, "output_not_found")
    assert "is not there any more" in answer.json["error"]["message"]


def test_what_stands_in_an_objects_place_is_not_followed(appliance: Appliance, tmp_path: Path) -> None:
    run, (path,) = new_run(appliance, 3)
    path.unlink()
    (tmp_path / "secret").write_text("not yours")
    path.symlink_to(tmp_path / "secret")
    answer = appliance.ask("GET", path_of(run))
    assert answer.status == 503
    assert b"not yours" not in answer.body
    path.unlink()
    path.mkdir()
    assert appliance.ask("GET", path_of(run)).status == 503
    path.rmdir()
    os.mkfifo(path)
    assert appliance.ask("GET", path_of(run), timeout_s=5).status == 503
    until_none_is_open(appliance)


def test_a_large_object_passes_in_pieces(appliance: Appliance) -> None:
    run, (path,) = new_run(appliance, 3)
    os.truncate(path, 192 * MIB)
    before = appliance.rss_mib()
    answer = appliance.ask("GET", path_of(run))
    assert len(answer.body) == 192 * MIB
    assert appliance.rss_mib() - before < 32


def test_large_objects_pass_as_a_zip_in_pieces(appliance: Appliance) -> None:
    run, paths = new_run(appliance, 15)
    for path in paths:
        os.truncate(path, 64 * MIB)
    paths[0].write_bytes(noise := os.urandom(12 * MIB))
    before = appliance.rss_mib()
    answer = appliance.ask("GET", path_of(run))
    assert appliance.rss_mib() - before < 40
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        first, second = archive.infolist()
        assert archive.read(first) == noise
        assert second.file_size == 64 * MIB
    until_none_is_open(appliance)


def test_while_one_downloads_others_are_answered(appliance: Appliance) -> None:
    run, (path,) = new_run(appliance, 3)
    os.truncate(path, 256 * MIB)
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=10) as slow:
        slow.sendall(
            f"GET {path_of(run)} HTTP/1.1\r\nHost: a.localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 200")  # and reads no further
        before = appliance.rss_mib()
        for _ in range(50):
            assert appliance.ask("GET", "/_local/health/live", key=None, timeout_s=2).status == 200
        assert appliance.rss_mib() - before < 16


@pytest.mark.parametrize("count", [0, 200, 3 * MIB])
@pytest.mark.parametrize("events", [3, 25])
def test_a_client_that_hangs_up_leaves_no_file_open(appliance: Appliance, events: int, count: int) -> None:
    run, paths = new_run(appliance, events)
    for path in paths:
        with path.open("r+b") as file:
            file.truncate(12 * MIB)
    paths[0].write_bytes(os.urandom(6 * MIB))
    for _ in range(4):
        hung_up_after(appliance, run, count)
    until_none_is_open(appliance)
    assert "Traceback" not in appliance.log.read_text()


def test_an_object_that_shrinks_on_its_way_ends_the_connection(appliance: Appliance) -> None:
    run, (path,) = new_run(appliance, 3)
    os.truncate(path, 256 * MIB)
    with socket.create_connection(("127.0.0.1", appliance.port), timeout=20) as slow:
        slow.sendall(f"GET {path_of(run)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        os.truncate(path, 32 * MIB)
        count = 0
        while block := slow.recv(1 << 20):
            count += len(block)
    assert count < 256 * MIB
    until_none_is_open(appliance)


def test_where_there_is_no_room_for_a_zip_it_says_so_and_goes_on(small_disk: Disk, tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": PLAIN}, environment={"TMPDIR": str(small_disk.path)}) as appliance:
        run, paths = new_run(appliance, 15)
        for path in paths:
            path.write_bytes(os.urandom(16 * MIB))
        answer = appliance.ask("GET", path_of(run))
        assert answer.status == 503
        assert "into a zip: No space left" in answer.json["error"]["message"]
        until_none_is_open(appliance)
        paths[1].unlink()
        assert len(appliance.ask("GET", path_of(run)).body) == 16 * MIB


def test_a_path_in_a_runs_id_reaches_nothing(appliance: Appliance) -> None:
    for run in ("..%2f..%2fsecrets.key", "%2e%2e", "run_0000000z", "x" * 5_000, "%00"):
        answer = appliance.ask("GET", path_of(run))
        assert answer.status == 404, answer
        assert json.loads(answer.body)["error"]["code"] in {"run_not_found", "not_found"}
