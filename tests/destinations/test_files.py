"""Local files on bad days: torn writes, links, permissions, full disks, things in the way."""

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conduit_local.core.delivering import Destination
from conduit_local.core.encoding import Encoder
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.destinations.files import FilesDestination, FilesSpec
from conduit_local.transforms.encoding import open_encoder
from conduit_local.transforms.settings import TransformSettings
from tests.destinations.test_contract import content, parts
from tests.disks import Disk

KEY = "orders/000000000001-000000000010.jsonl"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
async def encoder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Encoder]:
    async with open_encoder(TransformSettings(), scratch=tmp_path_factory.mktemp("encoding")) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path, threads: ThreadPoolExecutor, encoder: Encoder) -> Destination:
    return FilesDestination(FilesSpec(name="files"), tmp_path, threads, encoder)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def unavailable(destination: Destination, key: str = KEY) -> DestinationUnavailable:
    with pytest.raises(DestinationUnavailable) as caught:
        await destination.write(key, content(1, 10))
    return caught.value


async def test_a_half_written_part_of_an_earlier_life_is_replaced(files: Destination, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "orders"
    folder.mkdir(parents=True)
    (folder / ".000000000001-000000000010.jsonl.part").write_bytes(b"half")
    await files.write(KEY, content(1, 10))
    assert [entry.name for entry in folder.iterdir()] == ["000000000001-000000000010.jsonl"]


async def test_a_file_with_other_content_is_never_written_over(files: Destination, tmp_path: Path) -> None:
    target = tmp_path / "out" / KEY
    target.parent.mkdir(parents=True)
    target.write_bytes(b"somebody's")
    error = await unavailable(files)
    assert error.needs_person
    assert "other content is there" in error.message
    assert target.read_bytes() == b"somebody's"
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]
    target.unlink()
    await files.write(KEY, content(1, 10))
    assert target.read_bytes() == b"".join(parts(1, 10))


async def test_a_prefix_of_the_right_content_is_other_content(files: Destination, tmp_path: Path) -> None:
    await files.write(KEY, content(1, 10))
    target = tmp_path / "out" / KEY
    target.write_bytes(target.read_bytes()[:-1])
    assert (await unavailable(files)).needs_person


@pytest.mark.parametrize(
    "where", ["out", "out/orders", f"out/{KEY}", "out/orders/.000000000001-000000000010.jsonl.part"]
)
async def test_no_link_leads_outside(files: Destination, tmp_path: Path, where: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("untouched")
    link = tmp_path / where
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside / "victim" if link.suffix else outside, target_is_directory=not link.suffix)
    if where.endswith(".part"):
        await files.write(KEY, content(1, 10))
    else:
        assert (await unavailable(files)).needs_person
    assert [entry.name for entry in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_text() == "untouched"


async def test_an_absolute_path_may_itself_be_a_link(
    tmp_path: Path, threads: ThreadPoolExecutor, encoder: Encoder
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    made = FilesDestination(FilesSpec(name="files", path=str(tmp_path / "link")), tmp_path / "data", threads, encoder)
    await made.write(KEY, content(1, 10))
    assert (tmp_path / "real" / KEY).exists()


async def test_a_file_where_a_folder_belongs_blocks_with_a_reason(files: Destination, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    error = await unavailable(files)
    assert error.needs_person
    assert "stands where a folder belongs" in error.message


async def test_a_full_disk_is_waited_for_and_leaves_nothing_behind(
    small_disk: Disk, threads: ThreadPoolExecutor, encoder: Encoder
) -> None:
    files = FilesDestination(FilesSpec(name="files"), small_disk.path, threads, encoder)
    await files.write(KEY, content(1, 10))
    small_disk.fill(leave_bytes=20_000)
    key = "orders/000000000011-000000002010.jsonl"
    with pytest.raises(DestinationUnavailable, match="No space left") as caught:
        await files.write(key, content(11, 2_000))
    assert not caught.value.needs_person
    folder = small_disk.path / "out" / "orders"
    assert [entry.name for entry in folder.iterdir()] == ["000000000001-000000000010.jsonl"]
    small_disk.give_back()
    await files.write(key, content(11, 2_000))
    assert (folder / "000000000011-000000002010.jsonl").read_bytes() == b"".join(parts(11, 2_000))


@pytest.mark.parametrize(
    ("number", "person"), [(errno.EACCES, True), (errno.EROFS, True), (errno.EIO, False), (errno.ENOSPC, False)]
)
async def test_what_the_system_says_is_for_a_person_or_for_time(
    files: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, person: bool
) -> None:
    def fails(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        error = await unavailable(files)
    assert error.needs_person is person
    assert os.strerror(number) in error.message
    assert KEY in error.message
    await files.write(KEY, content(1, 10))
    assert [entry.name for entry in (tmp_path / "out" / "orders").iterdir()] == [KEY.split("/")[1]]


async def test_files_are_readable_as_the_umask_says(files: Destination, tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        await files.write(KEY, content(1, 10))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out" / KEY).stat().st_mode) == 0o644


async def test_no_descriptor_is_left_open(files: Destination, tmp_path: Path) -> None:
    await files.write(KEY, content(1, 10))
    before = descriptors()
    for n in range(50):
        await files.write(f"orders/h={n}/x/000000000001-000000000010.jsonl", content(1, 10))
    (tmp_path / "out" / "blocked").write_text("")
    for n in range(20):
        await unavailable(files, f"blocked/{n}/000000000001-000000000010.jsonl")
    assert descriptors() == before


async def test_writes_at_once_do_not_disturb_each_other(files: Destination, tmp_path: Path) -> None:
    await asyncio.gather(
        *(files.write(f"orders/{n:012d}-{n + 9:012d}.jsonl", content(n, 10)) for n in range(1, 500, 10))
    )
    assert len(list((tmp_path / "out" / "orders").iterdir())) == 50
