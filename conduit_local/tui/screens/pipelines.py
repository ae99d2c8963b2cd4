"""1 Pipelines: how each of them fares, flow and log of the selected one, and orders."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Static

from conduit_local.client.errors import ClientError
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.query import Query
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.screens.sheet import LiveSheet
from conduit_local.tui.widgets import panels, pipeline_rows
from conduit_local.tui.widgets.detail import detail
from conduit_local.tui.widgets.log_view import LogView
from conduit_local.tui.widgets.pipeline_rows import Pipeline
from conduit_local.tui.widgets.rows import Rows

_SECONDS = 120
_LONG_SECONDS = 600
_RUNS = 50
_EVENTS = 4
_LOG_LINES = 2_000
_LOG_HEIGHT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class _History:
    """What was asked of one pipeline besides the snapshot."""

    key: str | None = None
    samples: list[list[int]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


class PipelinesScreen(TabScreen):
    """The first screen."""

    NAME = "pipelines"
    TITLE_ = "Pipelines"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("pipelines"), Binding("tab", "next_pane", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._sort = 0
        self._shown: dict[str, Pipeline] = {}
        self._history = _History()

    def body(self) -> Iterable[Widget]:
        """Table, flow and log; a panel to the right on wide terminals."""
        ascii_only = self.main.ascii_only
        yield Horizontal(
            Vertical(
                Rows(pipeline_rows.COLUMNS, ascii_only=ascii_only, id="table"),
                Static(id="empty", markup=False),
                Static(id="flow_title", classes="title", markup=False),
                Static(id="flow", markup=False),
                Static(id="log_title", classes="title", markup=False),
                LogView(ascii_only=ascii_only, id="log"),
                id="left",
            ),
            Vertical(Static(id="detail", markup=False), id="right"),
        )

    def on_mount(self) -> None:
        """Ask for the selected pipeline's history once a second."""
        super().on_mount()
        self.set_interval(1.0, self._ask)
        self.query_one(LogView).tell = self._paint_log_title
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
        shown = [one for one in pipelines if self.query_.holds(pipeline_rows.fields(one))]
        shown.sort(key=pipeline_rows.SORTS[self._sort][1])
        self._shown = {one["id"]: one for one in shown}
        rows = [pipeline_rows.row(one, self.time_text, ascii_only=self.main.ascii_only) for one in shown]
        self.query_one(Rows).show(rows)
        self.set_class(bool(snapshot) and not shown, "is_empty")
        if snapshot:
            self.put(
                "empty",
                Text("No pipeline fits. esc clears the filter.") if pipelines else pipeline_rows.empty(snapshot),
            )
        self._share_height(len(shown))
        self._paint_selected()
        self._paint_log()

    def _share_height(self, rows: int) -> None:
        """The table takes what its rows need, the log what is left; small terminals show one of them."""
        table = self.query_one(Rows)
        if self.has_class("-tiny"):
            wanted: int | str = "1fr"
        else:
            others = [one for one in self.query("#flow_title, #flow, #log_title") if one.display]
            kept = sum(one.size.height for one in others) + _LOG_HEIGHT
            wanted = min(rows + 2, max(4, self.query_one("#left").size.height - kept))
        if getattr(table, "wanted_", None) != wanted:
            table.wanted_ = wanted  # type: ignore[attr-defined]
            table.styles.height = wanted

    def _paint_selected(self) -> None:
        key, ascii_only, history = self.query_one(Rows).key, self.main.ascii_only, self._history
        pipeline = self.selected
        samples, runs = (history.samples[-_SECONDS:], history.runs) if history.key == key else ([], [])
        name = pipeline["name"] if pipeline else "nothing selected"
        width = self.query_one("#left").size.width or self.size.width
        span = f"last {len(samples) // 60} min" if len(samples) >= 60 else f"last {len(samples)} s" if samples else ""
        self.put("flow_title", panels.title_line(name, span, width, ascii_only=ascii_only))
        self.put("flow", panels.flow(pipeline, samples, runs, width, ascii_only=ascii_only))
        if self.has_class("-wide"):
            size = self.query_one("#right").content_size
            self.put("detail", self._detail(key, (size.width, size.height)))

    def _detail(self, key: str | None, size: tuple[int, int]) -> Text:
        known = self._history if self._history.key == key else _History()
        one = self._shown.get(key or "")
        return detail(one, known.samples, known.runs, known.events, size, ascii_only=self.main.ascii_only)

    def _paint_log(self) -> None:
        log = self.query_one(LogView)
        log.names_width = self.names_width()
        log.show(list(self.seen.log)[-_LOG_LINES:], Query(""))
        self._paint_log_title()

    def _paint_log_title(self) -> None:
        log = self.query_one(LogView)
        width = self.query_one("#left").size.width or self.size.width
        right = "FOLLOW" if log.following else "held; end follows"
        title = panels.title_line(
            "log: all, level>=INFO", right, width, ascii_only=self.main.ascii_only, chosen=log.has_focus
        )
        self.put("log_title", title)

    def status(self) -> Text:
        """How many of how many, how they are sorted; totals to the right."""
        snapshot = self.seen.snapshot
        if snapshot is None:
            return Text("" if self.seen.lost else f" connecting to {self.main.feed.url} ...")
        totals, store = snapshot["totals"], snapshot["store"]
        used = 100 * store["used_bytes"] // max(1, store["quota_bytes"])
        left = f" {len(self._shown)} of {len(snapshot['pipelines'])} | sort: {pipeline_rows.SORTS[self._sort][0]}"
        if snapshot["departing"]:
            left += f" | {len(snapshot['departing'])} being deleted"
        if self.query_:
            left += f" | filter: {self.query_.text}"
        flows = f"in {look.short(totals['in_per_s'])}/s out {look.short(totals['out_per_s'])}/s"
        return panels.both_ends(left, (f"total {flows} store {used}%", flows), self.size.width)

    # The selected pipeline -------------------------------------------------------------------------------

    def on_rows_moved(self) -> None:
        """Another pipeline is selected."""
        if self.is_mounted:
            self._paint_selected()
            self._ask()

    def on_rows_opened(self) -> None:
        """Enter: all that is known of it; Enter again: its runs."""
        one = self.selected
        if one is None:
            return
        curl = self.main.curl(f"/_local/pipelines/{one['id']}")
        sheet = LiveSheet(one["name"], lambda size: self._detail(one["id"], size), enters="its runs", curl=curl)
        sheet.entered = lambda: self.main.show_runs_of(one["name"])
        self.main.push_screen(sheet)
        self._ask(whole=True)

    def _ask(self, *, whole: bool = False) -> None:
        """The selected pipeline's history, in a thread; what it answers is painted next."""
        key = self.query_one(Rows).key
        if key is None or self.main.frozen or self.main.tab is not self:
            return
        whole = whole or self.has_class("-wide") or isinstance(self.main.screen, LiveSheet)
        self.run_worker(lambda: self._ask_in_thread(key, whole), thread=True, exclusive=True, group="history")

    def _ask_in_thread(self, key: str, whole: bool) -> None:
        try:
            with self.main.feed.client() as client:
                found = _History(
                    key=key,
                    samples=client.rates(key, _LONG_SECONDS if whole else _SECONDS),
                    runs=made_plain(client.runs(pipeline=key, limit=_RUNS)["data"]),
                    events=made_plain(client.events(pipeline=key, limit=_EVENTS)["data"]) if whole else [],
                )
        except ClientError:
            return  # the feed says so, on every screen
        new = found.key != self._history.key or bool(found.events) != bool(self._history.events)
        self._history = found
        if new:  # else the next snapshot paints it
            self.main.poke()

    # Actions ---------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause, or resume what is not active."""
        one = self.selected
        if one is not None:
            self.main.orders.send(one, "pause" if one["state"] == "active" else "resume")

    def action_drain(self) -> None:
        """Drain, after a question."""
        self.main.orders.ask(self.selected, "drain")

    def action_flush(self) -> None:
        """Flush, after a question."""
        self.main.orders.ask(self.selected, "flush")

    def action_test(self) -> None:
        """Try out its destinations; what comes of it is a sheet."""
        self.main.orders.test(self.selected)

    def action_pause_all(self) -> None:
        """Pause all that are shown, after a question."""
        self.main.orders.ask_all([one for one in self._shown.values() if one["state"] == "active"], "pause")

    def action_sort(self) -> None:
        """The next order."""
        self._sort = (self._sort + 1) % len(pipeline_rows.SORTS)
        self.refresh_all()

    def action_sort_back(self) -> None:
        """The order before."""
        self._sort = (self._sort - 1) % len(pipeline_rows.SORTS)
        self.refresh_all()

    def action_next_pane(self) -> None:
        """Table, or log; small terminals show only that one."""
        table, log = self.query_one(Rows), self.query_one(LogView)
        to_log = not log.has_focus
        self.set_class(to_log, "show_log")
        self.call_after_refresh((log if to_log else table).focus)
        self.call_after_refresh(self._paint_log_title)

    def selected_json(self) -> Any:
        """The selected pipeline."""
        return self.selected

    def selected_curl(self) -> str | None:
        """A command that shows the selected pipeline."""
        return self.main.curl(f"/_local/pipelines/{self.selected['id']}") if self.selected else None
