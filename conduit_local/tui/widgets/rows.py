"""
A table of rows that the cursor moves over.

Drawn line by line: only what is visible is rendered, and what moves is a list of tuples; 500 pipelines cost what fits
on the screen. The selection follows the row's key, wherever sorting puts it, and stays where it is on the screen. Where
the newest is on top, a cursor on the first row stays there.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from conduit_local.tui.look import cut
from conduit_local.tui.widgets.lines import Lines

Cell = tuple[str, str]
"""A text, and a Rich style for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column; one of them takes what is left."""

    title: str
    width: int
    right: bool = False
    drop: int = 0
    """The higher, the sooner it gives way on a narrow terminal; 0: never."""
    grows: bool = False
    keep_end: bool = False
    """What is too long loses its beginning, not its end: paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row: its key, and a cell for each column."""

    key: str
    cells: Sequence[Cell]


class Rows(Lines):
    """The table. Says `Moved` when another row is selected, `Opened` on Enter or a second click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("g,home", "move(-1000000000)", show=False),
        Binding("G,end", "move(1000000000)", show=False),
        Binding("enter", "open", show=False, id="open"),
    ]

    class Moved(Message):
        """Another row is selected."""

    class Opened(Message):
        """The selected row was asked for."""

    def __init__(
        self, columns: Sequence[Column], *, ascii_only: bool, newest_first: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.columns = list(columns)
        self.rows: list[Row] = []
        self.key: str | None = None
        """The key of the selected row."""
        self._places: dict[str, int] = {}
        self._pointer = ">"
        self._ascii_only = ascii_only
        self._newest_first = newest_first

    @property
    def cursor(self) -> int:
        """The place of the selected row; 0 when there is none."""
        return self._places.get(self.key or "", 0)

    def show(self, rows: Sequence[Row]) -> None:
        """Show other rows. The selection stays on its key; where that is gone, on its place."""
        place, top = self.cursor, self.scroll_offset.y
        at_newest = self._newest_first and place == 0 and top == 0
        self.rows = list(rows)
        self._places = {row.key: at for at, row in enumerate(self.rows)}
        chosen = self.key
        if chosen not in self._places or at_newest:
            chosen = self.rows[min(place, len(self.rows) - 1)].key if self.rows else None
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        if chosen != self.key:
            self.key = chosen
            self.post_message(self.Moved())
        if self.cursor != place:
            self._put_on_top(top + self.cursor - place)
        self.refresh()

    def select(self, key: str) -> None:
        """Put the cursor on a row."""
        if key in self._places and key != self.key:
            self.key = key
            self._keep_visible()
            self.post_message(self.Moved())
            self.refresh()

    def go(self, keys: Set[str], *, back: bool) -> bool:
        """Put the cursor on the next row (or the one before) that is among `keys`; whether there is one."""
        here = self.cursor
        found = [at for at, row in enumerate(self.rows) if row.key in keys and (at < here if back else at > here)]
        if found:
            self.select(self.rows[found[-1] if back else found[0]].key)
        return bool(found)

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        if self.rows:
            self.select(self.rows[min(max(self.cursor + by, 0), len(self.rows) - 1)].key)

    def action_page(self, by: int) -> None:
        """Move the cursor by what fits on the screen."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_open(self) -> None:
        """Ask for the selected row."""
        if self.key is not None:
            self.post_message(self.Opened())

    def on_click(self, event: Click) -> None:
        """Select what is clicked; open it when it was selected already."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y > 0 and place < len(self.rows):
            if self.rows[place].key == self.key:
                self.action_open()
            self.select(self.rows[place].key)

    def render_line(self, y: int) -> Strip:
        """One line of the widget; the first is the head."""
        width = self.scrollable_content_region.width
        layout = self._layout(width)
        base = self.base
        if y == 0:
            head = base + Style(bold=True, dim=True)
            cells = [(self.columns[at].title, size, self.columns[at], head) for at, size in layout]
            return self._strip("  ", head, cells, width, base)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self.rows):
            return Strip.blank(width, base)
        row = self.rows[place]
        chosen = row.key == self.key
        line = base + Style(reverse=chosen and self.has_focus, bold=chosen)
        cells = [
            (row.cells[at][0], size, self.columns[at], line + Style.parse(row.cells[at][1] or "none"))
            for at, size in layout
        ]
        return self._strip(f"{self._pointer} " if chosen else "  ", line, cells, width, line)

    def _strip(
        self, lead: str, lead_style: Style, cells: list[tuple[str, int, Column, Style]], width: int, rest: Style
    ) -> Strip:
        segments = [Segment(lead, lead_style)]
        for text, size, column, style in cells:
            fitted = _fit(text, size, column, mark="~" if self._ascii_only else "…")
            segments += [Segment(fitted, style), Segment(" ", rest)]
        return Strip(segments).adjust_cell_length(width, rest)

    def _layout(self, width: int) -> list[tuple[int, int]]:
        """Which columns fit, and how wide each is."""
        shown = list(range(len(self.columns)))
        droppable = sorted((at for at in shown if self.columns[at].drop), key=lambda at: -self.columns[at].drop)
        while droppable and self._needed(shown) > width:
            shown.remove(droppable.pop(0))
        spare = max(0, width - self._needed(shown))
        return [(at, self.columns[at].width + (spare if self.columns[at].grows else 0)) for at in shown]

    def _needed(self, shown: Sequence[int]) -> int:
        """How wide these columns are, with the pointer before them and a space between them."""
        return 1 + sum(self.columns[at].width + 1 for at in shown)

    def _keep_visible(self) -> None:
        place, top, height = self.cursor, self.scroll_offset.y, max(1, self.size.height - 1)
        if place < top:
            self._put_on_top(place)
        elif place >= top + height:
            self._put_on_top(place - height + 1)

    def _put_on_top(self, place: int) -> None:
        self.put_on_top(place, len(self.rows) + 1 - self.size.height)


def _fit(text: str, width: int, column: Column, *, mark: str) -> str:
    size = cell_len(text)
    if size > width:
        if width <= 0:
            return ""
        if column.keep_end:
            return mark + set_cell_size(text[::-1], width - 1)[::-1]
        return cut(text, width, mark)
    return " " * (width - size) + text if column.right else text + " " * (width - size)
