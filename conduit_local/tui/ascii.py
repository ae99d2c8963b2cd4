"""The last step before the terminal with `--ascii`: every character is under 0x80, as wide as what it stands for."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter


class AsciiOnly(LineFilter):
    """A question mark for every cell of what is not ASCII."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """All segments of a line."""
        return [one if one.text.isascii() else Segment(_ascii(one.text), one.style, one.control) for one in segments]


def _ascii(text: str) -> str:
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in text)
