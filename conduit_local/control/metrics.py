"""`GET /metrics`: Prometheus. Counted by the engine anyway; put into words only when asked."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from conduit_local.core.pipeline import Health, State
from conduit_local.engine.engine import Engine
from conduit_local.engine.ledger import ledger_of
from conduit_local.http.call import Call

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_LABELS: tuple[str, ...] = ("pipeline", "pipeline_id")
_ROUTE_LABELS = (*_LABELS, "destination")
_SOURCE_LABELS = (*_LABELS, "source")


class _Values(list[tuple[tuple[str, ...], float]]):
    """Values by label values."""


class _Family(NamedTuple):
    kind: str
    name: str
    text: str
    labels: tuple[str, ...]
    values: _Values


class Metrics:
    """The handler of `/metrics`. prometheus-client takes 80 ms to import, so it waits for the first scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get_metrics(self, call: Call) -> web.Response:
        """`GET /metrics`: the text format."""
        body, content_type = await asyncio.get_running_loop().run_in_executor(None, self._render, self._look())
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _look(self) -> list[_Family]:
        """What is counted now; on the loop."""
        engine = self._engine
        accepted, states, pending, delivered, health, failures = (_Values() for _ in range(6))
        filtered, dead, pulled, source_health = (_Values() for _ in range(4))
        for live in engine.topology.live():
            pipeline, head = live.pipeline, engine.log.head(live.pipeline)
            names = (pipeline.name, pipeline.id)
            accepted.append((names, float(head.seq - pipeline.first_seq + 1)))
            states += [((*names, state), float(pipeline.state is state)) for state in State]
            dead.append(((*names, ""), float(live.dead_inputs)))
            for source in live.sources.values():
                pulled.append(((*names, source.name), float(source.pulled)))
                source_health += [((*names, source.name, one), float(source.health is one)) for one in Health]
            for route in live.routes.values():
                ledger = ledger_of(route, head)
                pending.append(((*names, route.name), float(ledger.pending)))
                delivered.append(((*names, route.name), float(ledger.delivered)))
                filtered.append(((*names, route.name), float(ledger.filtered)))
                if route.replays is None:  # what dies again in a replay is counted where it had died before
                    dead.append(((*names, route.name), float(ledger.dead)))
                failures.append(((*names, route.name), float(route.failed)))
                health += [((*names, route.name, one), float(route.health is one)) for one in Health]
        usage = engine.log.usage()
        return [
            _Family("counter", "conduit_events_accepted", "Events accepted.", _LABELS, accepted),
            _Family("counter", "conduit_events_delivered", "Events delivered.", _ROUTE_LABELS, delivered),
            _Family("counter", "conduit_delivery_failures", "Delivery attempts that failed.", _ROUTE_LABELS, failures),
            _Family(
                "counter",
                "conduit_events_filtered",
                "Events that yielded no row of their own.",
                _ROUTE_LABELS,
                filtered,
            ),
            _Family(
                "gauge",
                "conduit_dead_letters",
                "Dead letters; those without a destination never were events.",
                _ROUTE_LABELS,
                dead,
            ),
            _Family("counter", "conduit_source_events_pulled", "Events that a source brought.", _SOURCE_LABELS, pulled),
            _Family(
                "gauge",
                "conduit_source_health",
                "1 for how it fares.",
                (*_SOURCE_LABELS, "health"),
                source_health,
            ),
            _Family("gauge", "conduit_events_pending", "Events not yet delivered.", _ROUTE_LABELS, pending),
            _Family("gauge", "conduit_pipeline_state", "1 for the state it is in.", (*_LABELS, "state"), states),
            _Family("gauge", "conduit_route_health", "1 for how it fares.", (*_ROUTE_LABELS, "health"), health),
            _Family(
                "gauge",
                "conduit_store_used_bytes",
                "Bytes the store uses.",
                (),
                _Values([((), float(usage.used_bytes))]),
            ),
            _Family(
                "gauge",
                "conduit_store_quota_bytes",
                "Bytes the store may use.",
                (),
                _Values([((), float(usage.quota_bytes))]),
            ),
            _Family(
                "gauge",
                "conduit_disk_free_bytes",
                "Bytes free on its disk.",
                (),
                _Values([((), float(usage.free_bytes))]),
            ),
            _Family(
                "gauge",
                "conduit_store_refuses",
                "1 while events are refused.",
                (),
                _Values([((), float(bool(usage.trouble)))]),
            ),
        ]

    @staticmethod
    def _render(families: list[_Family]) -> tuple[bytes, str]:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        from prometheus_client.registry import Collector

        class Look(Collector):
            def collect(self) -> "Iterator[Metric]":
                for kind, name, text, labels, values in families:
                    make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
                    family = make(name, text, labels=labels)
                    for label_values, value in values:
                        family.add_metric(label_values, value)
                    yield family

        registry = CollectorRegistry()
        registry.register(Look())
        return generate_latest(registry), CONTENT_TYPE_LATEST
