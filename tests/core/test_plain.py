import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit_local.core.plain import is_visible, plain, plain_lines, shorten


@given(st.text())
def test_nothing_that_drives_a_terminal_comes_through(text: str) -> None:
    shown = plain(text)
    assert not any(unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"} for char in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders", "orders"),
        ("Größe 地震", "Größe 地震"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\r\nb", "a\\x0d\\x0ab"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("\x9b2J", "\\x9b2J"),
        ("\ud800", "\\ud800"),
    ],
)
def test_controls_are_written_as_escapes_and_letters_stay(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_lines_and_tabs_may_stay_where_text_has_lines() -> None:
    assert plain_lines("a\tb\n\x1bc") == "a\tb\n\\x1bc"


def test_what_is_too_long_is_cut_and_the_cut_is_marked() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(("text", "visible"), [("a b", True), ("地震", True), ("a\n", False), ("a\u200b", False)])
def test_a_name_is_visible_or_not(text: str, visible: bool) -> None:
    assert is_visible(text) is visible
