"""
A log: lines over a bounded list, drawn when they are visible. It follows the newest line, or does not move at all.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from conduit_local.tui.look import LEVEL_STYLES, LEVELS, clock, cut
from conduit_local.tui.query import Query
from conduit_local.tui.widgets.lines import Lines

Line = dict[str, Any]


class LogView(Lines):
    """Lines of the appliance's log, filtered. Says `Opened` on Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("g,home", "top", show=False),
        Binding("G,end", "follow", show=False),
        Binding("enter", "open", show=False, id="open"),
    ]

    class Opened(Message):
        """The marked line was asked for; the newest, where none is marked."""

        def __init__(self, line: Line) -> None:
            super().__init__()
            self.line = line

    def __init__(self, *, ascii_only: bool, **options: Any) -> None:
        super().__init__(**options)
        self.lines: list[Line] = []
        self.following = True
        self.names_width = 0
        """How wide the names of pipelines are written, so that what is said of them stands below each other."""
        self.time_text: Callable[[str], str] = clock
        self.tell: Callable[[], None] = lambda: None
        """Called when it begins or ends to follow."""
        self.marked: int | None = None
        """The number of the line that was gone to."""
        self._first = 0
        """The number of the line on top, while it does not follow: new lines must not move it."""
        self._mark = "~" if ascii_only else "…"

    def show(self, lines: Sequence[Line], query: Query) -> None:
        """Show these lines, those that pass the filter."""
        self.lines = [line for line in lines if query.holds(line)] if query else list(lines)
        self.virtual_size = Size(self.size.width, len(self.lines))
        if self.following:
            self._put_on_top(len(self.lines))
        else:
            self._put_on_top(next((at for at, line in enumerate(self.lines) if line["number"] >= self._first), 0))
        self.refresh()

    @property
    def current(self) -> Line | None:
        """The marked line; the newest, where none is marked."""
        newest = self.lines[-1] if self.lines else None
        return next((line for line in self.lines if line["number"] == self.marked), newest)

    def action_move(self, by: int) -> None:
        """Mark another line, `by` lines further; behind the last one it follows again."""
        if not self.lines:
            return
        place = next((at for at, line in enumerate(self.lines) if line["number"] == self.marked), len(self.lines))
        if place + by >= len(self.lines):
            self.action_follow()
            return
        place = max(0, place + by)
        self.marked = self.lines[place]["number"]
        top = min(max(self.scroll_offset.y, place - self.size.height + 1), place)
        self._hold(top)

    def action_page(self, by: int) -> None:
        """Mark another line, by what fits on the screen."""
        self.action_move(by * max(1, self.size.height - 1))

    def action_top(self) -> None:
        """Go to the oldest line."""
        if self.lines:
            self.marked = self.lines[0]["number"]
            self._hold(0)

    def action_follow(self) -> None:
        """Follow the newest line."""
        self.following = True
        self.marked = None
        self._put_on_top(len(self.lines))
        self.tell()
        self.refresh()

    def action_open(self) -> None:
        """Ask for the marked line."""
        if self.current is not None:
            self.post_message(self.Opened(self.current))

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
        self._hold(self.lines.index(found) - self.size.height // 2)
        return True

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        base = self.base
        place = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if place >= len(self.lines):
            return Strip.blank(width, base)
        line = self.lines[place]
        marked = Style(reverse=line["number"] == self.marked)
        base += marked
        style = base + Style.parse(LEVEL_STYLES.get(line["level"], "") or "none")
        about = f"{line['pipeline']:<{self.names_width}} " if line["pipeline"] else ""
        segments = [
            Segment(f"{self.time_text(line['at']):<8} ", base + Style(dim=True)),
            Segment(f"{LEVELS.get(line['level'], line['level']):<5} ", style),
            Segment(about, base + Style(bold=True)),
            Segment(line["message"], style),
        ]
        too_wide = sum(cell_len(segment.text) for segment in segments) - width
        if too_wide > 0:
            segments[-1] = Segment(cut(line["message"], cell_len(line["message"]) - too_wide, self._mark), style)
        return Strip(segments).adjust_cell_length(width, base)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves it too."""
        self._hold(self.scroll_offset.y - 3)

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves it too; at the end it follows again."""
        last = max(0, len(self.lines) - self.size.height)
        if self.scroll_offset.y + 3 >= last:
            self.action_follow()
        else:
            self._hold(self.scroll_offset.y + 3)

    def _put_on_top(self, y: int) -> None:
        self.put_on_top(y, len(self.lines) - self.size.height)

    def _hold(self, top: int) -> None:
        """Stay where it is from now on, with that line on top."""
        self._put_on_top(top)
        self.following = False
        if self.lines:
            self._first = self.lines[min(self.scroll_offset.y, len(self.lines) - 1)]["number"]
        self.tell()
        self.refresh()
