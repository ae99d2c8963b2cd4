"""Sheets of text over a screen: help, an event, a run, a line; and one that goes on changing."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from conduit_local.core.plain import plain

Fact = tuple[str, Text]
"""A name, and what is to be said of it."""


class Sheet(ModalScreen[None]):
    """Text to read. Any of the usual keys moves it; Escape closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark", "close", show=False),
        Binding("enter", "enter", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d", "scroll(10)", show=False),
        Binding("pageup,ctrl+u", "scroll(-10)", show=False),
        Binding("g,home", "scroll(-1000000)", show=False),
        Binding("G,end", "scroll(1000000)", show=False),
        Binding("y", "copy", show=False),
        Binding("Y", "copy_curl", show=False),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (19, "-roomy")]  # noqa: RUF012 - as Textual declares it

    def __init__(
        self,
        title: str,
        text: Text | None = None,
        *,
        facts: Sequence[Fact] = (),
        copies: str | None = None,
        curl: str | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._text = text or Text()
        self._facts = facts
        self._copies = copies
        self._curl = curl

    def compose(self) -> ComposeResult:
        """Facts, then the text, in a frame."""
        sheet = VerticalScroll(
            Static(_grid(self._facts), id="facts", markup=False),
            Static(self._text, id="text", markup=False),
            classes="sheet",
            can_focus=True,
        )
        sheet.border_title = Text(plain(self._title)).markup
        sheet.border_subtitle = ", ".join(self.hints())
        yield sheet

    def on_mount(self) -> None:
        """Facts take no room where there are none."""
        self.query_one("#facts").display = bool(self._facts)

    def hints(self) -> list[str]:
        """What the keys do here."""
        return [
            "j k move",
            *(["y copies"] if self._copies else []),
            *(["Y as curl"] if self._curl else []),
            "esc closes",
        ]

    def action_close(self) -> None:
        """Back to the screen."""
        self.dismiss()

    def action_enter(self) -> None:
        """Nothing is below: back to the screen."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Move the text."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_copy(self) -> None:
        """Copy it to the clipboard of the terminal."""
        self._copy(self._copies, "copied")

    def action_copy_curl(self) -> None:
        """Copy the command that shows it."""
        self._copy(self._curl, "copied as curl")

    def _copy(self, text: str | None, note: str) -> None:
        if text:
            self.app.copy_to_clipboard(text)
            self.app.notify(note, markup=False)


class LiveSheet(Sheet):
    """A sheet whose text is made anew with every snapshot, for its size; Enter leads on."""

    def __init__(
        self, title: str, draw: Callable[[tuple[int, int]], Text], *, enters: str, curl: str | None = None
    ) -> None:
        super().__init__(title, curl=curl)
        self._draw = draw
        self._enters = enters
        self.entered: Callable[[], None] = lambda: None
        """What Enter does, once the sheet is away."""

    def hints(self) -> list[str]:
        """As of every sheet, and where Enter leads."""
        return [f"enter: {self._enters}", *super().hints()]

    def on_mount(self) -> None:
        """Paint what is known already."""
        super().on_mount()
        self.call_after_refresh(self.paint)

    def on_resize(self) -> None:
        """Paint for another size."""
        self.call_after_refresh(self.paint)

    def paint(self) -> None:
        """Put what is known now into it."""
        if self.is_mounted:
            sheet = self.query_one(VerticalScroll)
            width = min(sheet.size.width - 1, sheet.scrollable_content_region.width)  # a scrollbar may come
            self.query_one("#text", Static).update(self._draw((width, sheet.size.height)))

    def action_enter(self) -> None:
        """Where it leads."""
        self.dismiss()
        self.entered()


def _grid(facts: Sequence[Fact]) -> Table:
    """Names to the left, and beside them what is said, however long."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for name, value in facts:
        grid.add_row(Text(name), value)
    return grid
