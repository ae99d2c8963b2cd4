"""What came of trying destinations out, as text. A pure function."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

_MARKS = {True: ("✓", "+", "green"), False: ("✗", "x", "bold red"), None: ("·", "-", "yellow")}


def findings(results: Sequence[dict[str, Any]], *, ascii_only: bool) -> Text:
    """Destination by destination, a line for each thing that was tried."""
    text = Text()
    if not results:
        return Text("The configuration names no destination.", "dim")
    for result in results:
        kind = "" if result["destination"] == result["type"] else f" ({result['type']})"
        text.append(f"{result['destination']}{kind}\n", "bold")
        width = max((len(one["step"]) for one in result["findings"]), default=0)
        for one in result["findings"]:
            glyph, letter, style = _MARKS[one["ok"]]
            text.append(f"  {letter if ascii_only else glyph} ", style)
            text.append(f"{one['step']:<{width}}  ", style if one["ok"] is False else "dim")
            text.append(f"{one['message']}\n", style if one["ok"] is False else "")
    text.rstrip()
    return text
