"""`check`, `schema` and `completion`: commands that need no appliance."""

import subprocess
from pathlib import Path

import pytest
import yaml

from conduit_local.cli.demo import sample_folder
from tests.appliance import ORDERS, Appliance
from tests.cli.commands import command, process


def configuration(folder: Path, settings: str = "", **pipelines: str) -> Path:
    """A configuration folder."""
    (folder / "pipelines").mkdir()
    for name, text in pipelines.items():
        (folder / "pipelines" / f"{name}.yaml").write_text(text)
    if settings:
        (folder / "conduit-local.yaml").write_text(settings)
    return folder


def test_a_good_folder_and_a_good_file_are_said_to_be(tmp_path: Path) -> None:
    folder = configuration(tmp_path, "port: 9000\n", orders=ORDERS, more="name: more\n")
    assert command("check", str(folder)) == (0, f"{folder}: good; 2 pipelines: more, orders-stream\n", "")
    settings = folder / "conduit-local.yaml"
    assert command("check", str(settings)).out == f"{folder}: good; 2 pipelines: more, orders-stream\n"
    file = folder / "pipelines" / "orders.yaml"
    assert command("check", str(file)) == (0, f"{file}: good; 1 pipeline: orders-stream\n", "")


def test_the_sample_configuration_is_good() -> None:
    assert command("check", str(sample_folder())).out.endswith(
        "good; 3 pipelines: clicks, earthquakes, orders-stream\n"
    )


def test_without_a_path_the_folder_that_serve_would_use_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration(tmp_path, orders=ORDERS)
    monkeypatch.chdir(tmp_path)
    assert command("check").out == f"{tmp_path}: good; 1 pipeline: orders-stream\n"


def test_each_problem_is_a_line_with_file_line_and_what_would_be_right(tmp_path: Path) -> None:
    folder = configuration(
        tmp_path,
        "prot: 1\n",
        bad="name: bad\nbatch:\n  max_events: 0\ncolour: red\n",
        broken="name: [\n",
        twin="name: orders-stream\n",
        orders=ORDERS,
    )
    done = command("check", str(folder))
    assert (done.code, done.out) == (2, "")
    *problems, count = done.err.splitlines()
    assert count == "conduit-local: 5 problems found"
    for said in (
        "conduit-local.yaml:1: prot: unknown field; did you mean 'port'?",
        "pipelines/bad.yaml:3: batch.max_events: must be at least 1, not 0",
        "pipelines/bad.yaml:4: colour: unknown field; known here: access, batch",
        "pipelines/broken.yaml:1: is not YAML",
        "pipelines/twin.yaml:1: name: 'orders-stream' is also in pipelines/orders.yaml",
    ):
        assert any(line.startswith(said) for line in problems), said


def test_one_file_that_is_wrong_exits_2(tmp_path: Path) -> None:
    file = tmp_path / "it.yaml"
    for text, said in (
        ("nam: x\n", f"{file}:1: nam: unknown field; did you mean 'name'?"),
        ("name: x\nsources: [{type: nonsense, url: x}]\n", f"{file}:2: sources[0]: "),
        ("name: ${NOT_SET}\n", f"{file}:1: the environment has no NOT_SET"),
    ):
        file.write_text(text)
        done = command("check", str(file))
        assert done.code == 2
        assert said in done.err
    assert command("check", str(tmp_path / "gone.yaml")).code == 2


def test_the_data_folder_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    with Appliance(tmp_path, {"orders": ORDERS}) as appliance:
        assert appliance.emit({}).status == 200
        assert command("check", str(appliance.config), "--data-dir", str(appliance.data)).code == 0  # while it runs
    database = appliance.data / "conduit.db"
    before = {path.name: path.read_bytes() for path in appliance.data.iterdir() if path.is_file()}
    assert command("check", str(appliance.config), "--data-dir", str(appliance.data)).code == 0
    assert {path.name: path.read_bytes() for path in appliance.data.iterdir() if path.is_file()} == before
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    done = command("check", str(appliance.config), "--data-dir", str(appliance.data))
    assert done.code == 2
    assert done.err.startswith(f"{database}: ")
    database.write_bytes(b"not a database" * 1_000)
    done = command("check", str(appliance.config), "--data-dir", str(appliance.data))
    assert (done.code, done.err.splitlines()[0]) == (2, f"{database}: cannot be read: file is not a database")


def test_a_data_folder_that_cannot_be_is_said_so_and_is_not_made(tmp_path: Path) -> None:
    folder = configuration(tmp_path, orders=ORDERS)
    assert command("check", str(folder), "--data-dir", str(tmp_path / "a" / "b")).code == 0
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "data"
    done = command("check", str(folder), "--data-dir", str(below))
    assert done.code == 2
    assert done.err.startswith(f"{below}: cannot be made: {tmp_path / 'file'} is not a folder\n")


# Schema and completion -------------------------------------------------------------------------------------


def test_the_schemas_name_every_field_and_say_what_it_means() -> None:
    from conduit_local.app import pipeline_model
    from conduit_local.config.settings import Settings

    for what, fields in (("settings", Settings.model_fields), ("pipeline", pipeline_model().model_fields)):
        found = command("schema", what).json
        assert set(found["properties"]) == set(fields) | ({"tests"} if what == "pipeline" else set())
        assert found["$schema"].startswith("https://json-schema.org/")
    assert command("schema").json == command("schema", "pipeline").json
    assert command("schema", "nonsense").code == 2


def test_the_sample_pipelines_use_fields_of_the_schema_only() -> None:
    known = set(command("schema").json["properties"])
    for path in (sample_folder() / "pipelines").glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= known


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    done = command("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_CONDUIT_LOCAL_COMPLETE={shell}_complete" in done.out
    assert command("completion", "tcsh").code == 2
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.out.encode(), check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("conduit-local p", ["pipelines"]),
        ("conduit-local pipelines d", ["delete", "drain"]),
        ("conduit-local keys create --scope ", ["admin", "ingest", "manage", "read"]),
        ("conduit-local serve --log-f", ["--log-file", "--log-format"]),
    ],
)
def test_bash_completes_commands_options_and_choices(words: str, expected: list[str]) -> None:
    environment = {
        "_CONDUIT_LOCAL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = process(environment=environment)
    assert sorted(line.removeprefix("plain,") for line in done.out.split()) == expected
