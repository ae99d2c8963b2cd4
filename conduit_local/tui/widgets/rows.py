"""
A table of rows that the cursor moves over.

Drawn line by line: only what is visible is rendered, and what moves is a list of tuples; 500 pipelines cost what fits
on the screen. The selection follows the row's key, wherever sorting puts it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

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


class Rows(ScrollView, can_focus=True):
    """The table. Says `Moved` when another row is selected, `Opened` on Enter or a second click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("g,home", "move(-1000000000)", show=False),
        Binding("G,end", "move(1000000000)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Moved(Message):
        """Another row is selected."""

    class Opened(Message):
        """The selected row was asked for."""

    def __init__(self, columns: Sequence[Column], *, ascii_only: bool, **options: Any) -> None:
        super().__init__(**options)
        self.columns = list(columns)
        self.rows: list[Row] = []
        self.key: str | None = None
        """The key of the selected row."""
        self._places: dict[str, int] = {}
        self._pointer = ">"
        self._ascii_only = ascii_only

    @property
    def cursor(self) -> int:
        """The place of the selected row; 0 when there is none."""
        return self._places.get(self.key or "", 0)

    def show(self, rows: Sequence[Row]) -> None:
        """Show other rows. The selection stays on its key; where that is gone, on its place."""
        place = self.cursor
        self.rows = list(rows)
        self._places = {row.key: at for at, row in enumerate(self.rows)}
        if self.key not in self._places:
            self.key = self.rows[min(place, len(self.rows) - 1)].key if self.rows else None
            self.post_message(self.Moved())
        self.virtual_size = Size(self.size.width, len(self.rows) + 1)
        self.refresh()

    def select(self, key: str) -> None:
        """Put the cursor on a row."""
        if key in self._places and key != self.key:
            self.key = key
            self._keep_visible()
            self.post_message(self.Moved())
            self.refresh()

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
        width = self.size.width
        layout = self._layout(width)
        base = self.rich_style
        if y == 0:
            head = base + Style(bold=True, dim=not self.app.ansi_color)
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
        while droppable and 2 + sum(self.columns[at].width + 1 for at in shown) > width:
            shown.remove(droppable.pop(0))
        spare = max(0, width - 2 - sum(self.columns[at].width + 1 for at in shown))
        return [(at, self.columns[at].width + (spare if self.columns[at].grows else 0)) for at in shown]

    def _keep_visible(self) -> None:
        place, top, height = self.cursor, self.scroll_offset.y, max(1, self.size.height - 1)
        if place < top:
            self.scroll_to(y=place, animate=False, immediate=True)
        elif place >= top + height:
            self.scroll_to(y=place - height + 1, animate=False, immediate=True)


def _fit(text: str, width: int, column: Column, *, mark: str) -> str:
    size = cell_len(text)
    if size > width:
        if width <= 0:
            return ""
        if column.keep_end:
            return mark + set_cell_size(text[::-1], width - 1)[::-1]
        return set_cell_size(text, width - 1) + mark
    return " " * (width - size) + text if column.right else text + " " * (width - size)
