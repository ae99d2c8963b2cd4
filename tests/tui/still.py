"""A feed that stands still: what it shows was written down, in the shapes that the appliance answers with."""

import copy
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from conduit_local.client.errors import Refusal
from conduit_local.tui.feed import Feed, made_plain

NOW = "2026-06-21T14:02:07.000Z"


def pipeline(name: str, **changes: Any) -> dict[str, Any]:
    """One pipeline of a snapshot."""
    made: dict[str, Any] = {
        "id": f"pl_{name.replace('-', '')}",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "name": name,
        "title": None,
        "state": "active",
        "schedule": None,
        "timezone": "UTC",
        "next_run_at": None,
        "health": "ok",
        "message": None,
        "managed_by": f"pipelines/{name}.yaml",
        "created_at": "2026-06-18T09:12:04.000Z",
        "accepted": 1_000_000,
        "in_per_s": 0.0,
        "out_per_s": 0.0,
        "pending": 0,
        "oldest_s": None,
        "dead": 0,
        "errors_per_minute": 0,
        "last_written_at": None,
        "last_object": None,
        "last_run": None,
        "batch": {"max_events": 5_000, "max_bytes": 8_388_608, "max_age": 5.0},
        "runs": [],
        "runs_waiting": 0,
        "sources": [],
        "destinations": [
            {
                "name": "files",
                "type": "files",
                "settings": {
                    "path": "out",
                    "format": "jsonl",
                    "compression": "zstd",
                    "record": "envelope",
                    "partition": "",
                },
                "health": "ok",
                "message": None,
                "attempt": 0,
                "retry_s": None,
                "transforming": False,
                "in_flight": 0,
                "retiring": False,
                "paused": False,
                "errors_per_minute": 0,
                "last_written_at": None,
                "ledger": {
                    "accepted": 0,
                    "delivered": 0,
                    "dead": 0,
                    "pending": 0,
                    "purged": 0,
                    "filtered": 0,
                    "closes": True,
                },
            }
        ],
    }
    made.update(changes)
    route = made["destinations"][0]
    route["health"], route["message"] = made["health"], made["message"]
    route["ledger"]["pending"] = made["pending"]
    if made["health"] != "ok":
        route["retry_s"] = 8.0
    return made


PIPELINES = [
    pipeline("orders", in_per_s=12_400.0, out_per_s=12_100.0, pending=1_204, oldest_s=2.0, last_written_at="2026-06-21T14:02:04.000Z", last_object="orders/000000906001-000000911000.jsonl.zst"),
    pipeline("audit", state="paused", in_per_s=12.0, pending=18_220, oldest_s=2_460.0, last_written_at="2026-06-21T13:21:00.000Z"),
    pipeline("legacy", state="draining", out_per_s=3_100.0, pending=9_004, oldest_s=18.0, runs=[{"id": "run_00000009", "trigger": "drain", "left": 9_300, "of": 16_034}]),
    pipeline("archive", health="retrying", message="write /mnt/x: Input/output error", in_per_s=310.0, pending=22_507, oldest_s=360.0, errors_per_minute=14),
    pipeline("vault", health="blocked", message="write /vault: Permission denied", pending=3, oldest_s=60.0, errors_per_minute=1),
    pipeline("webhooks", last_written_at="2026-06-21T12:00:00.000Z"),
    pipeline("old", state="stopped"),
]  # fmt: skip


def snapshot(pipelines: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A whole snapshot."""
    shown = copy.deepcopy(PIPELINES if pipelines is None else pipelines)
    return {
        "appliance": {
            "version": "0.1.0",
            "pid": 42,
            "url": "http://127.0.0.1:8642",
            "data_dir": "/var/lib/conduit",
            "config_dir": "/etc/conduit",
            "auth": "required",
            "testing": False,
            "uptime_s": 273_900,
        },
        "time": NOW,
        "store": {
            "used_bytes": 4_402_341_478,
            "file_bytes": 4_502_341_478,
            "free_bytes": 80_000_000_000,
            "quota_bytes": 10_737_418_240,
            "trouble": None,
            "durability": "full",
        },
        "configuration": {"problems": []},
        "totals": {
            "in_per_s": sum(one["in_per_s"] for one in shown),
            "out_per_s": sum(one["out_per_s"] for one in shown),
            "pending": sum(one["pending"] for one in shown),
            "dead": 0,
        },
        "ledger_closes": True,
        "alarms": [],
        "log_number": 4,
        "pipelines": shown,
        "departing": [],
    }


LOG = [
    {"number": 1, "at": "2026-06-21T14:02:03.120Z", "level": "INFO", "pipeline": None, "message": "key key_1 (first key) created: admin"},
    {"number": 2, "at": "2026-06-21T14:02:04.120Z", "level": "INFO", "pipeline": "orders", "message": "5,000 rows 1.2MB in 41ms -> 000000906001-000000911000.jsonl.zst"},
    {"number": 3, "at": "2026-06-21T14:02:05.120Z", "level": "ERROR", "pipeline": "archive", "message": "files: write /mnt/x: Input/output error; attempt 4, again in 8.0s"},
    {"number": 4, "at": "2026-06-21T14:02:06.120Z", "level": "WARNING", "pipeline": None, "message": "the settings have changed; restart to use them"},
]  # fmt: skip
EVENTS = [
    {
        "event_id": f"evt_abcde000100000{n:03d}",
        "pipeline_id": "pl_orders",
        "pipeline": "orders",
        "event_type": "order.created" if n % 2 else "order.paid",
        "received_at": f"2026-06-21T14:02:0{n}.000Z",
        "payload": {"note": "[/red] 地震 \x1b[31m", "orderId": f"ord_{n}"},
    }
    for n in range(5)
]
RUNS: list[dict[str, Any]] = [
    {
        "id": f"run_0000000{n}",
        "pipeline_id": "pl_orders",
        "pipeline": "archive" if n == 3 else "orders",
        "trigger": "manual" if n == 2 else "stream",
        "state": "running" if n == 3 else "success",
        "stage": "load",
        "destination": "files",
        "created_at": f"2026-06-21T14:01:0{n}.000Z",
        "started_at": f"2026-06-21T14:01:0{n}.000Z",
        "finished_at": None if n == 3 else f"2026-06-21T14:01:0{n}.041Z",
        "duration_ms": None if n == 3 else 41,
        "extracted": 0,
        "events": 0 if n == 3 else 5_007,
        "rows": 0 if n == 3 else 5_000,
        "filtered": 0,
        "dead": 7 if n == 2 else 0,
        "size_bytes": 0 if n == 3 else 1_234_567,
        "batches": 0 if n == 3 else 1,
        "attempts": 4 if n == 3 else 1,
        "object_key": f"orders/dt=2026-06-21/00000090{n}001-00000091{n}000.jsonl.zst",
        "error": "write /mnt/x: Input/output error" if n == 3 else None,
        "full_refresh": False,
        "dry_run": False,
        "variables": [],
    }
    for n in (4, 3, 2, 1)
]


def landed(run: dict[str, Any], n: int) -> dict[str, Any]:
    """An object of a run."""
    return {
        "destination": "files",
        "key": run["object_key"],
        "place": f"/var/lib/conduit/out/{run['object_key']}",
        "rows": 5_000,
        "size_bytes": 1_234_567,
        "sha256": f"{n + 1:064x}",
        "first_seq": 901_001 + n,
        "last_seq": 906_000 + n,
        "first_event": f"evt_abcde00010000{n:04d}",
        "last_event": f"evt_abcde00010001{n:04d}",
        "landed_at": run["started_at"],
    }


TRIED = [
    {"step": "write", "ok": True, "message": "s3://lake takes objects"},
    {"step": "overwrite", "ok": None, "message": "[/red] it writes over objects \x1b[2J"},
    {"step": "remove", "ok": False, "message": "403 Forbidden"},
]


def segment(hours_ago: float, minutes: float, state: str = "success", dead: int = 0) -> dict[str, Any]:
    """A run of the timeline."""
    now = datetime.fromisoformat(NOW)
    began = now - timedelta(hours=hours_ago)
    return {
        "id": "run_00000001",
        "trigger": "schedule",
        "state": state,
        "started_at": began.isoformat(),
        "finished_at": None if state == "running" else (began + timedelta(minutes=minutes)).isoformat(),
        "runs": 1,
        "rows": 5_000,
        "dead": dead,
    }


SEGMENTS = [
    segment(23, 40),
    segment(20, 30, dead=7),
    segment(17, 90),
    segment(12, 20, "failed"),
    segment(9, 180),
    segment(5, 30, "cancelled"),
    segment(3, 60),
    segment(0.5, 0, "running"),
]


class StillClient:
    """Answers with what was written down, and remembers what it was told to do."""

    def __init__(self, orders: list[tuple[str, str]]) -> None:
        self._orders = orders

    def __enter__(self) -> "StillClient":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rates(self, ref: str, seconds: int) -> list[list[int]]:
        return [[n * 37 % 19_000, n * 41 % 18_000, n * n % 9_811] for n in range(seconds)]

    def runs(self, **query: Any) -> dict[str, Any]:
        return {"data": RUNS[: query.get("limit", 50)], "has_more": False, "next_cursor": None}

    def timeline(self, *, pipeline: str) -> dict[str, Any]:
        of = {"pipeline_id": pipeline, "pipeline": "orders", "has_more": False, "segments": SEGMENTS}
        return {"since": "2026-06-20T14:02:07.000Z", "until": NOW, "data": [of]}

    def run(self, run_id: str) -> dict[str, Any]:
        found = next(one for one in RUNS if one["id"] == run_id)
        evidence = {"objects": [landed(found, n) for n in range(found["batches"])], "objects_count": found["batches"]}
        return {
            **found,
            **evidence,
            "log": [{"at": "2026-06-21T14:01:03.500Z", "level": "ERROR", "message": "attempt 4 \x1b[2J"}],
        }

    def events(self, **query: Any) -> dict[str, Any]:
        found = [one for one in EVENTS[::-1] if query.get("type") in {None, one["event_type"]}]
        return {"data": found, "has_more": False, "next_cursor": None}

    def event(self, event_id: str) -> dict[str, Any]:
        found = next(one for one in EVENTS if one["event_id"] == event_id)
        delivery = {
            "destination": "files",
            "type": "files",
            "status": "delivered",
            "object_key": "orders/000000000001-000000000005.jsonl",
            "delivered_at": "2026-06-21T14:02:06.000Z",
            "run_id": "run_00000001",
        }
        return {**found, "seq": 5, "deliveries": [delivery]}

    def test_destination(self, ref: str, name: str) -> dict[str, Any]:
        if ref == "pl_old":
            raise Refusal(404, "pipeline_not_found", "no pipeline 'pl_old'", {}, None)
        self._orders.append((f"test {name}", ref))
        return {"destination": name, "type": "s3", "ok": False, "findings": TRIED}

    def order(self, ref: str, verb: str) -> dict[str, Any]:
        if ref == "pl_old" and verb == "pause":
            raise Refusal(409, "conflict", "the pipeline 'old' is stopped", {}, None)
        self._orders.append((verb, ref))
        return {}


class StillFeed(Feed):
    """A feed without a thread."""

    first: dict[str, Any] | None = None

    def __init__(self, url: str, key: str | None, interval_ms: int, changed: Callable[[], None]) -> None:
        super().__init__(url, key, interval_ms, changed)
        self.orders: list[tuple[str, str]] = []
        self.followed: list[bool] = []
        self.seen.snapshot = made_plain(self.first or snapshot())
        self.seen.at_s = time.monotonic() + 1_000_000
        self.seen.log.extend(made_plain(copy.deepcopy(LOG)))

    def start(self) -> None:
        """Nothing follows."""

    def follow(self, *, events: bool) -> None:
        """Note it, and bring what the stream would begin with."""
        self.followed.append(events)
        self.seen.events_known = self.seen.events_known or events
        if events and not self.seen.events:
            self.seen.events.extend(made_plain(copy.deepcopy(EVENTS)))

    def client(self) -> Any:
        """What answers."""
        return StillClient(self.orders)
