"""1 Pipelines: how each of them fares, flow and log of the selected one, and orders."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from conduit_local.client.errors import ClientError
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.query import Query
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.screens.dialogs import Confirm
from conduit_local.tui.widgets import panels
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.rows import Column, Row, Rows

Pipeline = dict[str, Any]

_COLUMNS = (
    Column(title="STATE", width=8),
    Column(title="PIPELINE", width=14, grows=True),
    Column(title="IN/s", width=6, right=True),
    Column(title="OUT/s", width=6, right=True),
    Column(title="QUEUE", width=9, right=True),
    Column(title="OLDEST", width=6, right=True, drop=1),
    Column(title="ERR/m", width=5, right=True, drop=2),
    Column(title="LAST FLUSH", width=15, drop=3),
)
_SORTS: tuple[tuple[str, Callable[[Pipeline], Any]], ...] = (
    ("state,name", lambda one: (look.look_of(one).rank, one["name"])),
    ("name", lambda one: one["name"]),
    ("in/s", lambda one: (-one["in_per_s"], one["name"])),
    ("out/s", lambda one: (-one["out_per_s"], one["name"])),
    ("queue", lambda one: (-one["pending"], one["name"])),
)
_CONSEQUENCES = {
    "pause": "It goes on accepting events and keeps them; nothing is delivered until you resume.",
    "drain": "It refuses new events from now on, delivers everything pending, and then stops.",
    "flush": "Everything pending is delivered now, in a batch that may be smaller than usual.",
}
_SECONDS = 120
_WIDE_SECONDS = 600


class PipelinesScreen(TabScreen):
    """The first screen."""

    NAME = "pipelines"
    TITLE_ = "Pipelines"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("pipelines")]

    def __init__(self) -> None:
        super().__init__()
        self._sort = 0
        self._shown: dict[str, Pipeline] = {}
        self._samples: tuple[str | None, list[list[int]]] = (None, [])
        self._recent: tuple[str | None, list[dict[str, Any]], list[dict[str, Any]]] = (None, [], [])
        """Of which pipeline: its recent runs and its newest events."""

    def body(self) -> Iterable[Widget]:
        """Table, flow and log; a panel to the right on wide terminals."""
        ascii_only = self.main.ascii_only
        yield Horizontal(
            Vertical(
                Rows(_COLUMNS, ascii_only=ascii_only, id="table"),
                Static(id="empty", markup=False),
                Static(id="flow_title", classes="title", markup=False),
                Static(id="flow", markup=False),
                Static(id="log_title", classes="title", markup=False),
                LogView(id="log"),
                id="left",
            ),
            Vertical(Static(id="detail", markup=False), id="right"),
        )

    def on_mount(self) -> None:
        """Ask for the selected pipeline's history once a second."""
        super().on_mount()
        self.set_interval(1.0, self._ask)
        self.query_one(Rows).focus()

    @property
    def selected(self) -> Pipeline | None:
        """The selected pipeline, as of the last snapshot."""
        return self._shown.get(self.query_one(Rows).key or "")

    # Painting --------------------------------------------------------------------------------------------

    def paint(self) -> None:
        """Table, flow, log, detail."""
        snapshot = self.seen.snapshot
        pipelines = snapshot["pipelines"] if snapshot else []
        shown = [one for one in pipelines if self.query_.holds(_fields(one))]
        shown.sort(key=_SORTS[self._sort][1])
        self._shown = {one["id"]: one for one in shown}
        table = self.query_one(Rows)
        table.show([self._row(one, snapshot["time"] if snapshot else "") for one in shown])
        self.set_class(bool(snapshot) and not pipelines, "is_empty")
        if snapshot and not pipelines:
            self.put("empty", _empty(snapshot))
        self._paint_selected()
        self._paint_log()

    def _paint_selected(self) -> None:
        table, ascii_only = self.query_one(Rows), self.main.ascii_only
        pipeline = self.selected
        samples = self._samples[1] if self._samples[0] == table.key else []
        name = pipeline["name"] if pipeline else "nothing selected"
        width = self.query_one("#left").size.width or self.size.width
        span = f"last {max(1, min(len(samples), _SECONDS) // 60)} min" if samples else ""
        self.put("flow_title", panels.title_line(name, span, width, ascii_only=ascii_only))
        self.put("flow", panels.flow(pipeline, samples[-_SECONDS:], width, ascii_only=ascii_only))
        if self.has_class("-wide"):
            key, runs, events = self._recent
            if key != table.key:
                runs, events = [], []
            size = (61, self.size.height)
            self.put("detail", panels.detail(pipeline, samples, runs, events, size, ascii_only=ascii_only))

    def _paint_log(self) -> None:
        log = self.query_one(LogView)
        width = self.query_one("#left").size.width or self.size.width
        right = "FOLLOW" if log.following else "end: follow"
        self.put("log_title", panels.title_line("log: all, level>=INFO", right, width, ascii_only=self.main.ascii_only))
        log.show(list(self.seen.log)[-2_000:], Query(""))

    def _row(self, one: Pipeline, now: str) -> Row:
        state = look.look_of(one)
        glyph = state.ascii_glyph if self.main.ascii_only else state.glyph
        cells = (
            (f"{glyph} {state.word}", state.style),
            (one["name"], ""),
            (look.short(one["in_per_s"]), ""),
            (look.short(one["out_per_s"]), ""),
            (look.count(one["pending"]), ""),
            (look.span(one["oldest_s"]), ""),
            (str(one["errors_per_minute"]), "red" if one["errors_per_minute"] else ""),
            (self._last_flush(one, now), ""),
        )
        return Row(key=one["id"], cells=cells)

    def _last_flush(self, one: Pipeline, now: str) -> str:
        waits = [route["retry_s"] for route in one["destinations"] if route["retry_s"] is not None]
        if one["health"] != "ok" and waits:
            return f"{'x' if self.main.ascii_only else '✗'} next {look.span(min(waits))}"
        progress = look.drain_progress(one)
        if progress:
            return progress
        return f"ok {self.main.time_text(one['last_written_at'], now)}" if one["last_written_at"] else "--"

    def status(self) -> Text:
        """How many of how many, how they are sorted; totals to the right."""
        snapshot = self.seen.snapshot
        if snapshot is None:
            return Text(f"connecting to {self.main.feed.url} ...")
        totals, store = snapshot["totals"], snapshot["store"]
        used = 100 * store["used_bytes"] // max(1, store["quota_bytes"])
        left = f" {len(self._shown)} of {len(snapshot['pipelines'])} | sort: {_SORTS[self._sort][0]}"
        if self.query_:
            left += f" | filter: {self.query_.text}"
        flows = f"in {look.short(totals['in_per_s'])}/s out {look.short(totals['out_per_s'])}/s"
        return panels.both_ends(left, (f"total {flows} store {used}%", flows), self.size.width)

    def on_rows_moved(self) -> None:
        """Another pipeline is selected."""
        if self.is_mounted:
            self._paint_selected()
            self._ask()

    def on_rows_opened(self) -> None:
        """Enter: its runs."""
        if self.selected:
            self.main.show_runs_of(self.selected["name"])

    def _ask(self) -> None:
        """The selected pipeline's history, in a thread; what it answers is painted next."""
        key = self.query_one(Rows).key
        if key is None or self.main.frozen or not self.is_current:
            return
        seconds = _WIDE_SECONDS if self.has_class("-wide") else _SECONDS
        wide = self.has_class("-wide")
        self.run_worker(lambda: self._ask_in_thread(key, seconds, wide), thread=True, exclusive=True, group="history")

    def _ask_in_thread(self, key: str, seconds: int, wide: bool) -> None:
        try:
            with self.main.feed.client() as client:
                samples = client.rates(key, seconds)
                runs = made_plain(client.runs(pipeline=key, limit=8)["data"]) if wide else []
                events = made_plain(client.events(pipeline=key, limit=4)["data"]) if wide else []
        except ClientError:
            return  # the feed says so, on every screen
        self._samples, self._recent = (key, samples), (key, runs, events)
        self.main.poke()

    # Orders ----------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or resume what is not active."""
        one = self.selected
        if one is not None:
            self.main.order(one, "pause" if one["state"] == "active" else "resume")

    def action_drain(self) -> None:
        """Drain, after a question."""
        self._confirmed("drain")

    def action_flush(self) -> None:
        """Flush, after a question."""
        self._confirmed("flush")

    def action_pause_all(self) -> None:
        """Pause all that are shown, after a question."""
        active = [one for one in self._shown.values() if one["state"] == "active"]
        if not active or not self.main.may_change():
            return
        text = f"Pause {len(active)} pipelines on {self.main.host}?\n{_CONSEQUENCES['pause']}"

        def answered(yes: bool | None) -> None:
            for one in active if yes else ():
                self.main.order(one, "pause")

        self.main.push_screen(Confirm(text, "Pause all"), answered)

    def _confirmed(self, verb: str) -> None:
        one = self.selected
        if one is None or not self.main.may_change():
            return
        text = f"{verb.capitalize()} {one['name']} on {self.main.host}: {look.count(one['pending'])} events pending.\n"
        self.main.push_screen(
            Confirm(text + _CONSEQUENCES[verb], verb.capitalize()),
            lambda yes: self.main.order(one, verb) if yes else None,
        )

    def action_sort(self) -> None:
        """The next order."""
        self._sort = (self._sort + 1) % len(_SORTS)
        self.refresh_all()

    def action_sort_back(self) -> None:
        """The order before."""
        self._sort = (self._sort - 1) % len(_SORTS)
        self.refresh_all()

    def action_next_match(self) -> None:
        """The next row; with a filter, the next match."""
        self.query_one(Rows).action_move(1)

    def action_previous_match(self) -> None:
        """The row before."""
        self.query_one(Rows).action_move(-1)

    def key_tab(self) -> None:
        """Small terminals: table or log."""
        if self.has_class("-tiny"):
            self.toggle_class("show_log")

    def selected_json(self) -> Any:
        """The selected pipeline."""
        return self.selected

    def selected_curl(self) -> str | None:
        """A command that shows the selected pipeline."""
        return self.main.curl(f"/_local/pipelines/{self.selected['id']}") if self.selected else None


def _fields(one: Pipeline) -> dict[str, Any]:
    return {
        "name": one["name"],
        "id": one["id"],
        "state": f"{one['state']} {look.look_of(one).word}",
        "health": one["health"],
        "message": one["message"],
        "queue": one["pending"],
        "in": one["in_per_s"],
        "out": one["out_per_s"],
    }


def _empty(snapshot: dict[str, Any]) -> Text:
    """What to do when there is no pipeline."""
    return Text(
        "There is no pipeline yet. Put one into a file pipelines/orders.yaml in the configuration folder:\n\n"
        "  name: orders\n"
        "  batch: {max_events: 100, max_age: 5s}\n"
        "  destinations:\n"
        "    - {type: files, path: out}\n\n"
        "It is picked up at once. Then send it an event:\n\n"
        f"  conduit-local events send orders order.created '{{\"orderId\": 1}}' --url {snapshot['appliance']['url']}\n"
    )
