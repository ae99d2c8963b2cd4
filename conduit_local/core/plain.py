"""Text that came from outside, made safe to show: the terminal is never driven by an event (fault 20)."""

import re
import unicodedata

# C0 and C1 controls, DEL, line and paragraph separators, bidi controls and isolates, zero-width and tag characters.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """`text` on one line, each control or invisible character written as an escape: `\\x1b`, `\\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text.encode("utf-8", "backslashreplace").decode())


def plain_lines(text: str) -> str:
    """As `plain`, but line feeds and tabs stay."""
    return "\n".join("\t".join(map(plain, line.split("\t"))) for line in text.split("\n"))


def shorten(text: str, limit: int, mark: str = "…") -> str:
    """At most `limit` characters, the cut marked."""
    return text if len(text) <= limit else text[: limit - len(mark)] + mark


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def is_visible(text: str) -> bool:
    """Whether every character of `text` is shown as itself: a rule for names and labels."""
    return all(unicodedata.category(char)[0] != "C" for char in text) and not _UNSAFE.search(text)
