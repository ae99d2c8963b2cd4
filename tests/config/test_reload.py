"""Pipeline files: read whole, applied as a difference, the last good kept (fault 25)."""

from pathlib import Path

from conduit_local.config.apply import Configuration
from conduit_local.config.files import read_pipelines
from conduit_local.config.settings import load_settings
from conduit_local.engine.engine import Engine
from tests.engines import engine_at, payloads_below, until, until_delivered
from tests.making import MODEL, numbered, spec


def put(folder: Path, name: str, text: str) -> None:
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / f"{name}.yaml").write_text(text)


def configuration(folder: Path, engine: Engine) -> Configuration:
    return Configuration(folder, load_settings(folder, [], {}), engine, {})


def names(engine: Engine) -> set[str]:
    return {live.pipeline.name for live in engine.topology.live()}


async def test_a_difference_is_applied_and_what_is_the_same_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: a")
    put(tmp_path, "b", "name: b\nbatch: {max_events: 5}")
    async with engine_at(tmp_path) as engine:
        files = configuration(tmp_path, engine)
        assert await files.reload() == {"created": ["a", "b"], "changed": [], "deleted": [], "problems": []}
        assert await files.reload() == {"created": [], "changed": [], "deleted": [], "problems": []}
        before = engine.topology.find("a").pipeline
        put(tmp_path, "b", "name: b\nbatch: {max_events: 6}")
        put(tmp_path, "c", "name: c")
        assert await files.reload() == {"created": ["c"], "changed": ["b"], "deleted": [], "problems": []}
        assert engine.topology.find("a").pipeline is before
        assert engine.topology.find("b").pipeline.spec.batch.max_events == 6


async def test_a_broken_file_changes_nothing_and_the_others_are_applied(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: a\nbatch: {max_events: 5}")
    put(tmp_path, "b", "name: b")
    async with engine_at(tmp_path) as engine:
        files = configuration(tmp_path, engine)
        await files.reload()
        put(tmp_path, "a", "name: a\nbatch: {max_events: 6")
        put(tmp_path, "b", "name: b\nbatch:\n  max_evnts: 7")
        put(tmp_path, "c", "name: c")
        done = await files.reload()
        assert done["created"] == ["c"]
        assert [(one["file"], one["line"]) for one in done["problems"]] == [
            ("pipelines/a.yaml", 2),
            ("pipelines/b.yaml", 3),
        ]
        assert "did you mean 'max_events'" in done["problems"][1]["message"]
        assert names(engine) == {"a", "b", "c"}
        assert engine.topology.find("a").pipeline.spec.batch.max_events == 5
        assert files.problems() == done["problems"]
        put(tmp_path, "a", "name: a\nbatch: {max_events: 6}")
        put(tmp_path, "b", "name: b")
        assert await files.reload() == {"created": [], "changed": ["a"], "deleted": [], "problems": []}


async def test_a_removed_file_deletes_its_pipeline_and_delivers_what_was_accepted(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: a\nbatch: {max_age: 1h}")
    put(tmp_path, "b", "name: b")
    async with engine_at(tmp_path) as engine:
        files = configuration(tmp_path, engine)
        await files.reload()
        await engine.ingest.accept("a", numbered(0, 5))
        (tmp_path / "pipelines" / "a.yaml").unlink()
        assert (await files.reload())["deleted"] == ["a"]
        assert names(engine) == {"b"}
        await until(lambda: not engine.topology.departing())
        assert payloads_below(tmp_path / "out") == [{"n": n} for n in range(5)]


async def test_a_folder_that_is_gone_deletes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    put(config, "a", "name: a")
    async with engine_at(tmp_path) as engine:
        files = configuration(config, engine)
        await files.reload()
        config.rename(tmp_path / "elsewhere")
        assert (await files.reload())["deleted"] == []
        assert names(engine) == {"a"}


async def test_a_renamed_file_is_the_same_pipeline(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: a\nbatch: {max_age: 1h}")
    async with engine_at(tmp_path) as engine:
        files = configuration(tmp_path, engine)
        await files.reload()
        number = engine.topology.find("a").number
        (tmp_path / "pipelines" / "a.yaml").rename(tmp_path / "pipelines" / "z.yaml")
        assert (await files.reload())["deleted"] == []
        assert engine.topology.find("a").number == number
        assert engine.topology.find("a").pipeline.managed_by == "pipelines/z.yaml"


async def test_a_renamed_pipeline_keeps_its_events_and_its_folder(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: a\nbatch: {max_age: 1h}")
    async with engine_at(tmp_path) as engine:
        files = configuration(tmp_path, engine)
        await files.reload()
        await engine.ingest.accept("a", numbered(0, 5))
        put(tmp_path, "a", "name: b\nbatch: {max_age: 50ms}")
        assert (await files.reload())["changed"] == ["b"]
        assert names(engine) == {"b"}
        await until_delivered(engine, "b")
        assert payloads_below(tmp_path / "out" / "a") == [{"n": n} for n in range(5)]


async def test_two_files_cannot_claim_one_name_or_id(tmp_path: Path) -> None:
    put(tmp_path, "a", "name: same\nid: pl_1")
    put(tmp_path, "b", "name: same")
    put(tmp_path, "c", "id: pl_1\nname: other")
    files = read_pipelines(tmp_path, MODEL, {})
    assert list(files.specs) == ["pipelines/a.yaml"]
    assert [str(problem) for problem in files.problems] == [
        "pipelines/b.yaml:1: name: 'same' is also in pipelines/a.yaml",
        "pipelines/c.yaml:1: id: 'pl_1' is also in pipelines/a.yaml",
    ]


async def test_a_file_does_not_take_over_a_pipeline_that_an_api_made(tmp_path: Path) -> None:
    async with engine_at(tmp_path) as engine:
        await engine.manage.create(spec("a"))
        put(tmp_path, "a", "name: a\nbatch: {max_events: 5}")
        files = configuration(tmp_path, engine)
        done = await files.reload()
        assert "made through an API" in str(done["problems"]) or "taken" in str(done["problems"])
        assert engine.topology.find("a").pipeline.spec.batch.max_events == 1_000
        (tmp_path / "pipelines" / "a.yaml").unlink()
        assert (await files.reload())["deleted"] == []
        assert names(engine) == {"a"}


async def test_other_files_in_the_folder_do_not_count(tmp_path: Path) -> None:
    for name in ("README.md", "x.yaml.swp", ".hidden.yaml", "x.json"):
        (tmp_path / "pipelines").mkdir(exist_ok=True)
        (tmp_path / "pipelines" / name).write_text("nonsense: [")
    files = read_pipelines(tmp_path, MODEL, {})
    assert (files.specs, files.problems) == ({}, [])
