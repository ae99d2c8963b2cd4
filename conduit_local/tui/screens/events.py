"""2 Events: as they arrive (a sample, with its rate), or by query; Enter shows payload and deliveries."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.widget import Widget
from textual.widgets import Static

from conduit_local.client.errors import ClientError
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.query import Query
from conduit_local.tui.screens.base import TabScreen, bindings_for
from conduit_local.tui.screens.sheet import Fact, Sheet
from conduit_local.tui.widgets import panels
from conduit_local.tui.widgets.rows import Column, Row, Rows

Event = dict[str, Any]

_COLUMNS = (
    Column(title="TIME", width=8),
    Column(title="PIPELINE", width=14),
    Column(title="TYPE", width=18),
    Column(title="EVENT", width=21, drop=1),
    Column(title="PAYLOAD", width=24, grows=True),
)
_PAGE = 200


class EventsScreen(TabScreen):
    """The second screen."""

    NAME = "events"
    TITLE_ = "Events"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings_for("events")]

    def __init__(self) -> None:
        super().__init__()
        self.ages = False
        self._found: list[Event] | None = None
        """What a query found; None while events are followed."""
        self._more = False
        self._asking = False
        self._why: str | None = None
        self._shown: dict[str, Event] = {}

    def body(self) -> Iterable[Widget]:
        """The table."""
        yield Rows(_COLUMNS, ascii_only=self.main.ascii_only, newest_first=True, id="table")
        yield Static(id="empty", markup=False)

    def on_screen_resume(self) -> None:
        """Follow events while they are looked at."""
        self.main.feed.follow(events=True)
        super().on_screen_resume()
        self.query_one(Rows).focus()

    def on_screen_suspend(self) -> None:
        """Nobody looks: spare the appliance the sample."""
        self.main.feed.follow(events=False)

    def paint(self) -> None:
        """The newest on top."""
        events = self._found if self._found is not None else list(self.seen.events)[::-1]
        if self._found is None and self.query_:
            events = [one for one in events if self.query_.holds(_fields(one))]
        self._shown = {one["event_id"]: one for one in events}
        self.query_one(Rows).show([self._row(one) for one in self._shown.values()])
        empty = not events and (self._found is not None or self.seen.events_known)
        self.set_class(empty, "is_empty")
        if empty:
            self.put("empty", self._empty())

    def status(self) -> Text:
        """Live or query, and how much of what there is is shown."""
        if self._why and not self.main.is_stale():  # else every screen says so
            return Text(f" query failed: {self._why}", "bold red")
        if self._asking:
            return Text(" asking ...")
        if self._found is not None:
            found = f"the newest {len(self._found)}" if self._more else f"{len(self._found)} found"
            return self._fits(
                f" query: {self.query_.text} | {found} | enter asks again, L: live, esc: clear",
                f" {found} | L: live, esc: clear",
            )
        total = self.seen.snapshot["totals"]["in_per_s"] if self.seen.snapshot else 0
        accepted, kept = self.seen.accepted, len(self.seen.events)
        sample = f"all {kept}" if accepted <= kept else f"a sample: {kept} of {look.count(accepted)}"
        live = f" live, {sample} | {look.short(total)}/s arriving"
        words = "pipeline: type: since: until: text"
        return self._fits(f"{live} | to query: / with {words}", f"{live} | / queries by {words}", f"{live} | / queries")

    def _fits(self, *lines: str) -> Text:
        return panels.first_that_fits(lines, self.size.width, "~" if self.main.ascii_only else "…")

    def filter_typed(self) -> None:
        """While typing, only what is shown is filtered; Enter asks the appliance."""
        if self._found is None:
            self.refresh_all()

    def filter_entered(self) -> None:
        """Ask the appliance, or follow again when the filter is gone."""
        if not self.query_:
            self.action_live()
            return
        self._asking, self._why = True, None
        query = self.query_
        self.run_worker(lambda: self._ask(query), thread=True, exclusive=True, group="query")
        self.refresh_all()

    def action_live(self) -> None:
        """Follow events as they arrive."""
        self._found, self._asking, self._why = None, False, None
        self.refresh_all()

    def _ask(self, query: Query) -> None:
        wanted = {name: query.value(name) for name in ("pipeline", "type", "since", "until")}
        since, until = (text.upper() if text else None for text in (wanted["since"], wanted["until"]))
        text = query.value("text") or query.words() or None
        try:
            with self.main.feed.client() as client:
                page = made_plain(
                    client.events(
                        pipeline=wanted["pipeline"],
                        type=wanted["type"],
                        since=since,
                        until=until,
                        text=text,
                        limit=_PAGE,
                    )
                )
        except ClientError as error:
            self._why, self._asking = str(made_plain(str(error))), False
        else:
            self._found, self._more, self._asking = page["data"], page["has_more"], False
        self.main.poke()

    def on_rows_opened(self) -> None:
        """Enter: the whole event, and what became of it."""
        key = self.query_one(Rows).key
        if key is not None:
            self.run_worker(lambda: self._open(key), thread=True, exclusive=True, group="open")

    def _open(self, event_id: str) -> None:
        try:
            with self.main.feed.client() as client:
                event = made_plain(client.event(event_id))
        except ClientError as error:
            self.main.say_later(str(error))
            return
        curl = self.main.curl(f"/_local/events/{event_id}")
        copies = json.dumps(event["payload"], ensure_ascii=False)
        sheet = Sheet(event_id, _payload(event, self.main.ascii_only), facts=_facts(event), copies=copies, curl=curl)
        self.main.from_thread(lambda: self.main.push_screen(sheet))

    def _row(self, one: Event) -> Row:
        payload = json.dumps(one["payload"], ensure_ascii=self.main.ascii_only)
        cells = (
            (self.time_text(one["received_at"]), "dim"),
            (one["pipeline"], ""),
            (one["event_type"], "cyan"),
            (one["event_id"], ""),
            (payload[:500], ""),
        )
        return Row(key=one["event_id"], cells=cells)

    def _empty(self) -> Text:
        if self._found is not None or self.query_:
            return Text("No event fits. esc clears the query.")
        return Text(
            "There is no event yet. The exact call for this appliance (Y copies it):\n\n" + self.main.example_curl()
        )

    def selected_json(self) -> Any:
        """The selected event."""
        return self._shown.get(self.query_one(Rows).key or "")

    def selected_curl(self) -> str | None:
        """The call that would send the selected event again; an example, where there is none."""
        one = self.selected_json()
        if one is None:
            return None if self.query_ else self.main.example_curl()
        body = {"pipeline_id": one["pipeline_id"], "event_type": one["event_type"], "payload": one["payload"]}
        return self.main.curl("/v1/events", json.dumps(body, ensure_ascii=False))


def _fields(one: Event) -> dict[str, Any]:
    return {
        "pipeline": one["pipeline"],
        "type": one["event_type"],
        "id": one["event_id"],
        "text": json.dumps(one["payload"], ensure_ascii=False),
    }


def _facts(event: Event) -> list[Fact]:
    facts: list[Fact] = [
        ("pipeline", Text(f"{event['pipeline']} ({event['pipeline_id']})")),
        ("type", Text(event["event_type"])),
        ("received", Text(event["received_at"])),
        ("number", Text(str(event["seq"]))),
    ]
    for delivery in event["deliveries"]:
        text = Text(delivery["status"], "green" if delivery["status"] == "delivered" else "yellow")
        if delivery["object_key"]:
            text.append(f" {delivery['delivered_at']} by {delivery['run_id']}\n{delivery['object_key']}", "default")
        facts.append((f"to {delivery['destination']}", text))
    return facts


def _payload(event: Event, ascii_only: bool) -> Text:
    return Text("\n" + json.dumps(event["payload"], indent=2, ensure_ascii=ascii_only))
