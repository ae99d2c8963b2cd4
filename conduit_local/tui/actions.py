"""One table of what can be done: bindings, palette, footer, help and documentation are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

ALL = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """Something that a key does. `id` is what it is rebound by."""

    id: str
    keys: str
    """As Textual names them, separated by commas."""
    shown: str
    """How help and footer write the keys."""
    label: str
    """A word or two, for the footer."""
    text: str
    """What it does, for help and palette."""
    where: str = ALL
    """The screens it is for, with spaces between; empty: all."""
    footer: bool = False
    changes: bool = False
    """Whether it sends an order: off with `--read-only` and while the connection is lost."""
    palette: bool = True
    does: str = ""
    """The method that it calls, with its argument; the id when empty."""

    @property
    def call(self) -> str:
        """What Textual runs."""
        return self.does or self.id


ACTIONS: tuple[Action, ...] = (
    Action(id="pause", keys="p", shown="p", label="Pause", text="Pause or resume the selected pipeline", where="pipelines", footer=True, changes=True),
    Action(id="drain", keys="D", shown="D", label="Drain", text="Drain: refuse new events, deliver all, stop", where="pipelines", footer=True, changes=True),
    Action(id="flush", keys="f", shown="f", label="Flush", text="Flush: deliver what is pending now", where="pipelines", footer=True, changes=True),
    Action(id="test", keys="T", shown="T", label="Test", text="Test: try out the destinations of the selected pipeline", where="pipelines", changes=True),
    Action(id="pause_all", keys="P", shown="P", label="Pause all", text="Pause all pipelines that are shown", where="pipelines", changes=True),
    Action(id="sort", keys="s", shown="s", label="Sort", text="Sort by the next column", where="pipelines"),
    Action(id="sort_back", keys="S", shown="S", label="Sort back", text="Sort by the column before", where="pipelines"),
    Action(id="open", keys="enter", shown="⏎", label="Open", text="Open what is selected", footer=True, palette=False),
    Action(id="live", keys="L", shown="L", label="Live", text="Follow events as they arrive", where="events", footer=True),
    Action(id="follow", keys="F", shown="F", label="Follow", text="Follow the newest line", where="logs", footer=True),
    Action(id="next_error", keys="e", shown="e", label="Error", text="Go to the next error", where="logs runs", footer=True),
    Action(id="previous_error", keys="E", shown="E", label="Error up", text="Go to the error before", where="logs runs"),
    Action(id="filter", keys="slash", shown="/", label="Filter", text="Filter: words, !not, field:value", footer=True),
    Action(id="next_match", keys="n", shown="n", label="Next", text="Go to the next match", palette=False),
    Action(id="previous_match", keys="N", shown="N", label="Previous", text="Go to the match before", palette=False),
    Action(id="freeze", keys="space", shown="spc", label="Freeze", text="Freeze what is shown, or let it go on", footer=True),
    Action(id="faster", keys="plus,equals_sign", shown="+", label="Faster", text="Refresh twice as often"),
    Action(id="slower", keys="minus", shown="-", label="Slower", text="Refresh half as often"),
    Action(id="copy", keys="y", shown="y", label="Copy", text="Copy what is selected, as JSON"),
    Action(id="copy_curl", keys="Y", shown="Y", label="Copy curl", text="Copy the curl command for what is selected"),
    Action(id="time_style", keys="t", shown="t", label="Time", text="Show times of day, or how long ago"),
    Action(id="pipelines", does="go('pipelines')", keys="1", shown="1", label="Pipelines", text="Go to Pipelines"),
    Action(id="events", does="go('events')", keys="2", shown="2", label="Events", text="Go to Events"),
    Action(id="logs", does="go('logs')", keys="3", shown="3", label="Logs", text="Go to Logs"),
    Action(id="runs", does="go('runs')", keys="4", shown="4", label="Runs", text="Go to Runs"),
    Action(id="previous_screen", keys="left_square_bracket", shown="[", label="Tab left", text="Go to the screen to the left", palette=False),
    Action(id="next_screen", keys="right_square_bracket", shown="]", label="Tab right", text="Go to the screen to the right", palette=False),
    Action(id="help", keys="question_mark,f1", shown="?", label="Help", text="Show all keys", footer=True),
    Action(id="palette", does="command_palette", keys="ctrl+p,colon", shown="^p", label="palette", text="Find an action by its name", footer=True, palette=False),
    Action(id="quit", keys="q,ctrl+c", shown="q", label="Quit", text="Quit"),
)  # fmt: skip

_ALWAYS = {"help", "palette"}

MOVES = (
    ("j k, arrows", "one line down, up"),
    ("pgdn pgup, ^d ^u", "a page down, up"),
    ("g G, home end", "first, last"),
    ("tab", "to the next pane"),
    ("esc", "back, or clear the filter"),
)


def actions_for(screen: str) -> list[Action]:
    """What can be done on a screen: its own actions first."""
    return own_actions(screen) + [one for one in ACTIONS if one.where == ALL]


def own_actions(screen: str) -> list[Action]:
    """What can be done on a screen, and not on all."""
    return [one for one in ACTIONS if screen in one.where.split()]


def footer_for(
    screen: str, width: int, shown: Mapping[str, str], *, ascii_only: bool = False, may_change: bool = True
) -> str:
    """The keys worth naming, as many as fit; help and palette always. Orders are left out where none may be sent."""
    shown = {"open": "ent", **shown} if ascii_only else shown
    named = [one for one in actions_for(screen) if one.footer and (may_change or not one.changes)]
    parts = [f" {shown.get(one.id, one.shown)} {one.label} " for one in named if one.id not in _ALWAYS]
    last = "".join(f" {shown.get(one.id, one.shown)} {one.label} " for one in named if one.id in _ALWAYS)
    line = ""
    for part in parts:
        if len(line) + len(part) + len(last) > width:
            break
        line += part
    return line + last


def help_text(screen: str, shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every key on a screen, and what it does."""
    found = [(shown.get(one.id, one.shown), one.text) for one in actions_for(screen)]
    return [*found, *MOVES]
