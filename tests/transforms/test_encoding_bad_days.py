"""Parquet on bad days: children killed, limits, full disks; and what it costs while there is none."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from conduit_local.core.content import Column, Envelopes
from conduit_local.core.delivering import Rejected
from conduit_local.core.errors import DestinationUnavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.transforms.encoding import ParquetEncoder, open_encoder
from conduit_local.transforms.process import Child
from conduit_local.transforms.running import SqlTransforms
from conduit_local.transforms.settings import TransformSettings
from tests.disks import Disk
from tests.formats.making import Rows
from tests.transforms.encoders import bytes_of, children_in, encoder_in, until
from tests.transforms.making import ENDLESS, files_in, lines_of, reading, sql

ONE = PipelineNumber(1)


async def test_no_child_is_there_before_the_first_batch_and_none_after_some_idling(tmp_path: Path) -> None:
    async with open_encoder(TransformSettings(), scratch=tmp_path / "idle", idle_s=0.01) as encoder:
        assert children_in(tmp_path / "idle") == set()
        assert bytes_of(await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope"))
        await until(lambda: children_in(tmp_path / "idle") == set())


async def test_a_file_is_there_until_it_is_closed_for_any_thread(encoder: ParquetEncoder, encoding: Path) -> None:
    file = await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope")
    one, other = await asyncio.gather(*(asyncio.to_thread(lambda: b"".join(file.pieces())) for _ in range(2)))
    assert one == other
    assert len(files_in(encoding)) == 1
    file.close()
    file.close()
    assert files_in(encoding) == []


async def test_batches_at_once_take_turns(encoder: ParquetEncoder, encoding: Path) -> None:
    contents = [Envelopes(lines_of([f'{{"n":{n}}}'] * 50), 50) for n in range(6)]
    files = await asyncio.gather(*(encoder.parquet(content, "envelope") for content in contents))
    assert len(children_in(encoding)) == 1
    for number, file in enumerate(files):
        table = parquet.read_table(BytesIO(bytes_of(file)))
        assert set(table.column("payload").to_pylist()) == {f'{{"n":{number}}}'}


def many(rows: int = 100_000) -> Rows:
    """So many that a child is at them for a while."""
    return Rows((Column("n", "BIGINT"), Column("s", "VARCHAR")), [b'{"n":%d,"s":"text"}' % n for n in range(rows)])


@asynccontextmanager
async def killing(encoding: Path, most: int, bytes_at_least: int = 0) -> AsyncIterator[set[int]]:
    """Kills the children that are at work on a source of so many bytes, up to so many of them."""
    killed: set[int] = set()

    async def kill() -> None:
        while len(killed) < most:
            for cells in encoding.glob("*/cells"):
                with suppress(FileNotFoundError, ProcessLookupError):  # done meanwhile
                    if cells.with_name("source").stat().st_size >= bytes_at_least:
                        for pid in children_in(cells.parent) - killed:
                            os.kill(pid, signal.SIGKILL)
                            killed.add(pid)
            await asyncio.sleep(0)

    task = asyncio.create_task(kill())
    try:
        yield killed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_child_that_is_killed_at_work_costs_nothing_but_time(encoder: ParquetEncoder, encoding: Path) -> None:
    undisturbed = bytes_of(await encoder.parquet(many(), "envelope"))
    async with killing(encoding, most=2) as killed:
        assert bytes_of(await encoder.parquet(many(), "envelope")) == undisturbed
    assert len(killed) == 2


async def test_rows_that_end_each_child_are_rejected_once_others_prove_harmless(
    encoder: ParquetEncoder, encoding: Path
) -> None:
    async with killing(encoding, most=9, bytes_at_least=1_000) as killed:
        with pytest.raises(Rejected) as caught:
            await encoder.parquet(many(), "envelope")
        assert len(killed) == 3
        single = Rows((Column("s", "VARCHAR"),), [b'{"s":"%b"}' % (b"x" * 30_000_000)])
        with pytest.raises(Rejected, match="make Parquet of a row: "):
            await encoder.parquet(single, "envelope")
    assert caught.value.message == (
        "make Parquet of 100,000 rows: the process that did it was ended by SIGKILL; "
        "a batch has 256 MiB (transforms.memory in the settings)"
    )


async def test_where_each_child_ends_whatever_the_rows_are_the_batch_waits(
    encoder: ParquetEncoder, encoding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Child.ask

    async def ended(child: Child, request: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        os.kill(child.pid, signal.SIGKILL)
        return await ask(child, request, deadline_s)

    monkeypatch.setattr(Child, "ask", ended)
    with pytest.raises(DestinationUnavailable, match="and of a trial row: the process that did it") as caught:
        await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope")
    assert not caught.value.needs_person
    monkeypatch.undo()
    assert bytes_of(await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope"))


async def test_what_takes_too_much_memory_is_rejected_naming_the_setting(tmp_path: Path) -> None:
    async with encoder_in(tmp_path / "small", memory="64MiB") as encoder:
        content = Rows((Column("s", "VARCHAR"),), [b'{"s":"%b"}' % (b"x" * 30_000_000)])
        with pytest.raises(Rejected, match=r"more memory than it may; a batch has 64 MiB \(transforms.memory"):
            await encoder.parquet(content, "envelope")
        assert bytes_of(await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope"))


async def test_what_takes_too_long_is_rejected_naming_the_setting(tmp_path: Path) -> None:
    async with encoder_in(tmp_path / "hasty", time_limit="0.1s") as encoder:
        with pytest.raises(Rejected, match=r"longer than 100ms \(transforms.time_limit"):
            await encoder.parquet(many(300_000), "envelope")


async def test_what_takes_too_much_room_is_rejected_naming_the_setting(tmp_path: Path) -> None:
    async with encoder_in(tmp_path / "narrow", max_output="1MiB") as encoder:
        with pytest.raises(Rejected, match=r"more than 1 MiB \(transforms.max_output"):
            await encoder.parquet(many(), "envelope")


async def test_a_full_disk_is_waited_for(small_disk: Disk) -> None:
    async with encoder_in(small_disk.path / "encoding") as encoder:
        assert bytes_of(await encoder.parquet(many(), "envelope"))
        for leave_bytes in (500_000, 3_500_000):  # not enough for the lines; enough for these, not for the cells
            small_disk.fill(leave_bytes)
            with pytest.raises(DestinationUnavailable, match="No space left"):
                await encoder.parquet(many(), "envelope")
            small_disk.give_back()
        assert bytes_of(await encoder.parquet(many(), "envelope"))


async def test_a_batch_that_is_cancelled_takes_its_child_with_it(encoder: ParquetEncoder, encoding: Path) -> None:
    task = asyncio.create_task(encoder.parquet(many(), "envelope"))
    await until(lambda: any(encoding.glob("*/cells")))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children_in(encoding) == set()
    assert files_in(encoding) == []


async def test_a_batch_at_work_when_the_appliance_stops_is_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "stopping"
    async with open_encoder(TransformSettings(), scratch=folder) as encoder:
        task = asyncio.create_task(encoder.parquet(many(), "envelope"))
        await until(lambda: any(folder.glob("*/cells")))
    with pytest.raises(DestinationUnavailable, match="the appliance is stopping"):
        await task
    assert list(folder.iterdir()) == []


async def test_a_hostile_query_holds_up_no_parquet(encoding: Path, transforms: SqlTransforms, scratch: Path) -> None:
    async with asyncio.TaskGroup() as tasks, encoder_in(encoding) as encoder:
        held_up = tasks.create_task(transforms.apply(ONE, sql(ENDLESS), reading(lines_of(["{}"]))))
        await until(lambda: any(scratch.glob("*/source")))
        assert bytes_of(await encoder.parquet(Envelopes(lines_of(["{}"]), 1), "envelope"))
        assert not held_up.done()
        held_up.cancel()
