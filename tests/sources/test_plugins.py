"""Kinds that other packages bring: really installed, and refused by name where they are broken."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from conduit_local.core.kinds import Kinds, spec_model
from conduit_local.core.pulling import SourceFailed
from conduit_local.engine.plugins import Plugins, find_plugins
from conduit_local.sources.kinds import PLUGINS, SOURCES
from tests.sources.making import Pulls, maker_at

EXAMPLE = Path(__file__).parent / "example_plugin"


def wheel_of(project: Path, folder: Path) -> Path:
    """The wheel that a build of `project` gives, made here: a build backend would have to be fetched."""
    about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    name, version = about["name"].replace("-", "_"), about["version"]
    info = f"{name}-{version}.dist-info"
    points = "".join(
        f"[{group}]\n" + "".join(f"{kind} = {place}\n" for kind, place in kinds.items())
        for group, kinds in about["entry-points"].items()
    )
    content = {path.name: path.read_text() for path in project.glob("*.py")}
    content |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": points,
    }
    record = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as pip installs it, on the path."""
    target = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, wheel_of(EXAMPLE, tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(target)
    yield target
    sys.modules.pop("example_lottery", None)


def broken(folder: Path, name: str, code: str) -> None:
    """A package whose entry point `name` is `code`."""
    (folder / f"broken_{name}.py").write_text(code)
    info = folder / f"broken_{name}-3.4.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: broken-{name}\nVersion: 3.4\n")
    (info / "entry_points.txt").write_text(f"[{PLUGINS}]\n{name} = broken_{name}:THIS\n")


async def test_an_installed_example_brings_its_events(installed: Path, tmp_path: Path) -> None:
    plugins = find_plugins(PLUGINS, SOURCES)
    assert plugins.problems == ()
    model = spec_model(Kinds(sources={**SOURCES, **plugins.specs}, transforms={}, destinations={"x": SOURCES["push"]}))  # type: ignore[dict-item]
    spec = plugins.specs["lottery"].model_validate({"type": "lottery", "seed": 3, "days": 20})
    assert "LotterySpec" in str(model.model_json_schema()["properties"]["sources"])
    with maker_at(tmp_path, plugins=plugins) as maker:
        source = Pulls(maker.make(spec), 6)
        await source.all()
        assert [one["day"] for one in source.payloads] == list(range(1, 21))
        await source.all()
        assert len(source.events) == 20


WRONG = {
    "syntax": ("THIS = (", "SyntaxError"),
    "missing": ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
    "nothing": ("", "AttributeError"),
    "number": ("THIS = 7", "it has no `spec` and `make`"),
    "raising": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "model": ("class THIS:\n    spec = dict\n    make = print", "is no conduit_local.core.spec.Component"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_plugin_is_refused_by_name_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code, said = WRONG[name]
    broken(tmp_path, name, code)
    monkeypatch.syspath_prepend(tmp_path)
    plugins = find_plugins(PLUGINS, SOURCES)
    (problem,) = plugins.problems
    assert problem.startswith(f"the plugin '{name}' of broken-{name} 3.4 cannot be used: ")
    assert said in problem
    assert not plugins.makers
    with pytest.raises(ValidationError) as refused:
        plugins.specs[name].model_validate({"type": name, "whatever": 1})
    assert problem in str(refused.value)


def test_a_plugin_replaces_no_kind_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(tmp_path, "files", "THIS = 7")
    monkeypatch.syspath_prepend(tmp_path)
    plugins = find_plugins(PLUGINS, SOURCES)
    assert "there is another of that type" in plugins.problems[0]
    assert not plugins.specs


async def test_a_plugin_that_makes_no_source_blocks_that_source_alone(installed: Path, tmp_path: Path) -> None:
    found = find_plugins(PLUGINS, SOURCES)

    def make(_spec: object, _means: object) -> None:
        raise OSError("no connection")

    plugins = Plugins(specs=found.specs, makers={"lottery": make}, problems=())
    said = "the plugin 'lottery' makes no source: OSError: no connection"
    with maker_at(tmp_path, plugins=plugins) as maker, pytest.raises(SourceFailed, match=said):
        await maker.make(found.specs["lottery"](type="lottery")).pull(None, 1)
