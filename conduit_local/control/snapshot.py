"""How everything stands, in one answer. Its cost follows pipelines and routes, never events."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from conduit_local.control.wire import time_text
from conduit_local.core.batch import Mark
from conduit_local.core.ids import run_id
from conduit_local.core.run import Run
from conduit_local.core.times import rfc3339_ms
from conduit_local.engine.engine import Engine
from conduit_local.engine.ledger import ledger_of
from conduit_local.engine.topology import LivePipeline, LiveRoute, LiveSource

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Which appliance this is."""

    version: str
    data_dir: str
    config_dir: str
    auth: str
    testing: bool
    durability: str


def snapshot(engine: Engine, identity: Identity, url: str, problems: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Everything: appliance, store, configuration problems, totals, and each pipeline with its routes and ledgers.

    Shape: rates in events a second over the last five seconds; ages and waits in seconds.
    """
    now_us, steady_us = engine.clock.now_us(), engine.clock.steady_us()
    pipelines = [_pipeline(engine, live, now_us, steady_us) for live in engine.topology.live()]
    usage = engine.log.usage()
    return {
        "appliance": {
            "version": identity.version,
            "pid": os.getpid(),
            "url": url,
            "data_dir": identity.data_dir,
            "config_dir": identity.config_dir,
            "auth": identity.auth,
            "testing": identity.testing,
            "uptime_s": (steady_us - engine.started_at_us) // _SECOND_US,
        },
        "time": rfc3339_ms(now_us),
        "store": {**asdict(usage), "durability": identity.durability},
        "configuration": {"problems": problems},
        "totals": {
            "in_per_s": round(sum(one["in_per_s"] for one in pipelines), 1),
            "out_per_s": round(sum(one["out_per_s"] for one in pipelines), 1),
            "pending": sum(one["pending"] for one in pipelines),
            "dead": sum(one["dead"] for one in pipelines),
        },
        "ledger_closes": all(route["ledger"]["closes"] for one in pipelines for route in one["destinations"]),
        "alarms": [
            {
                "kind": "dead_letters",
                "pipeline": one["name"],
                "text": f"{one['dead']:,} dead letter{'' if one['dead'] == 1 else 's'}",
            }
            for one in pipelines
            if one["dead"]
        ],
        "log_number": engine.journal.newest,
        "pipelines": pipelines,
        "departing": [
            {
                "id": live.pipeline.id,
                "name": live.pipeline.name,
                "pending": live.pending(engine.log.head(live.pipeline).seq),
            }
            for live in engine.topology.departing()
        ],
    }


def _pipeline(engine: Engine, live: LivePipeline, now_us: int, steady_us: int) -> dict[str, Any]:
    pipeline = live.pipeline
    head = engine.log.head(pipeline)
    in_per_s, out_per_s = engine.rates.now(live)
    routes = [_route(route, head, steady_us) for route in live.routes.values()]
    pending = live.pending(head.seq)
    last = max((route for route in live.routes.values() if route.last_written_us), key=_written_us, default=None)
    parts: list[LiveRoute | LiveSource] = [*live.routes.values(), *live.sources.values()]
    trouble = next((one for one in parts if one.health is live.health and one.message), None)
    return {
        "id": pipeline.id,
        "uuid": pipeline.uuid,
        "name": pipeline.name,
        "title": pipeline.spec.title,
        "state": pipeline.state,
        "schedule": pipeline.spec.schedule,
        "timezone": pipeline.spec.timezone,
        "next_run_at": time_text(engine.scheduler.next_run_us(live)),
        "health": live.health,
        "message": trouble.message if trouble else None,
        "managed_by": pipeline.managed_by,
        "created_at": rfc3339_ms(pipeline.created_at_us),
        "accepted": head.seq - pipeline.first_seq + 1,
        "in_per_s": round(in_per_s, 1),
        "out_per_s": round(out_per_s, 1),
        "pending": pending,
        "oldest_s": _age_s(live, now_us) if pending else None,
        "dead": _dead(live),
        "errors_per_minute": sum(route["errors_per_minute"] for route in routes),
        "last_written_at": time_text(last.last_written_us) if last else None,
        "last_object": last.last_key if last else None,
        "last_run": run_id(last.last_run) if last and last.last_run else None,
        "batch": pipeline.spec.batch.model_dump(mode="json"),
        "runs": [_run(live, run) for run in (*live.runs, live.extracting, live.looking) if run is not None],
        "runs_waiting": len(live.waiting),
        "sources": [_source(source, steady_us) for source in live.sources.values()],
        "destinations": routes,
    }


def _dead(live: LivePipeline) -> int:
    """Its dead letters. What dies again in a replay is counted where it had died before."""
    return live.dead_inputs + sum(route.dead for route in live.routes.values() if route.replays is None)


def _run(live: LivePipeline, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "trigger": run.trigger,
        "stage": run.stage,
        "dry_run": run.options.dry_run,
        "left": live.pending(run.through_seq),
        "of": live.behind_at_begin.get(run.number),
    }


def _source(source: LiveSource, steady_us: int) -> dict[str, Any]:
    return {
        "name": source.name,
        "type": source.spec.type,
        "health": source.health,
        "message": source.message,
        "attempt": source.attempt,
        "retry_s": _retry_s(source.retry_at_us, steady_us),
        "pulled": source.pulled,
        "last_pulled_at": time_text(source.last_pulled_us),
    }


def _route(route: LiveRoute, head: Mark, steady_us: int) -> dict[str, Any]:
    ledger = ledger_of(route, head)
    return {
        "name": route.name,
        "type": route.spec.type,
        "settings": route.spec.settings(),
        "health": route.health,
        "message": route.message,
        "attempt": route.attempt,
        "retry_s": _retry_s(route.retry_at_us, steady_us),
        "transforming": route.transforming > 0,
        "in_flight": len(route.hands.batches),
        "paused": route.spec.paused,
        "retiring": route.through_seq is not None,
        "errors_per_minute": sum(1 for at_us in route.failures if steady_us - at_us < _MINUTE_US),
        "last_written_at": time_text(route.last_written_us),
        "ledger": {**asdict(ledger), "closes": ledger.closes},
    }


def _retry_s(at_us: int | None, steady_us: int) -> float | None:
    """How long it waits before it tries again."""
    return None if at_us is None else round(max(0.0, (at_us - steady_us) / _SECOND_US), 1)


def _written_us(route: LiveRoute) -> int:
    return route.last_written_us or 0


def _age_s(live: LivePipeline, now_us: int) -> float | None:
    """How long the oldest pending event has waited, as far as it is known without reading the log."""
    known = [route.oldest_us for route in live.routes.values() if route.oldest_us]
    return round(max(0, now_us - min(known)) / _SECOND_US, 1) if known else None
