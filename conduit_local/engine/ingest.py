"""Taking events: the one way onto the log, for every dialect."""

from conduit_local.core.errors import NotAccepting, TooManyRecords
from conduit_local.core.event import NewEvents, check_idempotency_key
from conduit_local.core.ports import Bell, Clock, Keyed, Log, Receipt
from conduit_local.engine.topology import LivePipeline, Topology


class Ingest:
    """Accepts events once they are on disk."""

    def __init__(self, topology: Topology, log: Log, bell: Bell, clock: Clock) -> None:
        self._topology = topology
        self._log = log
        self._bell = bell
        self._clock = clock

    async def accept(self, ref: str, events: NewEvents, key: str | None = None) -> Receipt:
        """
        Put `events` on the log of the pipeline that answers to `ref`; return once they are on disk.

        Shape:  1 to 10,000 checked events; `key` is an idempotency key of 1 to 255 characters.
        Raises: PipelineNotFound, NotAccepting, TooManyRecords, RateLimited, IdempotencyMismatch, InvalidRequest,
                QuotaSpent, StoreUnavailable; in each case nothing was kept.
        Source: S0.3, S0.5, S0.9.
        """
        live = self._topology.find(ref)
        pipeline = live.pipeline
        if not pipeline.state.accepts:
            raise NotAccepting(f"the pipeline {pipeline.name!r} is {pipeline.state} and takes no new events")
        self._check_limits(live, len(events))
        keyed = None
        if key is not None:
            check_idempotency_key(key)
            keyed = Keyed(key=key, pipeline_ref=ref, strict=pipeline.spec.idempotency == "strict")
        receipt = await self._log.append(pipeline, events, keyed)
        if not receipt.replayed:
            receipt.pipeline_ref = ref
            receipt.event_type = events.types[0]
            self._bell.ring(pipeline.number)
        return receipt

    def _check_limits(self, live: LivePipeline, count: int) -> None:
        most = live.pipeline.spec.limits.ingest_max_records_per_request
        if count > most:
            raise TooManyRecords(f"{count} events in one request; {live.pipeline.name!r} takes {most} at most")
        if live.limit is not None:
            live.limit.take(self._clock.steady_us())
