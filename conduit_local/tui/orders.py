"""Orders to the appliance: whether one may be sent, the question before it, and what came of it."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conduit_local.client.errors import ClientError
from conduit_local.tui import look
from conduit_local.tui.feed import made_plain
from conduit_local.tui.screens.dialogs import Confirm
from conduit_local.tui.screens.sheet import Sheet
from conduit_local.tui.widgets.findings import findings

if TYPE_CHECKING:
    from conduit_local.tui.app import ConduitApp

Pipeline = dict[str, Any]

_CONSEQUENCES = {
    "drain": "It refuses new events from now on, delivers everything pending, and then stops.",
    "flush": "Everything pending is delivered now, in a batch that may be smaller than usual.",
    "pause": "Events are still accepted and kept; nothing is delivered until you resume.",
}


class Orders:
    """One order at a time a pipeline. Nothing is shown before the appliance has said it."""

    def __init__(self, app: "ConduitApp") -> None:
        self._app = app
        self._under_way: set[str] = set()

    def why_not(self) -> str | None:
        """Why no order may be sent now, or None."""
        if self._app.options.read_only:
            return "read-only: this UI sends no change"
        if self._app.is_stale():
            return "no connection: orders are off until it is back"
        return None

    def send(self, pipeline: Pipeline, verb: str) -> None:
        """Send an order. What comes of it is what the next snapshot says."""
        if not self._may():
            return
        if pipeline["id"] in self._under_way:
            self._app.say(f"{pipeline['name']}: an order is under way")
            return
        self._under_way.add(pipeline["id"])
        self._app.run_worker(lambda: self._send_in_thread(pipeline, verb), thread=True, group="orders")

    def ask(self, pipeline: Pipeline | None, verb: str) -> None:
        """Send an order once the question was answered with yes."""
        if pipeline is None or not self._may():
            return
        pending = look.many(pipeline["pending"], "event")
        text = f"{verb.capitalize()} {pipeline['name']} on {self._app.host}: {pending} pending.\n{_CONSEQUENCES[verb]}"
        self._app.push_screen(Confirm(text, verb.capitalize()), lambda yes: self.send(pipeline, verb) if yes else None)

    def ask_all(self, pipelines: Sequence[Pipeline], verb: str) -> None:
        """Send an order for each, once the question was answered with yes."""
        if not pipelines or not self._may():
            return
        what = look.many(len(pipelines), "pipeline")
        text = f"{verb.capitalize()} {what} on {self._app.host}?\n{_CONSEQUENCES[verb]}"

        def answered(yes: bool | None) -> None:
            for one in pipelines if yes else ():
                self.send(one, verb)

        self._app.push_screen(Confirm(text, f"{verb.capitalize()} all"), answered)

    def test(self, pipeline: Pipeline | None) -> None:
        """Try out the destinations of the configuration, and show what came of it."""
        if pipeline is None or not self._may():
            return
        if pipeline["id"] in self._under_way:
            self._app.say(f"{pipeline['name']}: an order is under way")
            return
        self._under_way.add(pipeline["id"])
        self._app.say(f"{pipeline['name']}: trying out its destinations")
        self._app.run_worker(lambda: self._test_in_thread(pipeline), thread=True, group="orders")

    def _may(self) -> bool:
        why_not = self.why_not()
        if why_not:
            self._app.say(why_not, error=True)
        return why_not is None

    def _send_in_thread(self, pipeline: Pipeline, verb: str) -> None:
        try:
            with self._app.feed.client() as client:
                client.order(pipeline["id"], verb)
        except ClientError as error:
            self._app.say_later(f"{verb} {pipeline['name']}: {error}")
        else:
            self._app.from_thread(lambda: self._app.say(f"{verb} {pipeline['name']}: done"))
        finally:
            self._under_way.discard(pipeline["id"])

    def _test_in_thread(self, pipeline: Pipeline) -> None:
        names = [one["name"] for one in pipeline["destinations"] if "@" not in one["name"] and not one["retiring"]]
        try:
            with self._app.feed.client() as client:
                results = made_plain([client.test_destination(pipeline["id"], name) for name in names])
        except ClientError as error:
            self._app.say_later(f"test {pipeline['name']}: {error}")
            return
        finally:
            self._under_way.discard(pipeline["id"])
        text = findings(results, ascii_only=self._app.ascii_only)
        copies = json.dumps(results, ensure_ascii=False, indent=2)
        sheet = Sheet(f"{pipeline['name']}: its destinations, tried out", text, copies=copies)
        self._app.from_thread(lambda: self._app.push_screen(sheet))
