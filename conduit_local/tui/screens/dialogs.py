"""Dialogs: confirm, quit, help, and sheets of text."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static


class _Dialog(ModalScreen[str]):
    """A question with buttons; the first has the focus and is what Escape means."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer", show=False),
        Binding("left,h", "app.focus_previous", show=False),
        Binding("right,l", "app.focus_next", show=False),
    ]

    def __init__(self, text: str, buttons: list[tuple[str, str]]) -> None:
        super().__init__()
        self._text = text
        self._buttons = buttons

    def compose(self) -> ComposeResult:
        """The question, then its answers."""
        with Vertical(classes="dialog"):
            yield Static(Text(self._text), markup=False)
            with Horizontal(classes="buttons"):
                for name, label in self._buttons:
                    yield Button(label, id=name)

    def on_mount(self) -> None:
        """Nothing happens by a hasty Enter."""
        self.query_one(Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That is the answer."""
        self.dismiss(event.button.id)

    def action_answer(self) -> None:
        """As the first button."""
        self.dismiss(self._buttons[0][0])


class Confirm(ModalScreen[bool]):
    """Yes or no; Cancel has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
        Binding("left,h", "app.focus_previous", show=False),
        Binding("right,l", "app.focus_next", show=False),
    ]

    def __init__(self, text: str, verb: str) -> None:
        super().__init__()
        self._text = text
        self._verb = verb

    def compose(self) -> ComposeResult:
        """The question, then its answers."""
        with Vertical(classes="dialog"):
            yield Static(Text(self._text), markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="no")
                yield Button(self._verb, id="yes")

    def on_mount(self) -> None:
        """Nothing happens by a hasty Enter."""
        self.query_one("#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That is the answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """By key."""
        self.dismiss(yes)


class Quit(_Dialog):
    """What becomes of the appliance that was started with the UI: `cancel`, `stop` or `leave`."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The appliance at {host} was started with this terminal.\n"
            "Stop it: requests and batches in hand are ended first, nothing is lost.\n"
            "Leave it running: conduit-local attach comes back to it.",
            [("cancel", "Cancel"), ("stop", "Stop it"), ("leave", "Leave running")],
        )


class Sheet(ModalScreen[None]):
    """Text to read: help, an event, a run. Any of the usual keys moves it; Escape closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "close", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("pagedown,ctrl+d", "scroll(10)", show=False),
        Binding("pageup,ctrl+u", "scroll(-10)", show=False),
        Binding("g,home", "scroll(-1000000)", show=False),
        Binding("G,end", "scroll(1000000)", show=False),
        Binding("y", "copy", show=False),
        Binding("Y", "copy_curl", show=False),
    ]

    def __init__(self, title: str, text: Text, *, copies: str | None = None, curl: str | None = None) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._copies = copies
        self._curl = curl

    def compose(self) -> ComposeResult:
        """The text in a frame."""
        sheet = VerticalScroll(Static(self._text, markup=False), classes="sheet", can_focus=True)
        sheet.border_title = Text(self._title).markup
        hints = ["esc closes"] + (["y copies"] if self._copies else []) + (["Y as curl"] if self._curl else [])
        sheet.border_subtitle = ", ".join(hints)
        yield sheet

    def action_close(self) -> None:
        """Back to the screen."""
        self.dismiss()

    def action_scroll(self, by: int) -> None:
        """Move the text."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_copy(self) -> None:
        """Copy it to the clipboard of the terminal."""
        if self._copies:
            self.app.copy_to_clipboard(self._copies)
            self.app.notify("copied", markup=False)

    def action_copy_curl(self) -> None:
        """Copy the command that shows it."""
        if self._curl:
            self.app.copy_to_clipboard(self._curl)
            self.app.notify("copied as curl", markup=False)
