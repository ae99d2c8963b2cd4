"""The application: feed in, screens out, orders to the appliance."""

import asyncio
import contextvars
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen

from conduit_local.client.errors import ClientError
from conduit_local.core.plain import plain
from conduit_local.tui import look
from conduit_local.tui.actions import ACTIONS, ALL, Action, actions_for, help_text
from conduit_local.tui.feed import Feed
from conduit_local.tui.screens.base import TabScreen
from conduit_local.tui.screens.dialogs import Quit, Sheet
from conduit_local.tui.screens.events import EventsScreen
from conduit_local.tui.screens.logs import LogsScreen
from conduit_local.tui.screens.pipelines import PipelinesScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.widgets import panels

SCREENS: tuple[type[TabScreen], ...] = (PipelinesScreen, EventsScreen, LogsScreen, RunsScreen)
"""In the order of their numbers."""

_INTERVALS_MS = (250, 500, 1_000, 2_000, 5_000, 10_000)
_HANDLED_BY_WIDGETS = {"open"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How the UI behaves."""

    url: str
    key: str | None
    interval_ms: int = 500
    read_only: bool = False
    ascii_only: bool = False
    owns_appliance: bool = False
    """Whether quitting must ask what becomes of the appliance."""
    keys: Mapping[str, str] | None = None
    """Other keys for actions, by the action's id."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Commands(Provider):
    """The palette, out of the table of actions."""

    def _actions(self) -> Iterator[Action]:
        screen = self.screen
        name = screen.NAME if isinstance(screen, TabScreen) else ALL
        return (one for one in actions_for(name) if one.palette)

    async def discover(self) -> Hits:
        """All of them."""
        for one in self._actions():
            yield DiscoveryHit(one.text, self._runner(one), help=one.id)

    async def search(self, query: str) -> Hits:
        """Those whose text fits."""
        matcher = self.matcher(query)
        for one in self._actions():
            score = max(matcher.match(one.text), matcher.match(one.id))
            if score > 0:
                yield Hit(score, matcher.highlight(one.text), self._runner(one), help=one.id)

    def _runner(self, one: Action) -> Callable[[], Any]:
        namespace = self.screen if one.where else self.app
        return lambda: self.app.call_later(self.app.run_action, one.call, namespace)


class ConduitApp(App[str]):
    """The terminal UI. Returns what is to become of the appliance: `stop`, `leave`, or None."""

    CSS_PATH = "styles.tcss"
    COMMANDS: ClassVar[set[Any]] = {Commands}
    MODES: ClassVar[dict[str, Any]] = {screen.NAME: screen for screen in SCREENS}
    DEFAULT_MODE = "pipelines"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(one.keys, one.call, one.label, show=False, id=one.id)
        for one in ACTIONS
        if one.where == ALL and one.id not in _HANDLED_BY_WIDGETS
    ]

    def __init__(self, options: Options, make_feed: type[Feed] = Feed) -> None:
        super().__init__()
        self.options = options
        self.feed = make_feed(options.url, options.key, options.interval_ms, self._fed)
        self.frozen = False
        self.shown_keys = dict(options.keys or {})
        self._ago = True
        self._ordering: set[str] = set()
        self._slow = 0
        self._ended = threading.Event()
        self._ui_loop: asyncio.AbstractEventLoop | None = None
        self._ui_context: contextvars.Context | None = None
        if options.ascii_only or os.environ.get("NO_COLOR"):
            self.theme = "ansi-dark"  # NO_COLOR alone still sends greys
        self.set_class(options.ascii_only, "-ascii")
        if options.keys:
            self.set_keymap(dict(options.keys))

    # Life ------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begin to follow, and keep the clock going."""
        self._ui_loop, self._ui_context = asyncio.get_running_loop(), contextvars.copy_context()
        self.set_interval(1.0, self._tick)
        self.feed.start()

    def on_unmount(self) -> None:
        """Stop following."""
        self._ended.set()
        self.feed.end()

    def get_system_commands(self, screen: Screen[Any]) -> Iterator[SystemCommand]:
        """None of Textual's own: the palette is the table of actions."""
        return iter(())

    def poke(self) -> None:
        """From another thread: there is something to paint. Waits for it, so that a slow terminal slows the feed."""
        self.from_thread(self.paint)

    def from_thread(self, function: Callable[[], object]) -> None:
        """
        Run `function` on the loop of the UI, from another thread, and wait for it; not once the UI has ended.

        Textual's own way leaves a coroutine behind that nobody awaits when the UI ends at that moment.
        """
        done = threading.Event()

        def run() -> None:
            try:
                if not self._ended.is_set():
                    function()
            finally:
                done.set()

        with suppress(RuntimeError):  # the loop is closed
            if self._ui_loop is not None:
                self._ui_loop.call_soon_threadsafe(run, context=self._ui_context)
                while not done.wait(0.5) and not self._ended.is_set():
                    pass

    def _fed(self) -> None:
        if not self.frozen:
            self.poke()

    def paint(self) -> None:
        """Put what is known on the screen that is looked at."""
        screen = self.tab
        if screen is None:
            return
        began = time.monotonic()
        screen.refresh_all()
        self.call_after_refresh(self._painted, began)

    def _painted(self, began: float) -> None:
        """When painting takes over a quarter of the interval, halve the rate."""
        if time.monotonic() - began < self.feed.interval_ms / 4_000:
            self._slow = 0
            return
        self._slow += 1
        if self._slow >= 4:
            self._slow = 0
            self.action_slower()

    def _tick(self) -> None:
        screen = self.tab
        if screen is not None and screen.is_mounted:
            screen.put("head", self.head(screen.size.width))

    @property
    def tab(self) -> TabScreen | None:
        """The numbered screen that is on top, or below a dialog."""
        return next((one for one in reversed(self.screen_stack) if isinstance(one, TabScreen)), None)

    # What every screen shows -----------------------------------------------------------------------------

    @property
    def ascii_only(self) -> bool:
        """Whether every character must be under 0x80."""
        return self.options.ascii_only

    @property
    def host(self) -> str:
        """The appliance, for people."""
        return self.feed.url.split("//")[-1]

    def head(self, width: int) -> Text:
        """The first line."""
        hertz = 1_000 / self.feed.interval_ms
        seen = self.feed.seen
        stale = seen.snapshot is not None and self._is_stale()
        return panels.head(
            seen.snapshot,
            self.feed.url,
            width,
            f"{hertz:g}Hz",
            self.options.now().strftime("%H:%M:%S"),
            seen.lost or "late" if stale else None,
            self.frozen,
        )

    def tabs(self, current: str, width: int) -> Text:
        """The second line."""
        titles = [(str(at), screen.NAME, screen.TITLE_) for at, screen in enumerate(SCREENS, 1)]
        return panels.tabs(current, titles, width)

    def trouble(self) -> Text | None:
        """What everybody must see, or None."""
        return panels.trouble(self.feed.seen.snapshot, self.feed.seen.lost)

    def time_text(self, at: str | None, now: str) -> str:
        """A time of the appliance: how long ago, or the time of day."""
        if at is None or not self._ago:
            return look.clock(at)
        ago_s = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()
        return f"{look.span(ago_s)} ago"

    def curl(self, path: str, body: str | None = None) -> str:
        """A command that asks this appliance; the key is read from the environment, never shown."""
        quoted = body.replace("'", "'\\''") if body is not None else None
        sent = f" -H 'Content-Type: application/json' -d '{quoted}'" if quoted is not None else ""
        return f"curl '{self.feed.url}{path}' -H \"Authorization: Bearer $CONDUIT_TOKEN\"{sent}"

    def example_curl(self) -> str:
        """The exact call that sends an event to a pipeline that there is."""
        snapshot = self.feed.seen.snapshot
        pipelines = snapshot["pipelines"] if snapshot else []
        ref = pipelines[0]["id"] if pipelines else "pl_8f3a"
        body = {"pipeline_id": ref, "event_type": "order.created", "payload": {"orderId": "ord_1042"}}
        folder = snapshot["appliance"]["data_dir"] if snapshot else "DATA"
        return f"CONDUIT_TOKEN=$(cat {folder}/api-key)\n{self.curl('/v1/events', json.dumps(body))}"

    def say(self, text: str, *, error: bool = False) -> None:
        """A note in the corner."""
        self.notify(plain(text), severity="error" if error else "information", markup=False, timeout=4)

    def say_later(self, text: str) -> None:
        """The same, from another thread."""
        self.from_thread(lambda: self.say(text, error=True))

    # Orders ----------------------------------------------------------------------------------------------

    def may_change(self) -> bool:
        """Whether an order may be sent now; says why not."""
        if self.options.read_only:
            self.say("read-only: this UI sends no change", error=True)
        elif self.feed.seen.lost or self._is_stale():
            self.say("no connection: orders are off until it is back", error=True)
        else:
            return True
        return False

    def order(self, pipeline: dict[str, Any], verb: str) -> None:
        """Send an order, one at a time a pipeline. What comes of it is what the next snapshot says."""
        if not self.may_change():
            return
        if pipeline["id"] in self._ordering:
            self.say(f"{pipeline['name']}: an order is under way")
            return
        self._ordering.add(pipeline["id"])
        self.run_worker(lambda: self._order_in_thread(pipeline, verb), thread=True, group="orders")

    def _order_in_thread(self, pipeline: dict[str, Any], verb: str) -> None:
        try:
            with self.feed.client() as client:
                client.order(pipeline["id"], verb)
        except ClientError as error:
            self.say_later(f"{verb} {pipeline['name']}: {error}")
        else:
            self.from_thread(lambda: self.say(f"{verb} {pipeline['name']}: done"))
        finally:
            self._ordering.discard(pipeline["id"])

    def show_runs_of(self, name: str) -> None:
        """Go to the runs of one pipeline."""
        self.switch_mode("runs")
        screen = self.screen
        if isinstance(screen, RunsScreen):
            self.call_after_refresh(screen.only, name)

    # Actions ---------------------------------------------------------------------------------------------

    async def action_go(self, name: str) -> None:
        """Go to a screen."""
        await self.switch_mode(name)

    async def action_next_screen(self) -> None:
        """One to the right."""
        await self._turn(1)

    async def action_previous_screen(self) -> None:
        """One to the left."""
        await self._turn(-1)

    async def _turn(self, by: int) -> None:
        names = [screen.NAME for screen in SCREENS]
        await self.switch_mode(names[(names.index(self.current_mode) + by) % len(names)])

    def action_filter(self) -> None:
        """Filter what is shown."""
        if self.tab:
            self.tab.action_filter()

    def action_freeze(self) -> None:
        """Hold what is shown, or let it go on."""
        self.frozen = not self.frozen
        self.paint()

    def action_faster(self) -> None:
        """Refresh more often."""
        self._set_interval(-1)

    def action_slower(self) -> None:
        """Refresh less often."""
        self._set_interval(1)

    def _set_interval(self, by: int) -> None:
        nearest = min(range(len(_INTERVALS_MS)), key=lambda at: abs(_INTERVALS_MS[at] - self.feed.interval_ms))
        self.feed.set_interval(_INTERVALS_MS[min(max(nearest + by, 0), len(_INTERVALS_MS) - 1)])
        self._tick()

    def action_time_style(self) -> None:
        """Ages or times of day."""
        self._ago = not self._ago
        self.paint()

    def action_copy(self) -> None:
        """Copy what is selected, as JSON."""
        value = self.tab.selected_json() if self.tab else None
        if value is not None:
            self.copy_to_clipboard(json.dumps(value, ensure_ascii=False, indent=2))
            self.say("copied")

    def action_copy_curl(self) -> None:
        """Copy what is selected, as a command."""
        value = self.tab.selected_curl() if self.tab else None
        if value is not None:
            self.copy_to_clipboard(value)
            self.say("copied as curl")

    def action_next_match(self) -> None:
        """Screens that have matches have an action of their own."""

    def action_previous_match(self) -> None:
        """Screens that have matches have an action of their own."""

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="an action", id="--command-palette"))

    def action_help(self) -> None:
        """All keys of this screen."""
        name = self.tab.NAME if self.tab else ALL
        text = Text()
        shown = {"open": "enter", **self.shown_keys} if self.ascii_only else self.shown_keys
        for keys, what in help_text(name, shown):
            text.append(f"{keys:<16}", "bold")
            text.append(f"{what}\n")
        self.push_screen(Sheet(f"Keys: {name}", text))

    async def action_quit(self) -> None:
        """Quit; ask first where the appliance was started with the UI."""
        if not self.options.owns_appliance or self.feed.seen.lost:
            self.exit(None)
            return

        def answered(answer: str | None) -> None:
            if answer in {"stop", "leave"}:
                self.exit(answer)

        self.push_screen(Quit(self.host), answered)

    def _is_stale(self) -> bool:
        seen = self.feed.seen
        return seen.lost is not None or time.monotonic() - seen.at_s > max(1.0, 2.5 * self.feed.interval_ms / 1_000)
