"""Secrets at rest while the engine runs: the key changes, is gone, is another one; what needs no secret goes on."""

import asyncio
import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

import tests.engines
import tests.making
from conduit_local.core.errors import StoreUnavailable
from conduit_local.core.kinds import Kinds, edited_spec, patched_spec, spec_model
from conduit_local.core.pipeline import Health
from conduit_local.core.run import RunOptions
from conduit_local.core.secrets import SEALED, Secret
from conduit_local.core.spec import DestinationSpec, PipelineSpec
from conduit_local.core.webhook import NoticeKind
from conduit_local.destinations.files import FilesSpec
from conduit_local.destinations.kinds import DESTINATIONS, MAKERS
from conduit_local.engine.engine import Engine
from conduit_local.engine.topology import LivePipeline
from tests.engines import engine_at, ledgers, payloads_below, until, until_delivered
from tests.making import numbered, spec

HIDDEN = "hunter2-in-the-vault"
SIGNING = "whsec_" + base64.b64encode(HIDDEN.encode() * 2).decode()
FAST = {"max_events": 10, "max_age": "50ms"}
TWO = [
    {"type": "files", "name": "open", "path": "open"},
    {"type": "keyed", "name": "keyed", "path": "keyed", "token": HIDDEN},
]


class KeyedFiles(FilesSpec):
    """Files that need a secret, as a bucket does."""

    type: Literal["keyed"] = "keyed"  # type: ignore[assignment]
    token: Secret


@pytest.fixture(autouse=True)
def a_destination_with_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[str, type[DestinationSpec]] = {**DESTINATIONS, "keyed": KeyedFiles}
    model = spec_model(Kinds(sources={}, transforms={}, destinations=kinds))
    for module in (tests.engines, tests.making):
        monkeypatch.setattr(module, "MODEL", model)
        monkeypatch.setattr(module, "DESTINATIONS", kinds)
    monkeypatch.setitem(MAKERS, "keyed", MAKERS["files"])


def token_of(engine: Engine, ref: str) -> Secret:
    live = engine.topology.find(ref)
    found = [one.token for one in live.pipeline.spec.destinations if isinstance(one, KeyedFiles)]
    routes = [one.spec.token for one in live.routes.values() if isinstance(one.spec, KeyedFiles)]
    assert set(routes) == set(found)
    return found[0]


def blocked(live: LivePipeline) -> bool:
    return live.routes["keyed"].health is Health.BLOCKED


def rows(folder: Path) -> list[str]:
    """Every text of the database that holds something sealed."""
    with closing(sqlite3.connect(f"file:{folder / 'conduit.db'}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        every = [f"SELECT * FROM {table}" for table in tables]
        values = [value for select in every for row in db.execute(select) for value in row]
    return [value for value in values if isinstance(value, str) and SEALED in value]


def titled(title: str) -> Callable[[PipelineSpec], PipelineSpec]:
    return lambda old: patched_spec(old, {"title": title}, tests.making.MODEL)


def key_ids(text: str) -> set[str]:
    return {found.split(":")[0] for found in text.split(SEALED)[1:]}


async def filled(engine: Engine) -> None:
    """Secrets in every place that holds any: pipelines, routes, batches, webhooks; one run of its own under way."""
    for name in ("orders", "held"):
        await engine.manage.create(spec(name, batch=FAST, destinations=TWO, extra={"token": HIDDEN}))
        await engine.ingest.accept(name, numbered(0, 25))
        await until_delivered(engine, name)
    await engine.webhooks.create("http://127.0.0.1:9/hook", [NoticeKind.DELETED], SIGNING)
    await engine.runs.request("held", RunOptions(full_refresh=True))
    await until(lambda: bool(engine.topology.find("held").runs) or not engine.topology.find("held").waiting)


# Rotation ---------------------------------------------------------------------------------------------------


async def test_everything_is_sealed_anew_and_the_old_key_is_of_no_use(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await filled(engine)
        before = rows(tmp_path)
        old = (tmp_path / "secrets.key").read_text()
        assert await engine.sealing.rotate() > 8
        assert token_of(engine, "orders") == Secret(HIDDEN)
    new = (tmp_path / "secrets.key").read_text()
    after = rows(tmp_path)
    assert new.count("\n") == 1
    assert set().union(*map(key_ids, before)) == {old.split()[0]}
    assert set().union(*map(key_ids, after)) == {new.split()[0]} != {old.split()[0]}
    assert len(after) > 8
    async with engine_at(tmp_path) as engine:
        for name in ("orders", "held"):
            assert token_of(engine, name) == Secret(HIDDEN)
            extra = engine.topology.find(name).pipeline.spec.extra
            assert extra is not None
            assert extra.value == {"token": HIDDEN}
        assert [webhook.secret.is_open for webhook in engine.webhooks.all()] == [True]


async def test_a_run_of_before_the_rotation_is_still_read_afterwards(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO[1:]))
        await engine.ingest.accept("orders", numbered(0, 5))
        run = await engine.manage.flush("orders")
        await until_delivered(engine, "orders")
        await engine.sealing.rotate()
    async with engine_at(tmp_path) as engine:
        found, live = await engine.runs.find(run.id)
        content = [b"".join(one.pieces) async for _, one in engine.runs.objects(found, live)]
        assert [json.loads(line)["payload"] for line in b"".join(content).splitlines()] == [{"n": n} for n in range(5)]


async def test_while_everything_else_goes_on_nothing_is_left_under_a_key_that_is_gone(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch={"max_events": 1}, destinations=TWO))

        async def work(number: int) -> None:
            name = f"more-{number}"
            await engine.manage.create(spec(name, batch={"max_events": 1}, destinations=TWO, extra={"a": HIDDEN}))
            for step in range(3):
                await engine.ingest.accept("orders", numbered(number * 100 + step, 2))
                await engine.manage.change(name, titled(f"t{step}"))
            await engine.runs.request(name, RunOptions(full_refresh=True))

        await asyncio.gather(*(work(number) for number in range(6)), *(engine.sealing.rotate() for _ in range(6)))
        await until_delivered(engine, "orders")
    kept = (tmp_path / "secrets.key").read_text()
    assert set().union(*map(key_ids, rows(tmp_path))) == {kept.split()[0]}
    async with engine_at(tmp_path) as engine:
        assert all(token_of(engine, live.pipeline.name).is_open for live in engine.topology.live())
        assert len(engine.topology.live()) == 7


async def test_a_rotation_that_the_store_refuses_leaves_both_keys_and_the_next_one_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_at(tmp_path) as engine:
        await filled(engine)
        catalog = engine.sealing._catalog

        async def refuse() -> int:
            raise StoreUnavailable("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(catalog, "reseal", refuse)
            with pytest.raises(StoreUnavailable):
                await engine.sealing.rotate()
        assert (tmp_path / "secrets.key").read_text().count("\n") == 2
        await engine.manage.create(spec("later", destinations=TWO))
    async with engine_at(tmp_path) as engine:
        assert all(token_of(engine, live.pipeline.name).is_open for live in engine.topology.live())
        await engine.sealing.rotate()
    assert (tmp_path / "secrets.key").read_text().count("\n") == 1
    async with engine_at(tmp_path) as engine:
        assert all(token_of(engine, live.pipeline.name).is_open for live in engine.topology.live())


async def test_cut_off_between_any_two_steps_everything_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power fails: the folder as it lies right after each step is started on."""
    data = tmp_path / "data"
    data.mkdir()
    stages: list[Path] = []

    def keep(name: str) -> None:
        stages.append(tmp_path / name)
        shutil.copytree(data, stages[-1])

    async with engine_at(data) as engine:
        await filled(engine)
        sealing = engine.sealing
        reseal = sealing._catalog.reseal

        async def watched_reseal() -> int:
            keep("new key")
            changed = await reseal()
            keep("sealed anew")
            return changed

        monkeypatch.setattr(sealing._catalog, "reseal", watched_reseal)
        await sealing.rotate()
        keep("old key gone")
    assert len(stages) == 3
    for stage in stages:
        async with engine_at(stage) as engine:
            assert len(engine.topology.live()) == 2, stage
            assert all(token_of(engine, live.pipeline.name) == Secret(HIDDEN) for live in engine.topology.live())
            await engine.sealing.rotate()
        assert (stage / "secrets.key").read_text().count("\n") == 1


# A key that is gone, or another, or a sealed text that was changed --------------------------------------------


def lose_key(folder: Path) -> None:
    (folder / "secrets.key").rename(folder / "away")


def change_key(folder: Path) -> None:
    shutil.copy(folder / "secrets.key", folder / "away")
    key_id, key = (folder / "secrets.key").read_text().split()
    (folder / "secrets.key").write_text(f"{key_id} {'A' * 43}=\n")
    assert key


def change_sealed_texts(folder: Path) -> None:
    shutil.copy(folder / "conduit.db", folder / "away")
    with closing(sqlite3.connect(folder / "conduit.db")) as db, db:
        db.create_function("tampered", 1, tampered)
        db.execute("UPDATE pipelines SET spec = tampered(spec)")
        db.execute("UPDATE routes SET destination = tampered(destination)")


def tampered(text: str) -> str:
    """One character in the middle of each seal is another one."""
    head, *seals = text.split(SEALED)
    return SEALED.join([head, *(f"{one[:20]}{'A' if one[20] != 'A' else 'B'}{one[21:]}" for one in seals)])


@pytest.mark.parametrize("harm", [lose_key, change_key, change_sealed_texts])
async def test_only_the_route_that_needs_the_secret_stands_still_and_says_what_to_do(
    tmp_path: Path, harm: object
) -> None:
    assert callable(harm)
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
        await engine.ingest.accept("orders", numbered(0, 25))
        await until_delivered(engine, "orders")
    harm(tmp_path)
    async with engine_at(tmp_path) as engine:
        live = engine.topology.find("orders")
        await engine.ingest.accept("orders", numbered(25, 25))
        await until(lambda: blocked(live))
        await until(lambda: ledgers(engine, "orders")["open"] == (50, 50, 0))
        assert ledgers(engine, "orders")["keyed"] == (50, 25, 25)
        message = live.routes["keyed"].message or ""
        assert "'keyed'" in message
        assert "secrets.key" in message
        assert "put it back and restart" in message
        assert HIDDEN not in message
        run = await engine.runs.request("orders", RunOptions())
        await until(lambda: not live.waiting)
        failed, _ = await engine.runs.find(run.id)
        assert failed.error == message


async def test_once_the_key_is_back_all_is_delivered(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
    lose_key(tmp_path)
    async with engine_at(tmp_path) as engine:
        live = engine.topology.find("orders")
        await engine.ingest.accept("orders", numbered(0, 50))
        await until(lambda: blocked(live))
        await engine.manage.change("orders", titled("T"))
        await engine.manage.create(spec("meanwhile", destinations=TWO))  # sealed with a key of its own
        await engine.sealing.rotate()
    path = tmp_path / "secrets.key"
    path.write_text(path.read_text() + (tmp_path / "away").read_text())
    async with engine_at(tmp_path) as engine:
        assert (token_of(engine, "orders"), token_of(engine, "meanwhile")) == (Secret(HIDDEN), Secret(HIDDEN))
        await until_delivered(engine, "orders")
        assert ledgers(engine, "orders")["keyed"] == (50, 50, 0)
        assert engine.topology.find("orders").health is Health.OK
    assert payloads_below(tmp_path / "keyed") == [{"n": n} for n in range(50)]


async def test_given_its_secret_anew_the_route_goes_on_with_the_batch_that_it_had_in_hand(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec(batch=FAST, destinations=TWO))
    lose_key(tmp_path)
    async with engine_at(tmp_path) as engine:
        live = engine.topology.find("orders")
        await engine.ingest.accept("orders", numbered(0, 50))
        await until(lambda: blocked(live) and bool(live.routes["keyed"].hands))

        def anew(document: dict[str, object]) -> dict[str, object]:
            return {**document, "destinations": [TWO[0], {**TWO[1], "token": "another"}]}

        await engine.manage.change("orders", lambda old: edited_spec(old, anew, tests.making.MODEL))
        await until_delivered(engine, "orders")
        assert live.health is Health.OK
        assert token_of(engine, "orders") == Secret("another")
    async with engine_at(tmp_path) as engine:
        assert token_of(engine, "orders") == Secret("another")
    assert payloads_below(tmp_path / "keyed") == [{"n": n} for n in range(50)]


# Backups ----------------------------------------------------------------------------------------------------


def below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "secrets.key"}


async def test_a_backup_of_the_database_holds_no_secret_in_clear_and_no_key(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await filled(engine)
        with (
            closing(sqlite3.connect(tmp_path / "conduit.db")) as db,
            closing(sqlite3.connect(tmp_path / "b")) as backup,
        ):
            db.backup(backup)
        key = (tmp_path / "secrets.key").read_text().split()[1]
        said = " ".join(line.message for line in engine.journal.after(0, 1000)).encode()
        kept = below(tmp_path)
        assert len(kept) > 10
        assert [path for path, content in kept.items() if SEALED.encode() in content]
        for path, content in [*kept.items(), ("the journal", said)]:
            for secret in (HIDDEN, SIGNING, SIGNING.removeprefix("whsec_"), key):
                assert secret.encode() not in content, path
