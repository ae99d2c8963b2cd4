"""4 Runs: outcome, trigger, rows, bytes, time, attempts, object, and what ran when; Enter shows the log."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Input, Static

from conduit_local.client.errors import ClientError
from conduit_local.core.units import size_text
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.screens.sheet import Fact, Sheet
from conduit_local.tui.widgets.rows import Column, Row, Rows
from conduit_local.tui.widgets.timeline import timeline

Run = dict[str, Any]

_COLUMNS = (
    Column(title="STARTED", width=8),
    Column(title="PIPELINE", width=14),
    Column(title="TRIGGER", width=8),
    Column(title="STATE", width=9),
    Column(title="ROWS", width=8, right=True),
    Column(title="DEAD", width=5, right=True, drop=1),
    Column(title="SIZE", width=8, right=True, drop=4),
    Column(title="MS", width=6, right=True, drop=2),
    Column(title="RETRY", width=5, right=True, drop=3),
    Column(title="OBJECT OR ERROR", width=18, grows=True, keep_end=True),
)
_PAGE = 300
_OBJECTS = 5
"""So many are shown of a run; the rest is asked for by command."""
_TIMELINE_S = 5.0
"""A day does not look another in less."""
_NOTHING = (
    "Nothing has been delivered yet. A batch is delivered when it is full, or old enough; f on the first screen "
    "delivers what is pending now."
)


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
        self._known = False
        """Whether the appliance has answered yet."""
        self._shown: dict[str, Run] = {}
        self._timeline: dict[str, Any] | None = None
        self._timeline_of: str | None = None
        """The pipeline that the timeline was asked for."""
        self._timeline_why: str | None = None

    def body(self) -> Iterable[Widget]:
        """The timeline, the table."""
        yield Static(id="timeline", markup=False)
        yield Rows(_COLUMNS, ascii_only=self.main.ascii_only, newest_first=True, id="table")
        yield Static(id="empty", markup=False)

    def on_mount(self) -> None:
        """Ask now, and every second while it is looked at."""
        super().on_mount()
        self.set_interval(1.0, self._ask)
        self.set_interval(_TIMELINE_S, self._ask_timeline)
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
        self.set_class(not shown and self._known, "is_empty")
        self.put("timeline", self._timeline_text())
        hint = "No run fits. esc clears the filter." if self.query_ else _NOTHING
        self.put("empty", Text(hint))

    def status(self) -> Text:
        """How many of how many."""
        if self._why and not self.main.is_stale():  # else every screen says so
            return Text(f" asking for runs failed: {self._why}", "bold red")
        more = "+" if self._more else ""
        query = f" | filter: {self.query_.text}" if self.query_ else ""
        return Text(f" {len(self._shown)} of {len(self._runs)}{more} runs{query}")

    def _ask(self) -> None:
        if self.is_current and not self.main.frozen:
            self.run_worker(self._ask_in_thread, thread=True, exclusive=True, group="runs")

    def _ask_in_thread(self) -> None:
        before = self._known, self._why, self._runs[:1]
        try:
            with self.main.feed.client() as client:
                page = made_plain(client.runs(limit=_PAGE, pipeline=self._pipeline()))
        except ClientError as error:
            self._why = str(made_plain(str(error)))
        else:
            self._runs, self._more, self._why, self._known = page["data"], page["has_more"], None, True
        if (self._known, self._why, self._runs[:1]) != before:
            self.main.poke()

    def on_rows_moved(self) -> None:
        """Another run is selected: what ran on its pipeline?"""
        if self._of_selected() != self._timeline_of:
            self._timeline, self._timeline_why = None, None
            self._ask_timeline()

    def _of_selected(self) -> str | None:
        """The id of the selected run's pipeline."""
        one = self.selected_json()
        return None if one is None else str(one["pipeline_id"])

    def _ask_timeline(self) -> None:
        pipeline = self._timeline_of = self._of_selected()
        if pipeline is not None and self.is_current and not self.main.frozen:
            wanted = pipeline
            self.run_worker(lambda: self._ask_for(wanted), thread=True, exclusive=True, group="timeline")

    def _ask_for(self, pipeline: str) -> None:
        try:
            with self.main.feed.client() as client:
                found = made_plain(client.timeline(pipeline=pipeline))
        except ClientError as error:
            why = str(made_plain(str(error)))
            changed, self._timeline_why = self._timeline_why != why, why
        else:
            changed, self._timeline_why = self._timeline != found, None
            self._timeline = found
        if changed:
            self.main.poke()

    def _timeline_text(self) -> Text:
        if self._timeline_why and not self.main.is_stale():
            return Text(f" asking what ran when failed: {self._timeline_why}", "bold red", no_wrap=True)
        if self._timeline is None:
            return Text("")
        return timeline(self._timeline, self.size.width, ascii_only=self.main.ascii_only)

    def _pipeline(self) -> str | None:
        """The pipeline that the filter names in full, so that the appliance need not send the others."""
        wanted = self.query_.value("pipeline")
        snapshot = self.seen.snapshot
        names = {one["name"] for one in snapshot["pipelines"]} if snapshot else set()
        return wanted if wanted in names else None

    def _row(self, one: Run) -> Row:
        retries = max(0, one["attempts"] - one["batches"])
        cells = (
            (self.time_text(one["started_at"] or one["created_at"]), "dim"),
            (one["pipeline"], ""),
            ("dry run" if one["dry_run"] else one["trigger"], ""),
            (one["state"], look.RUN_STYLES.get(one["state"], "")),
            (look.count(one["rows"]), ""),
            (look.count(one["dead"]) if one["dead"] else "", "yellow"),
            (size_text(one["size_bytes"]), ""),
            ("" if one["duration_ms"] is None else str(one["duration_ms"]), ""),
            (str(retries), "red" if retries else ""),
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
        copies = json.dumps(run, ensure_ascii=False, indent=2)
        curl = self.main.curl(f"/_local/runs/{run_id}")
        sheet = Sheet(run_id, _log(run), facts=_facts(run), copies=copies, curl=curl)
        self.main.from_thread(lambda: self.main.push_screen(sheet))

    def selected_json(self) -> Any:
        """The selected run."""
        return self._shown.get(self.query_one(Rows).key or "")

    def selected_curl(self) -> str | None:
        """A command that shows the selected run."""
        one = self.selected_json()
        return self.main.curl(f"/_local/runs/{one['id']}") if one else None

    def action_next_error(self) -> None:
        """The next run, further down, that has met an error."""
        self._go_to_error(back=False)

    def action_previous_error(self) -> None:
        """The one above."""
        self._go_to_error(back=True)

    def _go_to_error(self, *, back: bool) -> None:
        failed = {key for key, one in self._shown.items() if one["error"] or one["state"] == "failed"}
        if not self.query_one(Rows).go(failed, back=back):
            self.main.say("no more errors that way")


def _facts(run: Run) -> list[Fact]:
    about = f"{look.count(run['rows'])} in {look.many(run['batches'], 'batch')}, {size_text(run['size_bytes'])}"
    ended = run["finished_at"] is not None
    took = "" if run["duration_ms"] is None else f", after {look.took(run['duration_ms'])}"
    asked = [name.replace("_", " ") for name in ("full_refresh", "dry_run") if run[name]] + run["variables"]
    counts = [f"{look.count(run[name])} {name}" for name in ("extracted", "events", "filtered", "dead") if run[name]]
    return [
        ("pipeline", Text(f"{run['pipeline']} ({run['pipeline_id']}), to {run['destination'] or 'all'}")),
        ("trigger", Text(", ".join([run["trigger"], *asked]))),
        (
            "state",
            Text(run["state"] if ended else f"{run['state']}: {run['stage']}", look.RUN_STYLES.get(run["state"], "")),
        ),
        ("started", Text(run["started_at"] or "waits")),
        ("finished", Text(f"{run['finished_at'] or 'not yet'}{took}")),
        ("rows", Text(about)),
        ("counts", Text(", ".join(counts) or "none")),
        ("attempts", Text(str(run["attempts"]))),
        ("objects", _objects(run)),
        ("error", Text(run["error"] or "none", "red" if run["error"] else "")),
    ]


def _objects(run: Run) -> Text:
    """What it has delivered: where it lies, and what tells it from every other."""
    found = run["objects"][:_OBJECTS]
    if not found:
        return Text(run["object_key"] or "none yet")
    text = Text()
    for one in found:
        rows = "" if one["rows"] is None else f"{look.many(one['rows'], 'row')}, "
        sha256 = "" if one["sha256"] is None else f", SHA-256 {one['sha256'][:12]}"
        text.append(f"{one['destination']}: {one['key']}\n")
        text.append(f"  {rows}{size_text(one['size_bytes'])}{sha256}\n", "dim")
        if one["first_event"] is not None:
            text.append(f"  {one['first_event']} to {one['last_event']}\n", "dim")
    if (run["objects_count"] or 0) > len(found):
        text.append(f"and {look.count(run['objects_count'] - len(found))} more; y copies the first 100 whole\n", "dim")
    text.rstrip()
    return text


def _log(run: Run) -> Text:
    text = Text()
    for line in run["log"]:
        text.append(f"\n{look.clock(line['at'])} ", "dim")
        text.append(f"{line['level']:<7} {line['message']}", look.LEVEL_STYLES.get(line["level"], ""))
    return text
