"""3 Logs: the appliance's log, filtered; from error to error."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from conduit_local.tui import look
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.widgets.log_view import LogView


class LogsScreen(TabScreen):
    """The third screen."""

    NAME = "logs"
    TITLE_ = "Logs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("logs")]

    def __init__(self) -> None:
        super().__init__()
        self.ages = False

    def body(self) -> Iterable[Widget]:
        """The log."""
        yield LogView(ascii_only=self.main.ascii_only, id="lines")
        yield Static(id="empty", markup=False)

    def on_mount(self) -> None:
        """The keys are for the log."""
        super().on_mount()
        log = self.query_one(LogView)
        log.tell = lambda: self.put("status", self.status())
        log.time_text = self.time_text
        log.focus()

    def on_screen_resume(self) -> None:
        """Paint, and take the keys."""
        super().on_screen_resume()
        self.query_one(LogView).focus()

    def paint(self) -> None:
        """All lines that pass the filter."""
        log = self.query_one(LogView)
        log.names_width = self.names_width()
        log.show(list(self.seen.log), self.query_)
        self.set_class(not log.lines and self.seen.snapshot is not None, "is_empty")
        hint = "No line fits. esc clears the filter." if self.query_ else "The appliance has said nothing yet."
        self.put("empty", Text(hint))

    def status(self) -> Text:
        """How many of how many, and whether it follows."""
        log = self.query_one(LogView)
        following = "FOLLOW" if log.following else "held; F or G follows"
        missed = f" | {look.count(self.seen.missed)} lines missed" if self.seen.missed else ""
        query = f" | filter: {self.query_.text}" if self.query_ else ""
        return Text(
            f" {look.count(len(log.lines))} of {look.count(len(self.seen.log))} lines{query}{missed} | {following}"
        )

    def action_follow(self) -> None:
        """Follow the newest line."""
        self.query_one(LogView).action_follow()

    def action_next_error(self) -> None:
        """The next line that is an error."""
        self._go(errors=True, back=False)

    def action_previous_error(self) -> None:
        """The error before."""
        self._go(errors=True, back=True)

    def go_to_match(self, by: int) -> None:
        """The next line that the filter found, or the one before."""
        self._go(errors=False, back=by < 0)

    def _go(self, *, errors: bool, back: bool) -> None:
        found = self.query_one(LogView).go(lambda line: not errors or line["level"] in {"ERROR", "CRITICAL"}, back=back)
        if not found:
            self.main.say("no more errors that way" if errors else "no more lines that way")

    def selected_json(self) -> Any:
        """The line that was gone to, or the newest."""
        return self.query_one(LogView).current

    def selected_curl(self) -> str | None:
        """A command that shows the log."""
        return self.main.curl("/_local/logs?limit=200")
