"""The appliance's log and journal: a record a line, and nothing in it that drives a terminal (fault 20)."""

import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.cli.logs import handler_for
from conduit_local.core.secrets import Secret
from conduit_local.engine.clock import SystemClock
from conduit_local.engine.journal import LOGGER, Journal, say

HIDDEN = "hunter2"
NASTY = "\x1b]0;owned\x07\x9b2J\u202e\r\n2026-06-21T14:09:33.120Z INFO    forged\u2028"
DRIVES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) +")


@pytest.fixture
def journal() -> Iterator[Journal]:
    found = Journal(SystemClock())
    LOGGER.addHandler(found)
    LOGGER.setLevel("INFO")
    yield found
    LOGGER.removeHandler(found)


def fail(text: str) -> logging.LogRecord:
    """What a bug in a handler leaves."""
    try:
        raise RuntimeError(f"{text} {Secret(HIDDEN)}")
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
        return LOGGER.makeRecord("x", logging.ERROR, __file__, 1, "%s %s", ("GET", text), info)


@given(st.text(max_size=60) | st.just(NASTY))
def test_a_record_is_one_line_whatever_it_says(text: str) -> None:
    record = LOGGER.makeRecord("x", logging.INFO, __file__, 1, "%s", (text,), None)
    for form in ("text", "json"):
        line = handler_for(form, None).format(record)
        assert not DRIVES.search(line)
        assert len(line.splitlines()) == 1


@given(st.text(max_size=60) | st.just(NASTY))
def test_no_line_of_a_traceback_passes_for_a_record_or_drives_a_terminal(text: str) -> None:
    said = handler_for("text", None).format(fail(text))
    first, *rest = said.split("\n")
    assert RECORD.match(first)
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert not DRIVES.search(said)
    assert HIDDEN not in said


def test_as_json_a_record_with_its_traceback_is_one_line() -> None:
    line = handler_for("json", None).format(fail(NASTY))
    assert "\n" not in line
    found = json.loads(line)
    assert not DRIVES.search(found["message"] + found["traceback"])
    assert HIDDEN not in line


def test_the_journal_keeps_what_was_said_made_plain(journal: Journal) -> None:
    say(logging.WARNING, f"no answer: {NASTY}")
    LOGGER.handle(fail(NASTY))
    for line in journal.after(0, 10):
        assert not DRIVES.search(line.message)
        assert "\n" not in line.message
        assert HIDDEN not in line.message
    assert journal.newest == 2


def test_a_log_file_in_a_folder_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    handler = handler_for("text", tmp_path / "logs" / "x.log")
    handler.handle(fail("a"))
    handler.close()
    assert "Traceback" in (tmp_path / "logs" / "x.log").read_text()


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    handler = handler_for("text", Path("/dev/full"))
    handler.handle(fail("a"))
    with suppress(OSError):
        handler.close()
