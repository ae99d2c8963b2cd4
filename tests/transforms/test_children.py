"""The children themselves: killed, orphaned, idle, cancelled; and nothing that stays behind."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from conduit_local.core.errors import TransformUnavailable
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.core.transforming import Overstepped, QueryRefused
from conduit_local.transforms import process, running
from conduit_local.transforms.content import TransformedContent
from conduit_local.transforms.running import SqlTransforms, open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import (
    ENDLESS,
    bytes_of,
    children,
    descriptors,
    files_in,
    orders,
    reading,
    recipe_of,
    rows_of,
    spec_of,
    sql,
    worked_ticks,
)

ONE = PipelineNumber(1)
TRUE = recipe_of({"type": "filter", "where": "true"})
DEADLINE_S = 30.0


def _is_gone(pid: int) -> bool:
    return pid not in children()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what the kernel says rings no bell
            await asyncio.sleep(0)


def end_now(pid: int) -> None:
    """Kills a process, and waits until it has ended; nothing here has noticed then."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        wait_for_end(descriptor)
    finally:
        os.close(descriptor)


def wait_for_end(descriptor: int) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    assert ended.poll(DEADLINE_S * 1_000), "the process does not end"


@pytest.fixture
async def at_work(
    transforms: SqlTransforms, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[object], int]]:
    """A batch that never ends, and its child, which computes."""
    monkeypatch.setattr(running, "PATIENCE_S", 600.0)  # it stays in its lane, however slow the machine is
    before = children()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(_ended(transforms))
        await until(lambda: any(scratch.glob("*/source")))
        (pid,) = children() - before
        ticks = worked_ticks(pid)
        await until(lambda: worked_ticks(pid) > ticks + 20)
        yield task, pid
        task.cancel()


async def _ended(transforms: SqlTransforms) -> object:
    try:
        return await transforms.apply(ONE, sql(ENDLESS), reading(orders(10)))
    except (Overstepped, TransformUnavailable) as error:
        return error


async def test_a_child_that_is_killed_at_work_costs_its_batch(
    at_work: tuple[asyncio.Task[object], int], transforms: SqlTransforms, scratch: Path
) -> None:
    task, pid = at_work
    os.kill(pid, signal.SIGKILL)
    error = await task
    assert isinstance(error, Overstepped)
    assert error.message.startswith("the process that ran it was ended by SIGKILL; a batch has 256 MiB")
    assert pid not in children()
    assert bytes_of(await transforms.apply(ONE, TRUE, reading(orders(5)))) == b"".join(orders(5))
    assert files_in(scratch) == []


async def test_a_batch_that_is_cancelled_takes_its_child_with_it(
    at_work: tuple[asyncio.Task[object], int], transforms: SqlTransforms, scratch: Path
) -> None:
    task, pid = at_work
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pid not in children()
    assert files_in(scratch) == []
    assert rows_of(await transforms.apply(PipelineNumber(2), sql("SELECT 1 AS a"), reading(orders(1)))) == [{"a": 1}]


async def test_signals_for_the_appliance_do_not_end_a_child(transforms: SqlTransforms) -> None:
    await transforms.check(TRUE)
    (pid,) = children()
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    await transforms.check(TRUE)
    assert children() == {pid}
    assert os.getsid(pid) != os.getsid(0)


async def test_a_child_that_ended_while_idle_is_replaced_without_a_failure(transforms: SqlTransforms) -> None:
    recipe = sql("SELECT 1 AS a")
    for round_ in range(4):
        assert rows_of(await transforms.apply(ONE, recipe, reading(orders(1)))) == [{"a": 1}]
        for pid in children():
            with suppress(ProcessLookupError):  # one of those before, which has been waited for meanwhile
                end_now(pid)
            if round_ % 2:  # noticed before the next request; else found out by it
                await until(partial(_is_gone, pid))


async def test_a_child_that_dies_again_and_again_before_it_is_asked_is_unavailable(
    transforms: SqlTransforms, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = process.Child._send

    def send_to_the_dead(child: process.Child, request: dict[str, object]) -> None:
        end_now(child.pid)
        send(child, request)

    monkeypatch.setattr(process.Child, "_send", send_to_the_dead)
    with pytest.raises(TransformUnavailable, match="again and again"):
        await transforms.apply(ONE, TRUE, reading(orders(1)))
    monkeypatch.undo()
    assert rows_of(await transforms.apply(ONE, TRUE, reading(orders(1))))


async def test_a_child_that_cannot_start_says_why(
    transforms: SqlTransforms, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(process, "_START", "raise SystemExit('no module named duckdb')")
        with pytest.raises(TransformUnavailable) as caught:
            await transforms.check(TRUE)
        assert caught.value.message == "start the SQL process: it ended with status 1: no module named duckdb"
        patched.setattr(process, "_START", "import sys; sys.stdin.read()")
        patched.setattr(process, "_START_DEADLINE_S", 0.2)
        with pytest.raises(TransformUnavailable, match=r"it was not ready within 0\.2s"):
            await transforms.check(TRUE)
        patched.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(TransformUnavailable, match="No such file or directory"):
            await transforms.check(TRUE)
    assert children() == set()
    assert await transforms.check(TRUE)


async def test_children_that_have_nothing_to_do_end_but_the_proven_one(scratch: Path) -> None:
    async with open_transforms(TransformSettings(), scratch=scratch, idle_s=0.05) as transforms:
        await transforms.check(TRUE)
        await until(lambda: not children())
        for _ in range(2):  # fresh, then proven
            bytes_of(await transforms.apply(ONE, TRUE, reading(orders(1))))
        (proven,) = {pid for pid in children() if pid not in await _ended_soon()}
        assert rows_of(await transforms.apply(ONE, TRUE, reading(orders(1))))
        assert children() == {proven}
        assert await transforms.check(TRUE)
    assert children() == set()


async def _ended_soon() -> set[int]:
    before = children()
    await until(lambda: len(children()) == 1)
    return before - children()


async def test_nothing_starts_before_it_is_needed(scratch: Path) -> None:
    async with open_transforms(TransformSettings(), scratch=scratch) as transforms:
        assert transforms.recipe(spec_of({"type": "filter", "where": "true"})) == TRUE
        assert children() == set()


async def test_the_scratch_folder_is_private_and_emptied_at_both_ends(scratch: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept").write_text("x")
    (scratch / "child-7" / "spill").mkdir(parents=True)
    (scratch / "child-7" / "source").write_text("x")
    (scratch / "content-3").write_text("x")
    (scratch / "link").symlink_to(other)
    async with open_transforms(TransformSettings(), scratch=scratch) as transforms:
        assert list(scratch.iterdir()) == []
        assert scratch.stat().st_mode & 0o777 == 0o700
        left_open = await transforms.apply(ONE, TRUE, reading(orders(3)))
        assert left_open.rows == 3
        assert files_in(scratch) != []
    assert list(scratch.iterdir()) == []
    assert (other / "kept").exists()


async def test_stopping_ends_children_at_work(scratch: Path) -> None:
    async with asyncio.TaskGroup() as tasks:
        async with open_transforms(TransformSettings(), scratch=scratch) as transforms:
            task = tasks.create_task(_ended(transforms))
            await until(lambda: any(scratch.glob("*/source")))
        assert children() == set()
        error = await task
        assert isinstance(error, TransformUnavailable), "nothing that the events did"
        assert "stopping" in error.message
    assert list(scratch.iterdir()) == []


async def test_nothing_leaks_over_many_batches_failures_and_contents(transforms: SqlTransforms, scratch: Path) -> None:
    recipe = sql("SELECT payload->>'mag' AS mag FROM events")
    for _ in range(2):
        bytes_of(await transforms.apply(ONE, recipe, reading(orders(10))))
    open_before, threads_before = descriptors(), threading.active_count()
    contents = [await transforms.apply(ONE, recipe, reading(orders(10))) for _ in range(300)]
    assert descriptors() == open_before
    assert threading.active_count() <= threads_before + 4
    for content in contents:
        assert content.rows == 10
        next(iter(content.pieces()))
        content.close()
        content.close()
    for _ in range(20):
        with pytest.raises(QueryRefused):
            await transforms.apply(ONE, sql("SELECT nope FROM events"), reading(orders(10)))
    assert files_in(scratch) == []
    assert len(children()) <= 2


async def test_the_environment_is_not_handed_on(transforms: SqlTransforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_SECRET", "hush")
    await transforms.check(TRUE)
    (pid,) = children()
    assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_children_end_with_the_appliance_however_that_ends(tmp_path: Path) -> None:
    script = f"""
import asyncio
from functools import partial
from pathlib import Path
from conduit_local.core.pipeline import PipelineNumber
from conduit_local.transforms.running import open_transforms
from conduit_local.transforms.settings import TransformSettings
from tests.transforms.making import ENDLESS, children, reading, orders, sql

async def main():
    scratch = Path({str(tmp_path / "scratch")!r})
    async with open_transforms(TransformSettings(time_limit=600), scratch=scratch) as transforms:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(transforms.apply(PipelineNumber(1), sql(ENDLESS), reading(orders(1))))
            while not list(scratch.glob("*/source")):
                await asyncio.sleep(0)
            print(*children(), flush=True)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as appliance:
        assert appliance.stdout is not None
        child = os.pidfd_open(int(appliance.stdout.readline()))
        try:
            appliance.kill()
            wait_for_end(child)
        finally:
            os.close(child)


# content ----------------------------------------------------------------------------------------------------


def test_pieces_hold_whole_lines_and_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "content"
    lines = [b"x" * (number * 37 % 3_000_000) + b"\n" for number in range(1, 200_000, 7_001)]
    path.write_bytes(b"".join(lines))
    content = TransformedContent(path, len(lines), ())
    for _ in range(2):
        pieces = list(content.pieces())
        assert all(piece.endswith(b"\n") for piece in pieces)
        assert max(map(len, pieces)) <= 2**20 + max(map(len, lines))
        assert b"".join(pieces) == path.read_bytes()
    content.close()
    assert not path.exists()
    content.close()
