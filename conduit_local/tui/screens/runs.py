"""4 Runs: outcome, trigger, rows, bytes, time, attempts, object; Enter shows the log."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from conduit_local.client.errors import ClientError
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.screens.dialogs import Sheet
from conduit_local.tui.widgets.rows import Column, Row, Rows

Run = dict[str, Any]

_COLUMNS = (
    Column(title="STARTED", width=8),
    Column(title="PIPELINE", width=14),
    Column(title="TRIGGER", width=7),
    Column(title="STATE", width=9),
    Column(title="ROWS", width=8, right=True),
    Column(title="SIZE", width=8, right=True, drop=1),
    Column(title="MS", width=6, right=True),
    Column(title="TRIES", width=5, right=True, drop=2),
    Column(title="OBJECT OR ERROR", width=12, grows=True, keep_end=True),
)
_PAGE = 300


class RunsScreen(TabScreen):
    """The fourth screen."""

    NAME = "runs"
    TITLE_ = "Runs"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("runs")]

    def __init__(self) -> None:
        super().__init__()
        self._runs: list[Run] = []
        self._more = False
        self._why: str | None = None
        self._shown: dict[str, Run] = {}

    def body(self) -> Iterable[Widget]:
        """The table."""
        yield Rows(_COLUMNS, ascii_only=self.main.ascii_only, id="table")
        yield Static(id="empty", markup=False)

    def on_mount(self) -> None:
        """Ask now, and every second while it is looked at."""
        super().on_mount()
        self.set_interval(1.0, self._ask)
        self._ask()

    def on_screen_resume(self) -> None:
        """Paint, and take the keys."""
        super().on_screen_resume()
        self.query_one(Rows).focus()
        self._ask()

    def only(self, pipeline: str) -> None:
        """Show the runs of one pipeline."""
        box = self.query_one("#filter", Input)
        box.value = f"pipeline:{pipeline}"
        box.add_class("shown")

    def paint(self) -> None:
        """The newest on top; what failed stands out."""
        shown = [one for one in self._runs if self.query_.holds(one)]
        self._shown = {one["id"]: one for one in shown}
        self.query_one(Rows).show([self._row(one) for one in shown])
        self.set_class(not shown and bool(self.seen.snapshot), "is_empty")
        if not shown:
            hint = "No run fits. esc clears the filter." if self.query_ else "Nothing has been delivered yet."
            self.put("empty", Text(hint))

    def status(self) -> Text:
        """How many of how many."""
        if self._why:
            return Text(f" asking for runs failed: {self._why}", "bold red")
        more = "+" if self._more else ""
        query = f" | filter: {self.query_.text}" if self.query_ else ""
        return Text(f" {len(self._shown)} of {len(self._runs)}{more} runs{query}")

    def _ask(self) -> None:
        if self.is_current and not self.main.frozen:
            self.run_worker(self._ask_in_thread, thread=True, exclusive=True, group="runs")

    def _ask_in_thread(self) -> None:
        try:
            with self.main.feed.client() as client:
                page = made_plain(client.runs(limit=_PAGE, pipeline=self._pipeline()))
        except ClientError as error:
            self._why = str(made_plain(str(error)))
        else:
            self._runs, self._more, self._why = page["data"], page["has_more"], None
        self.main.poke()

    def _pipeline(self) -> str | None:
        """The pipeline that the filter names in full, so that the appliance need not send the others."""
        wanted = self.query_.value("pipeline")
        snapshot = self.seen.snapshot
        names = {one["name"] for one in snapshot["pipelines"]} if snapshot else set()
        return wanted if wanted in names else None

    def _row(self, one: Run) -> Row:
        now = self.seen.snapshot["time"] if self.seen.snapshot else one["started_at"]
        cells = (
            (self.main.time_text(one["started_at"], now), "dim"),
            (one["pipeline"], ""),
            (one["trigger"], ""),
            (one["state"], look.RUN_STYLES.get(one["state"], "")),
            (look.count(one["rows"]), ""),
            (look.size(one["size_bytes"]), ""),
            ("" if one["duration_ms"] is None else str(one["duration_ms"]), ""),
            (str(one["attempts"]), "red" if one["attempts"] > max(1, one["batches"]) else ""),
            (one["error"] or one["object_key"] or "", "red" if one["error"] else ""),
        )
        return Row(key=one["id"], cells=cells)

    def on_rows_opened(self) -> None:
        """Enter: attempts, log, the whole error."""
        key = self.query_one(Rows).key
        if key is not None:
            self.run_worker(lambda: self._open(key), thread=True, exclusive=True, group="open")

    def _open(self, run_id: str) -> None:
        try:
            with self.main.feed.client() as client:
                run = made_plain(client.run(run_id))
        except ClientError as error:
            self.main.say_later(str(error))
            return
        sheet = Sheet(run_id, _sheet(run), curl=self.main.curl(f"/_local/runs/{run_id}"))
        self.main.from_thread(lambda: self.main.push_screen(sheet))

    def selected_json(self) -> Any:
        """The selected run."""
        return self._shown.get(self.query_one(Rows).key or "")

    def selected_curl(self) -> str | None:
        """A command that shows the selected run."""
        one = self.selected_json()
        return self.main.curl(f"/_local/runs/{one['id']}") if one else None

    def action_next_match(self) -> None:
        """The next row."""
        self.query_one(Rows).action_move(1)

    def action_previous_match(self) -> None:
        """The row before."""
        self.query_one(Rows).action_move(-1)


def _sheet(run: Run) -> Text:
    text = Text()
    for name, value in (
        ("pipeline", run["pipeline"]),
        ("trigger", run["trigger"]),
        ("state", run["state"]),
        ("started", run["started_at"]),
        ("finished", run["finished_at"] or "not yet"),
        ("rows", f"{look.count(run['rows'])} in {look.count(run['batches'])} batches, {look.size(run['size_bytes'])}"),
        ("attempts", str(run["attempts"])),
        ("object", run["object_key"] or "none yet"),
        ("error", run["error"] or "none"),
    ):
        text.append(f"{name:<10}", "dim")
        text.append(f"{value}\n", "red" if name == "error" and run["error"] else "")
    text.append("\n")
    for line in run["log"]:
        text.append(f"{look.clock(line['at'])} ", "dim")
        text.append(f"{line['level']:<7} {line['message']}\n", look.LEVEL_STYLES.get(line["level"], ""))
    return text
