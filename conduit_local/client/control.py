"""`ControlClient`: all of `/_local/`, for CLI and TUI."""

import json
from collections.abc import Iterator
from typing import Any, Self

from conduit_local.client.errors import Refusal, Unreachable
from conduit_local.client.wire import Download, Wire, segment, with_query

Json = dict[str, Any]


class ControlClient:
    """
    One method a route of the control API; each returns the JSON of the answer.

    Raises, all of them: Unreachable, Refusal.
    """

    def __init__(self, url: str, key: str | None, timeout_s: float = 30.0) -> None:
        self._wire = Wire(url, key, timeout_s)
        self.url = self._wire.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.close()

    def snapshot(self) -> Json:
        """How everything stands."""
        return self._get("/_local/snapshot")

    def stream(self, topics: str, interval_ms: int = 500, **query: object) -> Iterator[tuple[str, Json]]:
        """Snapshots, log lines and samples of events, as they come."""
        return self._wire.listen("/_local/stream", {"topics": topics, "interval_ms": interval_ms, **query})

    def pipelines(self) -> list[Json]:
        """All pipelines, whole."""
        return list(self._get("/_local/pipelines")["data"])

    def pipeline(self, ref: str) -> Json:
        """One pipeline, whole."""
        return self._get(f"/_local/pipelines/{segment(ref)}")

    def apply(self, ref: str, configuration: Json) -> Json:
        """Make a pipeline, or replace its configuration."""
        return dict(self._wire.ask("PUT", f"/_local/pipelines/{segment(ref)}", configuration))

    def delete(self, ref: str) -> Json:
        """Delete a pipeline."""
        return dict(self._wire.ask("DELETE", f"/_local/pipelines/{segment(ref)}"))

    def order(self, ref: str, verb: str) -> Json:
        """`pause`, `resume`, `drain` or `flush`."""
        return dict(self._wire.ask("POST", f"/_local/pipelines/{segment(ref)}/{verb}"))

    def rates(self, ref: str, seconds: int) -> list[list[int]]:
        """A sample a second: in, out, pending."""
        return list(self._get(f"/_local/pipelines/{segment(ref)}/rates", seconds=seconds)["data"])

    def destinations(self, ref: str) -> list[Json]:
        """The destinations of a pipeline, and how they are."""
        return list(self._get(f"/_local/pipelines/{segment(ref)}/destinations")["data"])

    def test_destination(self, ref: str, name: str) -> Json:
        """Try a destination out."""
        path = f"/_local/pipelines/{segment(ref)}/destinations/{segment(name)}/test"
        return dict(self._wire.ask("POST", path))

    def verify(self, ref: str, *, destination: str | None = None, quick: bool = False) -> Iterator[Json]:
        """
        A pipeline's destinations beside its ledger: what was found, as it is found, up to the `end`.

        Raises: Unreachable where it is cut off before that; Refusal where it cannot be brought to its end.
        """
        query = {"destination": destination, "quick": "true" if quick else None}
        for line in self._wire.lines(f"/_local/pipelines/{segment(ref)}/verify", query):
            if line["kind"] == "error":
                error = line["error"]
                raise Refusal(int(line["status"]), str(error["code"]), str(error["message"]), {}, None)
            yield dict(line)
            if line["kind"] == "end":
                return
        raise Unreachable(f"{self.url} was cut off before the end")

    def send(self, ref: str, body: bytes, content_type: str, idempotency_key: str | None = None) -> Json:
        """Events, as an array or NDJSON."""
        headers = {"Content-Type": content_type}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return dict(self._wire.ask("POST", f"/_local/pipelines/{segment(ref)}/events", body, headers=headers))

    def events(self, **query: object) -> Json:
        """A page of events, the newest first."""
        return self._get("/_local/events", **query)

    def event(self, event_id: str) -> Json:
        """One event, with payload and deliveries."""
        return self._get(f"/_local/events/{segment(event_id)}")

    def runs(self, **query: object) -> Json:
        """A page of runs, the newest first."""
        return self._get("/_local/runs", **query)

    def run(self, run_id: str, **query: object) -> Json:
        """One run, with its log and the first of its objects; `objects` says how many of those."""
        return self._get(f"/_local/runs/{segment(run_id)}", **query)

    def start_run(self, ref: str, options: Json) -> Json:
        """Ask for a run of a pipeline; it begins as soon as it may."""
        return dict(self._wire.ask("POST", f"/_local/pipelines/{segment(ref)}/runs", options))

    def cancel_run(self, run_id: str) -> Json:
        """End a run that waits or is under way."""
        return dict(self._wire.ask("POST", f"/_local/runs/{segment(run_id)}/cancel"))

    def download_run(self, run_id: str) -> Download:
        """What a run has written. Close it."""
        return self._wire.download(f"/_local/runs/{segment(run_id)}/download")

    def timeline(self, **query: object) -> Json:
        """What ran when, pipeline by pipeline."""
        return self._get("/_local/runs/timeline", **query)

    def dead(self, **query: object) -> Json:
        """A page of dead letters, the newest first."""
        return self._get("/_local/dead", **query)

    def dead_groups(self, **query: object) -> list[Json]:
        """Dead letters by reason, the most first."""
        return list(self._get("/_local/dead/groups", **query)["data"])

    def dead_letter(self, letter: str) -> Json:
        """One dead letter, with what it holds."""
        return self._get(f"/_local/dead/{segment(letter)}")

    def edit_dead(self, letter: str, payload: bytes, event_type: str | None = None) -> Json:
        """Give a dead letter another payload: a JSON object, sent as it is."""
        kind = b"" if event_type is None else b',"event_type":%s' % json.dumps(event_type).encode()
        return dict(self._wire.ask("PATCH", f"/_local/dead/{segment(letter)}", b'{"payload":%s%s}' % (payload, kind)))

    def replay_dead(self, **chosen: object) -> Json:
        """Deliver dead letters once more: those of `ids`, or of a `pipeline`, narrowed down or `all`."""
        return dict(self._wire.ask("POST", "/_local/dead/replay", _given(chosen)))

    def discard_dead(self, **chosen: object) -> Json:
        """Drop dead letters for good; chosen as for a replay."""
        return dict(self._wire.ask("POST", "/_local/dead/discard", _given(chosen)))

    def export_dead(self, **query: object) -> Download:
        """Dead letters, whole, one on each line. Close it."""
        return self._wire.download(with_query("/_local/dead/export", query))

    def logs(self, **query: object) -> list[Json]:
        """The newest log lines, the oldest first."""
        return list(self._get("/_local/logs", **query)["data"])

    def keys(self) -> list[Json]:
        """All API keys, without secrets."""
        return list(self._get("/_local/keys")["data"])

    def create_key(self, name: str, scopes: list[str], prefix: str | None = None) -> Json:
        """A new key, with its secret, this once."""
        wanted: Json = {"name": name, "scopes": scopes}
        return dict(self._wire.ask("POST", "/_local/keys", wanted if prefix is None else {**wanted, "prefix": prefix}))

    def revoke_key(self, key_id: str) -> Json:
        """Make a key useless."""
        return dict(self._wire.ask("DELETE", f"/_local/keys/{segment(key_id)}"))

    def rotate_secrets(self) -> int:
        """Seal every secret with a new key; how many records that were."""
        return int(self._wire.ask("POST", "/_local/secrets/rotate")["resealed"])

    def configuration(self) -> Json:
        """Settings with their sources, files, problems."""
        return self._get("/_local/config")

    def reload(self) -> Json:
        """Read the pipeline files again."""
        return dict(self._wire.ask("POST", "/_local/config/reload"))

    def _get(self, path: str, **query: object) -> Json:
        return dict(self._wire.ask("GET", path, query=query))


def _given(fields: Json) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
