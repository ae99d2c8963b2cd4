"""What every screen has: head, tabs, trouble, body, filter, status, footer."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Static

from conduit_local.core.units import span_text
from conduit_local.tui import look
from conduit_local.tui.actions import footer_for, own_actions
from conduit_local.tui.feed import Seen
from conduit_local.tui.query import Query
from conduit_local.tui.screens.sheet import Sheet
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from conduit_local.tui.app import ConduitApp


def bindings_for(screen: str) -> list[BindingType]:
    """A screen's own bindings, out of the table of actions."""
    return [Binding(one.keys, one.call, one.label, show=False, id=one.id) for one in own_actions(screen)]


class TabScreen(Screen[None]):
    """A screen with a number. What it shows comes from the feed; `paint` puts it there."""

    TITLE_: ClassVar[str] = ""
    NAME: ClassVar[str] = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear_filter", show=False)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (132, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (19, "-low"), (24, "-middle"), (34, "-tall")]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.query_ = Query("")
        self.ages = True
        """Whether times are shown as how long ago, or as the time of day."""

    @property
    def main(self) -> "ConduitApp":
        """The application."""
        return cast("ConduitApp", self.app)

    @property
    def seen(self) -> Seen:
        """What the feed has seen."""
        return self.main.feed.seen

    def compose(self) -> ComposeResult:
        """Head, body, foot."""
        yield Static(id="head", markup=False)
        yield Static(id="tabs", markup=False)
        yield Static(id="trouble", markup=False)
        yield Container(*self.body(), id="body")
        yield Input(id="filter", placeholder="filter: words, !not, field:value", compact=True)
        yield Static(id="status", markup=False)
        yield Static(id="footer", markup=False)

    def body(self) -> Iterable[Widget]:
        """The widgets between head and foot."""
        raise NotImplementedError

    def paint(self) -> None:
        """Put what is known on the screen."""
        raise NotImplementedError

    def status(self) -> Text:
        """The line above the footer."""
        return Text("")

    def refresh_all(self) -> None:
        """Paint, with head and foot."""
        if not self.is_mounted:
            return
        self.paint()
        self.put("tabs", self.main.tabs(self.NAME, self.size.width))
        self.put("status", self.status())
        self.paint_head()

    def paint_head(self) -> None:
        """What changes by itself: the clock, whether all this is stale and why, and with it the keys that work."""
        width = self.size.width
        self.put("head", self.main.head(width))
        trouble = self.main.trouble(width)
        self.query_one("#trouble", Static).set_class(bool(trouble), "shown")
        self.put("trouble", trouble)
        self.set_class(self.main.is_stale(), "-stale")
        may_change = self.main.orders.why_not() is None
        footer = footer_for(
            self.NAME, width, self.main.shown_keys, ascii_only=self.main.ascii_only, may_change=may_change
        )
        self.put("footer", Text(footer))

    def put(self, name: str, text: Text) -> None:
        """Change a text, if it is another one; what is around it moves only when it has more or fewer lines."""
        widget = self.query_one(f"#{name}", Static)
        shown: Text | None = getattr(widget, "shown_", None)
        if shown != text:
            widget.shown_ = text  # type: ignore[attr-defined]
            width = widget.size.width
            widget.update(text, layout=shown is None or not width or _lines(shown, width) != _lines(text, width))

    def on_mount(self) -> None:
        """Paint what is known already."""
        self.refresh_all()

    def on_screen_resume(self) -> None:
        """Paint what has changed since it was last seen."""
        self.refresh_all()

    def on_resize(self) -> None:
        """Paint for another size."""
        self.refresh_all()

    def time_text(self, at: str | None) -> str:
        """A time of the appliance: how long ago by its own clock, or the time of day."""
        snapshot = self.seen.snapshot
        if at is None or not self.ages or snapshot is None:
            return look.clock(at)
        ago_s = (datetime.fromisoformat(snapshot["time"]) - datetime.fromisoformat(at)).total_seconds()
        return f"{span_text(ago_s)} ago"

    def names_width(self) -> int:
        """How wide a column of pipelines' names is."""
        snapshot = self.seen.snapshot
        return min(14, max((len(one["name"]) for one in snapshot["pipelines"]), default=0)) if snapshot else 0

    def on_log_view_opened(self, event: LogView.Opened) -> None:
        """The whole line, however long."""
        line = event.line
        facts = [(name, Text(str(line[name] or "none"))) for name in ("at", "level", "pipeline")]
        sheet = Sheet("log", Text(f"\n{line['message']}"), facts=facts, copies=line["message"])
        self.main.push_screen(sheet)

    # Filter ----------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Show the filter and type into it."""
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        box.focus()

    def action_clear_filter(self) -> None:
        """Away with the filter."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("shown")
        self.focus_body()
        self.filter_entered()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.query_ = Query(event.value)
        self.filter_typed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Done typing: back to the rows."""
        if not event.value:
            event.input.remove_class("shown")
        self.focus_body()
        self.filter_entered()

    def filter_typed(self) -> None:
        """The filter is another one now."""
        self.refresh_all()

    def filter_entered(self) -> None:
        """The filter was entered or taken away."""

    def go_to_match(self, by: int) -> None:
        """The row after the selected one, or the one before: what is shown are matches."""
        self.query_one(Rows).action_move(by)

    def focus_body(self) -> None:
        """Put the focus on what the keys are for."""
        for widget in self.query("#body *"):
            if widget.can_focus and widget.display:
                widget.focus()
                return

    def selected_json(self) -> Any:
        """What `y` copies, or None."""
        return None

    def selected_curl(self) -> str | None:
        """What `Y` copies: a command that asks this appliance for it, or None."""
        return None


def _lines(text: Text, width: int) -> list[int]:
    """How often each line of `text` fills the width."""
    return [line.cell_len // (width + 1) for line in text.split("\n")]
