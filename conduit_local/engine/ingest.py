"""Taking events: the one way onto the log, for every dialect."""

from collections.abc import Callable

from conduit_local.core.enrich import enriched
from conduit_local.core.errors import NotAccepting, TooManyRecords
from conduit_local.core.event import NewEvents, check_idempotency_key, fingerprint_of
from conduit_local.core.log import Along, Forwarded, Keyed, Log, Receipt
from conduit_local.core.ports import Bell, Clock
from conduit_local.core.times import rfc3339_ms
from conduit_local.engine.topology import LivePipeline, Topology


class Ingest:
    """Accepts events once they are on disk."""

    def __init__(self, topology: Topology, log: Log, bell: Bell, clock: Clock) -> None:
        self._topology = topology
        self._log = log
        self._bell = bell
        self._clock = clock

    async def accept(
        self,
        ref: str,
        events: NewEvents,
        key: str | None = None,
        client: Callable[[], str | None] | None = None,
        forwarded: Forwarded | None = None,
    ) -> Receipt:
        """
        Put `events` on the log of the pipeline that answers to `ref`; return once they are on disk.

        Shape:  1 to 10,000 checked events; `key` is an idempotency key of 1 to 255 characters; `client` tells the
                client's address, and is asked only where the pipeline wants it; `forwarded` says what another
                appliance calls these events.
        Raises: PipelineNotFound, NotAccepting, TooManyRecords, RateLimited, IdempotencyMismatch, InvalidRequest,
                OutOfOrder, QuotaSpent, StoreUnavailable; in each case nothing was kept.
        Source: S0.3, S0.5, S0.9, S3.10.
        """
        live = self._topology.find(ref)
        pipeline = live.pipeline
        if not pipeline.state.accepts:
            raise NotAccepting(f"the pipeline {pipeline.name!r} is {pipeline.state} and takes no new events")
        self._check_limits(live, len(events))
        keyed = None
        if key is not None:
            check_idempotency_key(key)
            strict = pipeline.spec.idempotency == "strict"
            keyed = Keyed(key=key, pipeline_ref=ref, fingerprint=fingerprint_of(events) if strict else None)
        if pipeline.spec.enrich.is_wanted:
            at = rfc3339_ms(self._clock.now_us())
            events = enriched(events, pipeline.spec.enrich, at, client() if client is not None else None)
        began_us = self._clock.steady_us()
        along = Along(forwarded=forwarded) if forwarded is not None else None
        receipt = await self._log.append(pipeline, events, keyed, along)
        ended_us = self._clock.steady_us()
        live.accept_us.add(ended_us, ended_us - began_us)
        if not receipt.replayed:
            receipt.pipeline_ref = ref
            receipt.event_type = events.types[0]
            self._bell.ring(pipeline.number)
        return receipt

    def _check_limits(self, live: LivePipeline, count: int) -> None:
        most = live.pipeline.spec.limits.ingest_max_records_per_request
        if most is not None and count > most:
            raise TooManyRecords(f"{count} events in one request; {live.pipeline.name!r} takes {most} at most")
        if live.limit is not None:
            live.limit.take(self._clock.steady_us())
