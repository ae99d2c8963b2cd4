"""`serve`: what it promises on its way up and down, and where its settings come from."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conduit_local import __version__
from conduit_local.cli.serve import usual_data_folder
from conduit_local.client.control import ControlClient
from tests.appliance import KEY, ORDERS, Appliance, serving
from tests.cli.commands import command, process, running
from tests.conftest import missing
from tests.disks import mounted


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to; for root that takes a mount."""
    folder = tmp_path / "read-only"
    if os.geteuid() != 0:
        folder.mkdir(mode=0o500)
        yield folder
        return
    try:
        with mounted(folder, 1):
            subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
            yield folder
    except PermissionError as error:
        missing(str(error))


def test_up_it_says_where_it_listens_and_down_it_leaves_nothing_of_that(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path, {"orders": ORDERS})
    with appliance:
        assert appliance.process is not None
        said = json.loads((appliance.data / "appliance.json").read_bytes())
        assert said == {"pid": appliance.process.pid, "url": appliance.url, "version": __version__}
        assert appliance.emit({}).status == 200
        assert appliance.stop() == 0
    assert not (appliance.data / "appliance.json").exists()
    assert "Traceback" not in appliance.log.read_text()


def test_ctrl_c_ends_it_softly_and_what_is_pending_stays(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path, {"orders": ORDERS.replace("200ms", "1h")})
    with appliance:
        assert appliance.process is not None
        assert appliance.emit({}).status == 200
        appliance.process.send_signal(signal.SIGINT)
        appliance.process.communicate(timeout=30)
        assert appliance.process.returncode == 0
    with appliance:
        assert appliance.pipeline("pl_8f3a")["pending"] == 1


def test_the_first_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    appliance = Appliance(tmp_path, {"orders": ORDERS}, environment={"CONDUIT_LOCAL_API_KEY": ""})
    path, found = appliance.data / "api-key", []
    for _ in range(2):
        with appliance:
            assert path.stat().st_mode & 0o777 == 0o600
            assert appliance.data.stat().st_mode & 0o777 == 0o700
            found.append(path.read_text().strip())
            assert appliance.ask("GET", "/_local/keys", key=found[0]).status == 200
            assert appliance.ask("GET", "/_local/keys").status == 401
    assert found[0] == found[1]
    assert found[0].startswith("ck_live_")
    assert found[0] not in appliance.log.read_text()
    with serving(tmp_path, {}, environment={"CONDUIT_LOCAL_API_KEY": "one of my own"}) as again:
        assert path.read_text() == "one of my own\n"
        for key in (found[0], "one of my own"):
            assert again.ask("GET", "/_local/keys", key=key).status == 200


# Where settings come from ----------------------------------------------------------------------------------


def environment_of(folder: Path) -> dict[str, str]:
    """All that `serve` can be told by its environment."""
    (folder / "configuration" / "pipelines").mkdir(parents=True)
    (folder / "configuration" / "pipelines" / "orders.yaml").write_text(ORDERS)
    return {
        "CONDUIT_LOCAL_HOST": "127.0.0.2",
        "CONDUIT_LOCAL_PORT": "0",
        "CONDUIT_LOCAL_DATA_DIR": str(folder / "data"),
        "CONDUIT_LOCAL_CONFIG_DIR": str(folder / "configuration"),
        "CONDUIT_LOCAL_AUTH": "off",
        "CONDUIT_LOCAL_TESTING": "1",
        "CONDUIT_LOCAL_LOG_FORMAT": "json",
        "CONDUIT_LOCAL_LOG_FILE": "it.log",
        "CONDUIT_LOCAL_STORE_TAG": "abcde",
    }


@pytest.mark.parametrize("command", [("serve",), ()])
def test_every_flag_has_a_variable_and_without_a_terminal_no_command_means_serve(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    with running(*command, environment=environment_of(tmp_path), folder=tmp_path) as (_, url):
        assert url.startswith("http://127.0.0.2:")
        with ControlClient(url, None) as client:
            said = client.snapshot()["appliance"]
            assert (said["data_dir"], said["auth"], said["testing"]) == (str(tmp_path / "data"), "off", True)
            assert [one["id"] for one in client.pipelines()] == ["pl_8f3a"]
            sent = client.send("pl_8f3a", b'[{"event_type":"a","payload":{}}]', "application/json")
            assert sent["first_event_id"].startswith("evt_abcde")
            sources = {row["name"]: row["source"] for row in client.configuration()["settings"]}
            assert sources["port"] == "environment CONDUIT_LOCAL_PORT"
            assert sources["log.format"] == "environment CONDUIT_LOCAL_LOG_FORMAT"
            assert sources["grace"] == "default"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    lines = (tmp_path / "data" / "it.log").read_text().splitlines()
    assert {"at", "level", "pipeline", "message"} == set(json.loads(lines[0]))


def test_a_flag_beats_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    environment = {"CONDUIT_LOCAL_LOG_FORMAT": "json", "CONDUIT_LOCAL_AUTH": "required"}
    settings = 'log: {format: text, level: warning}\nauth: "off"\ngrace: 3s\n'
    with serving(tmp_path, {}, "--log-format", "text", settings=settings, environment=environment) as appliance:
        rows = {row["name"]: (row["value"], row["source"]) for row in report(appliance)}
    assert rows["log.format"] == ("text", "flag --log-format")
    assert rows["auth"] == ("required", "environment CONDUIT_LOCAL_AUTH")
    assert rows["grace"] == (3.0, "conduit-local.yaml:3")


def report(appliance: Appliance) -> list[dict[str, object]]:
    found: list[dict[str, object]] = appliance.ask("GET", "/_local/config", key=KEY).json["settings"]
    return found


def test_settings_and_pipelines_of_the_folder_it_is_started_in_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conduit-local.yaml").write_text("port: 0\ndata_dir: kept/here\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "orders.yaml").write_text(ORDERS)
    monkeypatch.chdir(tmp_path)
    assert usual_data_folder() == tmp_path / "kept" / "here"
    with running("serve", folder=tmp_path) as (_, url):
        key = (tmp_path / "kept" / "here" / "api-key").read_text().strip()
        with ControlClient(url, key) as client:
            assert [one["id"] for one in client.pipelines()] == ["pl_8f3a"]


def test_without_a_folder_anywhere_the_users_own_are_used(tmp_path: Path) -> None:
    places = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "d"), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    with running("serve", "--port", "0", environment=places, folder=tmp_path) as (_, url):
        found = process("status", "--json", environment=places)
        assert found.json["appliance"]["url"] == url
        assert Path(found.json["appliance"]["data_dir"]).is_relative_to(tmp_path)


# What keeps it from running --------------------------------------------------------------------------------


def refused(folder: Path, *flags: str, **environment: str) -> tuple[int, str]:
    """The exit code of a `serve` that ends by itself, and the last thing that it said."""
    (folder / "config").mkdir(exist_ok=True)
    flags = ("--port", "0", "--data-dir", str(folder / "data"), "--config-dir", str(folder / "config"), *flags)
    done = process("serve", *flags, environment=environment)
    assert done.out == ""
    said = [line for line in done.err.splitlines() if " INFO " not in line]
    return done.code, "\n".join(said)


def test_a_second_one_on_the_same_data_folder_exits_4_and_names_the_first(tmp_path: Path) -> None:
    with serving(tmp_path, {"orders": ORDERS}) as first:
        assert first.emit({}).status == 200
        code, said = refused(tmp_path)
        assert first.process is not None
        assert code == 4
        assert said == (
            f"conduit-local: the data folder {first.data} is in use by process {first.process.pid}, "
            f"which serves {first.url}"
        )
        assert first.emit({}).status == 200
        first.until_delivered()


def test_a_port_in_use_exits_1_and_says_what_to_do(tmp_path: Path) -> None:
    with serving(tmp_path / "one", {}) as first:
        code, said = refused(tmp_path, "--port", str(first.port))
    assert code == 1
    assert said.startswith(f"conduit-local: port {first.port} on 127.0.0.1 is in use; choose another with --port")
    assert not (tmp_path / "data" / "appliance.json").exists()


def test_a_configuration_folder_that_is_not_there_exits_2_at_first_and_is_waited_for_later(tmp_path: Path) -> None:
    code, said = refused(tmp_path, "--config-dir", str(tmp_path / "typo"))
    assert code == 2
    assert said.startswith(f"conduit-local: --config-dir {tmp_path / 'typo'}: there is no such folder; it holds ")
    appliance = Appliance(tmp_path, {"orders": ORDERS})
    with appliance:
        assert appliance.emit({}).status == 200
    appliance.config.rename(tmp_path / "gone")
    with appliance:
        assert appliance.emit({}).status == 200


def test_a_name_that_is_no_place_to_listen_exits_1(tmp_path: Path) -> None:
    code, said = refused(tmp_path, "--host", "no.such.host.invalid")
    assert code == 1
    assert said.startswith("conduit-local: listen on no.such.host.invalid: ")


def test_a_data_folder_that_cannot_be_made_exits_74_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, why in ((tmp_path / "file" / "data", "Not a directory"), (Path("/proc/nothing"), "No such file")):
        code, said = refused(tmp_path, "--data-dir", str(place), "--log-file", "it.log")
        assert code == 74
        assert said == f"conduit-local: open the data folder {place}: {why}" + (" or directory" * ("No such" in why))


def test_a_read_only_data_folder_exits_74(read_only_folder: Path) -> None:
    code, said = refused(read_only_folder.parent, "--data-dir", str(read_only_folder))
    assert code == 74
    assert said.startswith(f"conduit-local: open the data folder {read_only_folder}: ")
    assert list(read_only_folder.iterdir()) == []


def test_a_database_of_a_newer_version_exits_1_and_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "conduit.db") as db:
        db.execute("PRAGMA user_version = 9999")
    db.close()
    code, said = refused(tmp_path)
    assert code == 1
    assert "9999" in said


def test_a_key_of_the_environment_that_is_none_exits_2_and_is_blamed_on_it(tmp_path: Path) -> None:
    code, said = refused(tmp_path, CONDUIT_LOCAL_API_KEY="short")
    assert code == 2
    assert said == (
        "conduit-local: the configuration is not valid\n"
        "environment CONDUIT_LOCAL_API_KEY: a given API key needs at least 8 printable ASCII characters"
    )


@pytest.mark.parametrize(
    ("settings", "environment", "said"),
    [
        ("storage:\n  quota: lots\n", {}, "conduit-local.yaml:2: storage.quota: a size is bytes with a unit"),
        ("prot: 1\n", {}, "conduit-local.yaml:1: prot: unknown field; did you mean 'port'?"),
        ("auth: [", {}, "conduit-local.yaml:1: is not YAML"),
        ("", {"CONDUIT_LOCAL_STORE_TAG": "TAG"}, "environment CONDUIT_LOCAL_STORE_TAG: must be 5 characters"),
        ("host: 0.0.0.0", {"CONDUIT_LOCAL_AUTH": "off"}, "environment CONDUIT_LOCAL_AUTH: keys can be off on loopback"),
    ],
)
def test_settings_that_are_wrong_exit_2_and_say_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, environment: dict[str, str], said: str
) -> None:
    (tmp_path / "conduit-local.yaml").write_text(settings)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = command("serve", "--config-dir", str(tmp_path), "--data-dir", str(tmp_path / "data"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"conduit-local: the configuration is not valid\n{said}")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--port", "65536"), {}),
        (("--auth", "maybe"), {}),
        (("--colour", "red"), {}),
        ((), {"CONDUIT_LOCAL_LOG_FORMAT": "xml"}),
    ],
)
def test_flags_that_are_wrong_exit_2(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = command("serve", *flags)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: conduit-local serve")
