from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.config.documents import Document, DocumentError, read_document


def read(folder: Path, text: str | bytes, environment: dict[str, str] | None = None) -> Document:
    path = folder / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_document(path, "x.yaml", environment or {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: yes", {"on": "yes"}),
        ("a: no\nb: off", {"a": "no", "b": "off"}),
        ("a: true\nb: False", {"a": True, "b": False}),
        ("a: 012\nb: 0o14\nc: 0x1F\nd: -3", {"a": 12, "b": 12, "c": 31, "d": -3}),
        ("a: 1.0\nb: 1e3\nc: .5", {"a": 1.0, "b": 1000.0, "c": 0.5}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: 2026-06-21", {"a": "2026-06-21"}),
        ("a: ~\nb:\nc: null", {"a": None, "b": None, "c": None}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: '5'", {"a": "5"}),
        ("- 1\n- [a, {b: c}]", [1, ["a", {"b": "c"}]]),
        ("", None),
        ("# only a comment", None),
    ],
)
def test_yaml_means_what_version_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    assert read(tmp_path, text).value == value


def test_every_field_knows_its_line(tmp_path: Path) -> None:
    found = read(tmp_path, "name: a\nbatch:\n  max_events: 5\ndestinations:\n  - type: files\n    path: x\n")
    assert found.lines["name",] == 1
    assert found.lines["batch",] == 2
    assert found.lines["batch", "max_events"] == 3
    assert found.lines["destinations", 0, "path"] == 6


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' stands here twice"),
        ("a: 1\nb: [1, 2\n", 2, "is not YAML"),
        ("a: 1\n  b: 2", 2, "is not YAML"),
        ("a: !!python/object:os.system {}", 1, "the tag"),
        ("a: !x [1]", 1, "the tag '!x' is not known"),
        ("a: !secret x", 1, "tag '!secret' is not known"),
        ("? [1]\n: 2", 1, "a key must be plain text"),
        (b"ok: 1\nname: \xff\xfe", 2, "is not UTF-8"),
        ("a: 1\n---\nb: 2", 2, "is not YAML"),
        ("a: ${MISSING}", 1, "the environment has no MISSING"),
        ("\tx: 1", 1, "is not YAML"),
    ],
)
def test_what_is_no_document_is_said_with_its_line(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(tmp_path, text)
    assert caught.value.problem.line == line
    assert message in caught.value.problem.message
    assert str(caught.value).startswith(f"x.yaml:{line}: ")


def test_aliases_are_counted_before_they_are_written_out(tmp_path: Path) -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for n in range(1, 9):
        laughs += f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"
    with pytest.raises(DocumentError, match="too large once its aliases"):
        read(tmp_path, laughs)


def test_an_alias_of_itself_is_an_error_and_no_loop(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"too large|not YAML"):
        read(tmp_path, "a: &a [*a]")


def test_a_giant_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="larger than"):
        read(tmp_path, "x" * 1_100_000)


def test_variables_come_from_the_environment(tmp_path: Path) -> None:
    text = "a: ${DIR}/x\nb: ${NONE:-there}\nc: $${DIR}\nd: $5 {x}\ne: ${EMPTY:-no}"
    assert read(tmp_path, text, {"DIR": "/data", "EMPTY": ""}).value == {
        "a": "/data/x",
        "b": "there",
        "c": "${DIR}",
        "d": "$5 {x}",
        "e": "",
    }


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"y\.yaml: cannot be read: No such file"):
        read_document(tmp_path / "y.yaml", "y.yaml", {})


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_file_is_a_document_or_an_error(content: bytes) -> None:
    import tempfile
    from contextlib import suppress

    with tempfile.TemporaryDirectory() as folder, suppress(DocumentError):
        read(Path(folder), content)
