"""3 Logs: the appliance's log, filtered; from error to error."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget

from conduit_local.tui import look
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.widgets.log_view import LogView


class LogsScreen(TabScreen):
    """The third screen."""

    NAME = "logs"
    TITLE_ = "Logs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("logs")]

    def body(self) -> Iterable[Widget]:
        """The log."""
        yield LogView(id="lines")

    def on_mount(self) -> None:
        """The keys are for the log."""
        super().on_mount()
        log = self.query_one(LogView)
        log.tell = lambda: self.put("status", self.status())
        log.focus()

    def on_screen_resume(self) -> None:
        """Paint, and take the keys."""
        super().on_screen_resume()
        self.query_one(LogView).focus()

    def paint(self) -> None:
        """All lines that pass the filter."""
        self.query_one(LogView).show(list(self.seen.log), self.query_)

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

    def action_next_match(self) -> None:
        """The next line that the filter found."""
        self._go(errors=False, back=False)

    def action_previous_match(self) -> None:
        """The line before that the filter found."""
        self._go(errors=False, back=True)

    def _go(self, *, errors: bool, back: bool) -> None:
        found = self.query_one(LogView).go(lambda line: not errors or line["level"] in {"ERROR", "CRITICAL"}, back=back)
        if not found:
            self.main.say("no more errors that way" if errors else "no more lines that way")

    def selected_json(self) -> Any:
        """The line that was gone to, or the last one shown."""
        log = self.query_one(LogView)
        return next((line for line in log.lines if line["number"] == log.marked), log.lines[-1] if log.lines else None)

    def selected_curl(self) -> str | None:
        """A command that shows the log."""
        return self.main.curl("/_local/logs?limit=200")
