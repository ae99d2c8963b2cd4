"""The application: feed in, screens out, orders to the appliance."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.text import Text
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.filter import LineFilter
from textual.screen import Screen

from conduit_local.core.plain import plain
from conduit_local.tui import curl
from conduit_local.tui.actions import ACTIONS, ALL, help_text
from conduit_local.tui.ascii import AsciiOnly
from conduit_local.tui.commands import Commands
from conduit_local.tui.crash import DiscreetApp
from conduit_local.tui.feed import Feed
from conduit_local.tui.orders import Orders
from conduit_local.tui.pace import Pace
from conduit_local.tui.screens.base import TabScreen
from conduit_local.tui.screens.dialogs import Quit
from conduit_local.tui.screens.events import EventsScreen
from conduit_local.tui.screens.logs import LogsScreen
from conduit_local.tui.screens.pipelines import PipelinesScreen
from conduit_local.tui.screens.runs import RunsScreen
from conduit_local.tui.screens.sheet import LiveSheet, Sheet
from conduit_local.tui.terminal import on_sigterm
from conduit_local.tui.threads import Bridge
from conduit_local.tui.widgets import panels

SCREENS: tuple[type[TabScreen], ...] = (PipelinesScreen, EventsScreen, LogsScreen, RunsScreen)
"""In the order of their numbers."""

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


class ConduitApp(DiscreetApp):
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
        # The terminal's own colours: Textual turns its greys into black on black for NO_COLOR otherwise.
        plain_colors = options.ascii_only or "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if plain_colors else None)
        if plain_colors:
            self.theme = "ansi-dark"
        self.options = options
        self.feed = make_feed(options.url, options.key, options.interval_ms, self._fed)
        self.orders = Orders(self)
        self.frozen = False
        self.shown_keys = dict(options.keys or {})
        self._bridge = Bridge()
        self._pace = Pace(self.feed)
        self.set_class(options.ascii_only, "-ascii")
        if options.keys:
            self.set_keymap(dict(options.keys))

    # Life ------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begin to follow, and keep the clock going."""
        self._bridge.open()
        on_sigterm(self.exit)
        self.set_interval(1.0, self._tick)
        self.feed.start()

    def on_unmount(self) -> None:
        """Stop following."""
        self._bridge.close()
        self.feed.end()

    def get_system_commands(self, screen: Screen[Any]) -> Iterator[SystemCommand]:
        """None of Textual's own: the palette is the table of actions."""
        return iter(())

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With `--ascii`, what is foreign is printed in ASCII too."""
        return [*super().get_line_filters(), *([AsciiOnly()] if self.ascii_only else [])]

    def poke(self) -> None:
        """From another thread: there is something to paint. Waits for it, so that a slow terminal slows the feed."""
        self.from_thread(self.paint)

    def from_thread(self, function: Callable[[], object]) -> None:
        """Run `function` on the loop of the UI, from another thread, and wait for it."""
        self._bridge.run(function)

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
        if isinstance(self.screen, LiveSheet):
            self.screen.paint()
        self.call_after_refresh(self._pace.painted, began)

    def _tick(self) -> None:
        screen = self.tab
        if screen is not None and screen.is_mounted:
            screen.paint_head()

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

    def is_stale(self) -> bool:
        """Whether what is shown may be old: no connection, or nothing came for two intervals."""
        seen = self.feed.seen
        return seen.lost is not None or time.monotonic() - seen.at_s > max(1.0, 2 * self.feed.interval_ms / 1_000)

    def head(self, width: int) -> Text:
        """The first line."""
        snapshot = self.feed.seen.snapshot
        now = self.options.now().strftime("%H:%M:%S")
        return panels.head(
            snapshot, self.feed.url, width, self._pace.text, now, stale=self.is_stale(), frozen=self.frozen
        )

    def tabs(self, current: str, width: int) -> Text:
        """The second line."""
        titles = [(str(at), screen.NAME, screen.TITLE_) for at, screen in enumerate(SCREENS, 1)]
        return panels.tabs(current, titles, width)

    def trouble(self, width: int) -> Text:
        """What everybody must see, in two lines at most; or nothing."""
        seen = self.feed.seen
        again_s = max(0.0, seen.again_at_s - time.monotonic()) if seen.again_at_s is not None else None
        mark = "~" if self.ascii_only else "…"
        return panels.trouble(seen.snapshot, seen.lost, again_s, max(1, 2 * width - 20), mark)

    def curl(self, path: str, body: str | None = None) -> str:
        """A command that asks this appliance."""
        return curl.command(self.feed.url, path, body)

    def example_curl(self) -> str:
        """The call that sends an event to this appliance."""
        return curl.example(self.feed.url, self.feed.seen.snapshot)

    def say(self, text: str, *, error: bool = False) -> None:
        """A note in the corner."""
        self.notify(plain(text), severity="error" if error else "information", markup=False, timeout=4)

    def say_later(self, text: str) -> None:
        """The same, from another thread."""
        self.from_thread(lambda: self.say(text, error=True))

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
        self._pace.change(-1)
        self._tick()

    def action_slower(self) -> None:
        """Refresh less often."""
        self._pace.change(1)
        self._tick()

    def action_time_style(self) -> None:
        """Ages or times of day, on this screen."""
        if self.tab:
            self.tab.ages = not self.tab.ages
            self.paint()

    def action_copy(self) -> None:
        """Copy what is selected, as JSON."""
        value = self.tab.selected_json() if self.tab else None
        if value is not None:
            self.copy(json.dumps(value, ensure_ascii=False, indent=2), "copied")

    def action_copy_curl(self) -> None:
        """Copy what is selected, as a command."""
        value = self.tab.selected_curl() if self.tab else None
        if value is not None:
            self.copy(value, "copied as curl")

    def copy(self, text: str, note: str) -> None:
        """To the clipboard of the terminal (OSC 52), and say so."""
        self.copy_to_clipboard(text)
        self.say(note)

    def action_next_match(self) -> None:
        """To the next one."""
        if self.tab:
            self.tab.go_to_match(1)

    def action_previous_match(self) -> None:
        """To the one before."""
        if self.tab:
            self.tab.go_to_match(-1)

    def action_command_palette(self) -> None:
        """Find an action by its name."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="an action", id="--command-palette"))

    def action_help(self) -> None:
        """All keys of this screen."""
        name = self.tab.NAME if self.tab else ALL
        shown = {"open": "enter", **self.shown_keys} if self.ascii_only else self.shown_keys
        facts = [(keys, Text(what)) for keys, what in help_text(name, shown)]
        self.push_screen(Sheet(f"Keys: {name}", facts=facts))

    async def action_quit(self) -> None:
        """Quit; ask first where the appliance was started with the UI."""
        if not self.options.owns_appliance or self.feed.seen.lost:
            self.exit(None)
            return

        def answered(answer: str | None) -> None:
            if answer in {"stop", "leave"}:
                self.exit(answer)

        self.push_screen(Quit(self.host), answered)
