"""Questions: confirm, and quit. The first button has the focus, so that nothing happens by a hasty Enter."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, ScreenResultType
from textual.widgets import Button, Static


class _Question(ModalScreen[ScreenResultType]):
    """A text, and buttons: the name that each answers with, and what stands on it."""

    BINDINGS: ClassVar[list[BindingType]] = [
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
                    yield Button(label, id=name, compact=True)

    def on_mount(self) -> None:
        """The first one."""
        self.query(Button).first().focus()


class Confirm(_Question[bool]):
    """Yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer(False)", show=False),
        Binding("y", "answer(True)", show=False),
    ]

    def __init__(self, text: str, verb: str) -> None:
        super().__init__(text, [("no", "Cancel"), ("yes", verb)])

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That is the answer."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """By key."""
        self.dismiss(yes)


class Quit(_Question[str]):
    """What becomes of the appliance that was started with the UI: `cancel`, `stop` or `leave`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,n", "answer('cancel')", show=False),
    ]

    def __init__(self, host: str) -> None:
        super().__init__(
            f"The appliance at {host} was started with this terminal.\n"
            "Stop it: requests and batches in hand are ended first, nothing is lost.\n"
            "Leave it running: conduit-local attach comes back to it.",
            [("cancel", "Cancel"), ("stop", "Stop it"), ("leave", "Leave running")],
        )

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """That is the answer."""
        self.dismiss(event.button.id)

    def action_answer(self, answer: str) -> None:
        """By key."""
        self.dismiss(answer)
