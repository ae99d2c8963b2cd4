from pathlib import Path

import pytest

from conduit_local.config.settings import FILE_NAME, Given, InvalidSettings, load_settings


def settings_of(folder: Path, text: str) -> Path:
    (folder / FILE_NAME).write_text(text)
    return folder


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    found = load_settings(tmp_path, [], {})
    assert (found.settings.host, found.settings.port, found.settings.durability) == ("127.0.0.1", 8642, "full")
    assert found.settings.storage.quota == 10 * 1024**3
    assert {row["source"] for row in found.report()} == {"default"}


def test_each_value_knows_where_it_was_set(tmp_path: Path) -> None:
    settings_of(tmp_path, "port: 1\nstorage:\n  quota: 2GiB\nhost: 127.0.0.2\n")
    found = load_settings(tmp_path, [Given(field="port", value=9, source="flag --port")], {})
    rows = {row["name"]: (row["value"], row["source"]) for row in found.report()}
    assert rows["port"] == (9, "flag --port")
    assert rows["storage.quota"] == (2 * 1024**3, "conduit-local.yaml:3")
    assert rows["host"] == ("127.0.0.2", "conduit-local.yaml:4")
    assert rows["auth"] == ("required", "default")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot: 1", "conduit-local.yaml:1: prot: unknown field; did you mean 'port'?"),
        ("host: x\nport: 70000", "conduit-local.yaml:2: port: must be at most 65535, not 70000"),
        ("storage:\n  quota: big", "conduit-local.yaml:2: storage.quota: a size is bytes with a unit"),
        ("- 1", "conduit-local.yaml:1: must be a mapping, not a list"),
        ("port: [", "conduit-local.yaml:1: is not YAML"),
        ("auth: off\nhost: 0.0.0.0", "conduit-local.yaml:1: auth: keys can be off on loopback only, not on 0.0.0.0"),
        ("storage: {tag: ABCDE}", "storage.tag: must be 5 characters"),
        ("allowed_folders: [relative/path]", "allowed_folders[0]: must be an absolute path"),
        ("retention: {age: 5}\ndurability: maybe", "durability: must be 'full' or 'relaxed', not 'maybe'"),
    ],
)
def test_what_is_wrong_is_said_with_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(settings_of(tmp_path, text), [], {})
    assert said in str(caught.value)


def test_a_wrong_value_from_outside_is_blamed_on_its_source(tmp_path: Path) -> None:
    given = [Given(field="auth", value="off", source="environment CONDUIT_LOCAL_AUTH")]
    with pytest.raises(InvalidSettings) as caught:
        load_settings(settings_of(tmp_path, "host: 0.0.0.0"), given, {})
    assert str(caught.value).startswith("environment CONDUIT_LOCAL_AUTH: keys can be off on loopback only")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_keys_can_be_off_on_loopback(tmp_path: Path, host: str) -> None:
    settings_of(tmp_path, f'auth: "off"\nhost: "{host}"')
    assert load_settings(tmp_path, [], {}).settings.auth == "off"
