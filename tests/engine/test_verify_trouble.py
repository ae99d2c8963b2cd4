"""Verifying while destinations are slow, lag behind, cannot be read, or keep to themselves what they have."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from conduit_local.core.batch import Written
from conduit_local.core.content import Content
from conduit_local.core.delivering import Destination, Finding, Found, ObjectContent
from conduit_local.core.errors import DestinationNotFound, DestinationUnavailable
from conduit_local.destinations.kinds import DestinationMaker
from conduit_local.engine import verify as verifying
from conduit_local.engine.evidence import Wrong
from tests.destinations.wrapping import Wrapped, WrappedMaker
from tests.engine.test_verify import TENS, deliver, objects, verify
from tests.engines import engine_at, until
from tests.making import numbered, spec

Maker = Callable[[DestinationMaker], WrappedMaker]


def wrapped(kind: Callable[[Destination], Destination]) -> Maker:
    return lambda maker: WrappedMaker(maker, lambda _, made: kind(made))


def keys(first: int, last: int) -> Iterator[str]:
    for number in range(first, last, 10):
        yield f"orders/{number:012d}-{number + 9:012d}.jsonl"


async def test_an_object_whose_batch_is_on_its_way_is_no_stranger(tmp_path: Path) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()

    class Unanswered(Wrapped):
        async def write(self, key: str, content: Content) -> Written:
            done = await self.real.write(key, content)
            written.set()
            await go_on.wait()
            return done

    async with engine_at(tmp_path, destinations=wrapped(Unanswered)) as engine:
        await engine.manage.create(spec(batch=TENS))
        await engine.ingest.accept("orders", numbered(0, 10))
        await written.wait()
        assert len(objects(tmp_path)) == 1
        verified, found, _ = await verify(engine)
        assert (found, verified.objects, verified.older) == ([], 0, 0)
        go_on.set()
        await until(lambda: not engine.topology.find("orders").routes["files"].hands)
        assert (await verify(engine)).verified.objects == 1


async def test_a_list_that_lags_behind_makes_nothing_missing(tmp_path: Path) -> None:
    class Lagging(Wrapped):
        async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
            pages = self.real.objects(folder)
            assert pages is not None
            async for page in pages:
                yield [one for one in page if "000000000011" not in one.key]

    async with engine_at(tmp_path, destinations=wrapped(Lagging)) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 30)
        verified, found, _ = await verify(engine)
        assert (found, verified.compared) == ([], 3)
        objects(tmp_path)[1].write_bytes(b"other")
        assert (await verify(engine)).found == [(Wrong.ALTERED, next(keys(11, 20)))]
        objects(tmp_path)[1].unlink()
        assert (await verify(engine)).found == [(Wrong.MISSING, next(keys(11, 20)))]


@pytest.mark.parametrize("error", [DestinationUnavailable("read it: no answer"), OSError(5, "Input/output error")])
async def test_an_object_that_cannot_be_read_is_told_and_many_are_the_destination(
    tmp_path: Path, error: Exception
) -> None:
    spoilt: set[str] = set()

    def broken() -> Any:
        yield b""
        raise error

    class Spoilt(Wrapped):
        async def read(self, key: str) -> ObjectContent | None:
            return ObjectContent(size_bytes=9, pieces=broken()) if key in spoilt else await self.real.read(key)

    async with engine_at(tmp_path, destinations=wrapped(Spoilt)) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 100)
        every_other = list(keys(1, 100))[::2]
        spoilt.update(every_other)
        verified, found, deviations = await verify(engine)
        assert (found, verified.compared) == ([(Wrong.UNREADABLE, key) for key in every_other], 5)
        assert str(error.args[-1]) in deviations[0].message
        assert verified.unavailable is None
        assert (await verify(engine, quick=True)).verified.is_well
        spoilt.update(keys(1, 100))
        verified, found, _ = await verify(engine)
        assert (len(found), verified.compared) == (4, 0)
        assert str(error.args[-1]) in (verified.unavailable or "")


async def test_a_destination_that_keeps_its_own_sums_need_not_be_read(tmp_path: Path) -> None:
    sums: dict[str, str] = {}

    class Knowing(Wrapped):
        async def write(self, key: str, content: Content) -> Written:
            written = await self.real.write(key, content)
            sums[key] = written.sha256
            return written

        async def objects(self, folder: str) -> AsyncIterator[Sequence[Found]]:
            pages = self.real.objects(folder)
            assert pages is not None
            async for page in pages:
                yield [one._replace(sha256=sums[one.key]) for one in page]

        async def read(self, key: str) -> ObjectContent | None:
            raise AssertionError("nobody need read it")

    async with engine_at(tmp_path, destinations=wrapped(Knowing)) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
        assert (await verify(engine)).verified.compared == 2
        sums[next(keys(1, 10))] = "0" * 64
        assert (await verify(engine, quick=True)).found == [(Wrong.ALTERED, next(keys(1, 10)))]


async def test_a_receiver_that_keeps_to_itself_what_it_has_is_no_trouble(tmp_path: Path) -> None:
    class Receiver(Wrapped):
        def objects(self, folder: str) -> None:
            return None

    async with engine_at(tmp_path, destinations=wrapped(Receiver)) as engine:
        await engine.manage.create(spec(batch=TENS))
        await deliver(engine, 0, 20)
        verified = (await verify(engine)).verified
        assert (verified.is_well, verified.is_lookable, verified.objects, verified.rows) == (True, False, 2, 20)


# Trying out ------------------------------------------------------------------------------------------------


async def test_a_destination_is_tried_out_beside_deliveries(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=TENS))
        tried, findings = await engine.verifier.probe("orders", "files")
        assert tried.type == "files"
        assert {one.ok for one in findings} == {True}
        assert objects(tmp_path) == [], "and nothing is left of it"
        with pytest.raises(DestinationNotFound, match="it has: files"):
            await engine.verifier.probe("orders", "sink")


async def test_a_trial_without_an_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []

    class Hanging(Wrapped):
        async def probe(self) -> list[Finding]:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")

        async def close(self) -> None:
            closed.append(True)
            await self.real.close()

    monkeypatch.setattr(verifying, "_PROBE_WITHIN_S", 0.05)
    async with engine_at(tmp_path, destinations=wrapped(Hanging)) as engine:
        await engine.manage.create(spec(batch=TENS))
        _, (finding,) = await engine.verifier.probe("orders", "files")
        assert (finding.ok, closed) == (False, [True])
