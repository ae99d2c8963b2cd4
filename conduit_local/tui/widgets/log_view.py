"""
A log: lines over a bounded list, drawn when they are visible. It follows the newest line, or does not move at all.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from conduit_local.tui.look import LEVEL_STYLES, clock
from conduit_local.tui.query import Query

Line = dict[str, Any]


class LogView(ScrollView, can_focus=True):
    """Lines of the appliance's log, filtered."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_by(1)", show=False),
        Binding("k,up", "scroll_by(-1)", show=False),
        Binding("pagedown,ctrl+d", "scroll_page(1)", show=False),
        Binding("pageup,ctrl+u", "scroll_page(-1)", show=False),
        Binding("g,home", "top", show=False),
        Binding("G,end", "follow", show=False),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.lines: list[Line] = []
        self.following = True
        self._first = 0
        """The number of the line on top, while it does not follow: new lines must not move it."""
        self.marked: int | None = None
        """The number of the line that was gone to."""
        self.tell: Callable[[], None] = lambda: None
        """Called when it begins or ends to follow."""

    def show(self, lines: Sequence[Line], query: Query) -> None:
        """Show these lines, those that pass the filter."""
        self.lines = [line for line in lines if query.holds(line)] if query else list(lines)
        self.virtual_size = Size(self.size.width, len(self.lines))
        if self.following:
            self._put_on_top(len(self.lines))
        else:
            self._put_on_top(next((at for at, line in enumerate(self.lines) if line["number"] >= self._first), 0))
        self.refresh()

    def action_scroll_by(self, by: int) -> None:
        """Move by lines; at the end it follows again."""
        self._put_on_top(self.scroll_offset.y + by)
        self._note_place()

    def action_scroll_page(self, by: int) -> None:
        """Move by what fits on the screen."""
        self.action_scroll_by(by * max(1, self.size.height - 1))

    def action_top(self) -> None:
        """Go to the oldest line."""
        self._put_on_top(0)
        self._note_place()

    def action_follow(self) -> None:
        """Follow the newest line."""
        self.following = True
        self.marked = None
        self._put_on_top(len(self.lines))
        self.tell()
        self.refresh()

    def go(self, wanted: Callable[[Line], bool], *, back: bool) -> bool:
        """Go to the next line (or the one before) that is wanted; whether there is one."""
        here = self.marked
        if here is None:
            here = 1 << 62 if back else (self.lines[self.scroll_offset.y]["number"] - 1 if self.lines else 0)
        ordered = reversed(self.lines) if back else self.lines
        found = next(
            (line for line in ordered if (line["number"] < here if back else line["number"] > here) and wanted(line)),
            None,
        )
        if found is None:
            return False
        self.marked = found["number"]
        place = self.lines.index(found)
        self.following = False
        self._put_on_top(place - self.size.height // 2)
        self._note_place(at_end_follow=False)
        self.refresh()
        return True

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        base = self.rich_style
        place = y + self.scroll_offset.y
        if place >= len(self.lines):
            return Strip.blank(self.size.width, base)
        line = self.lines[place]
        style = base + Style.parse(LEVEL_STYLES.get(line["level"], "") or "none")
        if line["number"] == self.marked:
            style += Style(reverse=True)
        about = f"{line['pipeline']} " if line["pipeline"] else ""
        segments = [
            Segment(f"{clock(line['at'])} ", base + Style(dim=not self.app.ansi_color)),
            Segment(f"{line['level'][:5]:<5} ", style),
            Segment(about, base + Style(bold=True)),
            Segment(line["message"], style),
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves it too."""
        self.action_scroll_by(-3)

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves it too."""
        self.action_scroll_by(3)

    def _put_on_top(self, y: int) -> None:
        last = max(0, len(self.lines) - self.size.height)
        self.scroll_to(y=min(max(0, y), last), animate=False, immediate=True, force=True)

    def _note_place(self, *, at_end_follow: bool = True) -> None:
        last = max(0, len(self.lines) - self.size.height)
        self.following = at_end_follow and self.scroll_offset.y >= last
        if self.lines:
            self._first = self.lines[min(self.scroll_offset.y, len(self.lines) - 1)]["number"]
        self.tell()
        self.refresh()
