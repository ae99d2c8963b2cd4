"""
The parts of the README that are made: the keys of the terminal UI, from the action table; the table of speeds.

    python -m tests.docs.parts            writes the keys anew
    scripts/bench | python -m tests.docs.parts --bench     writes the table of speeds, too
"""

import re
import sys
from pathlib import Path

from conduit_local.tui.actions import ACTIONS, MOVES

README = Path(__file__).parents[2] / "README.md"


def keys() -> str:
    """The keys as a table."""
    rows = [(action.shown, action.where or "everywhere", action.text) for action in ACTIONS]
    rows += [(shown, "everywhere", text[0].upper() + text[1:]) for shown, text in MOVES]
    lines = [f"| `{shown}` | {where.replace(' ', ', ')} | {text} |" for shown, where, text in rows]
    return "\n".join(["| key | where | what it does |", "|---|---|---|", *lines])


def part(readme: str, name: str) -> str:
    """What stands between the marks of a part."""
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", readme, re.DOTALL)
    assert found, f"the README has no part {name}"
    return found[1].strip("\n")


def with_part(readme: str, name: str, text: str) -> str:
    """The README with a part made anew."""
    head, rest = readme.split(f"<!-- {name} -->\n")
    return f"{head}<!-- {name} -->\n{text}\n<!-- end of {name} -->{rest.split(f'<!-- end of {name} -->')[1]}"


def main() -> None:
    """Write them."""
    readme = with_part(README.read_text(), "keys", keys())
    if "--bench" in sys.argv:
        readme = with_part(readme, "bench", sys.stdin.read().strip("\n"))
    README.write_text(readme)


if __name__ == "__main__":
    main()
