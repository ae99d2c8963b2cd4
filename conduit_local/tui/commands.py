"""The palette, out of the table of actions."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from conduit_local.tui.actions import ALL, Action, actions_for
from conduit_local.tui.screens.base import TabScreen

if TYPE_CHECKING:
    from conduit_local.tui.app import ConduitApp


class Commands(Provider):
    """What can be done on the screen below the palette; each with its key."""

    async def discover(self) -> Hits:
        """All of them."""
        for one in self._actions():
            yield DiscoveryHit(f"{one.text}  {self._key(one)}", self._runner(one), text=one.text)

    async def search(self, query: str) -> Hits:
        """Those whose text fits."""
        matcher = self.matcher(query)
        for one in self._actions():
            score = max(matcher.match(one.text), matcher.match(one.id))
            if score > 0:
                shown = Content.assemble(matcher.highlight(one.text), f"  {self._key(one)}")
                yield Hit(score, shown, self._runner(one), text=one.text)

    def _actions(self) -> Iterator[Action]:
        screen = self.screen
        name = screen.NAME if isinstance(screen, TabScreen) else ALL
        return (one for one in actions_for(name) if one.palette)

    def _key(self, one: Action) -> str:
        shown = cast("ConduitApp", self.app).shown_keys
        return f"({shown.get(one.id, one.shown)})"

    def _runner(self, one: Action) -> Callable[[], Any]:
        namespace = self.screen if one.where else self.app
        return lambda: self.app.call_later(self.app.run_action, one.call, namespace)
