"""What a route does with one batch: makes its rows, and has the destination take them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from conduit_local.core.batch import Batch, Chunk, Written, object_key
from conduit_local.core.content import Content, Envelopes
from conduit_local.core.dead import NewDeadLetter, Stage
from conduit_local.core.delivering import Destination, opened, origin_of
from conduit_local.core.envelope import event_id_of, type_of
from conduit_local.core.errors import DestinationUnavailable, TransformUnavailable
from conduit_local.core.ids import event_id
from conduit_local.core.run import Run, RunLine
from conduit_local.core.spec import BatchSpec, DestinationSpec, OwnBatchSpec, RetrySpec
from conduit_local.engine.hands import Hand
from conduit_local.engine.making import Made, make
from conduit_local.engine.reading import Reading
from conduit_local.engine.topology import LivePipeline, LiveRoute
from conduit_local.engine.world import World


class MadeAnew(Exception):
    """The batch got another recipe or place, which is in its intent by now: begin again with it."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch.key)
        self.batch = batch


class Landing:
    """The destination and the transforms of one route, as they are now and as intents name them."""

    def __init__(self, live: LivePipeline, route: LiveRoute, reading: Reading, world: World) -> None:
        self._live = live
        self._route = route
        self._reading = reading
        self._world = world
        self._texts = world.texts
        self._own_run = route.name.rpartition("@")[2] if "@" in route.name else ""
        self._batch_specs: tuple[BatchSpec, OwnBatchSpec] | None = None
        self._origin = origin_of(world.log.tag, live.pipeline.uuid, route.name)
        self._made_from: DestinationSpec = route.spec
        self._destination: Destination = world.destinations.make(route.spec, self._origin)

    @property
    def destination(self) -> Destination:
        """Where batches that are intended now go."""
        return self._destination

    @property
    def is_outdated(self) -> bool:
        """Whether the destination is another one than the configuration has."""
        return self._route.spec is not self._made_from and self._route.spec != self._made_from

    @property
    def batch_spec(self) -> BatchSpec:
        """When its batches close."""
        specs = (self._live.pipeline.spec.batch, self._route.spec.batch)
        if self._batch_specs != specs:
            self._batch_specs, self._batch_spec = specs, specs[1].over(specs[0])
        return self._batch_spec

    @property
    def retry_spec(self) -> RetrySpec:
        """How it is tried again."""
        return self._route.spec.retry or self._live.pipeline.spec.retry

    async def follow(self) -> None:
        """The destination is the one of the configuration; not while it is at work."""
        if self.is_outdated:
            await self._destination.close()
            self._made_from = self._route.spec
            self._destination = self._world.destinations.make(self._made_from, self._origin)

    async def close(self) -> None:
        """Let go of it."""
        await self._destination.close()

    # What an intent says ---------------------------------------------------------------------------------

    def destination_text(self) -> str:
        """The destination of now, for an intent."""
        return self._texts.of_destination(self._made_from, self._live.pipeline.uuid)

    def key_of(self, partition: str, first_seq: int, last_seq: int) -> str:
        """What the object of these events is called."""
        folder = "/".join(filter(None, [self._live.pipeline.folder, self._own_run]))
        return object_key(folder, partition, first_seq, last_seq, self._destination.extension)

    def recipe_text(self, run: Run | None) -> str:
        """The transforms of now, for an intent of this run. Raises: InvalidRequest, TransformUnavailable."""
        pipeline = self._live.pipeline
        if not pipeline.spec.transforms:
            return ""
        sealed = run.options.variables if run is not None else {}
        given = pipeline.spec.given(self._texts.variables(sealed, pipeline.uuid))
        return self._texts.of_recipe(
            self._world.transforms.recipe(pipeline.spec, given), pipeline.uuid, private=bool(sealed)
        )

    # What is done with it --------------------------------------------------------------------------------

    async def as_they_are(self, hand: Hand) -> Made:
        """The batch's events, read again. Raises: DestinationUnavailable, StoreUnavailable."""
        batch = hand.batch
        chunks = await self._reading.again(batch, batch.first_seq, batch.last_seq)
        hand.oldest_us = chunks[0].received_at_us
        return Made(content=Envelopes([chunk.lines for chunk in chunks], batch.count))

    async def transformed(self, hand: Hand) -> Made:
        """
        The batch's rows, by the recipe of its intent. Where that cannot make them, the one of now takes its place,
        unless the object is there: a less busy machine made it, and the appliance was cut off before it could say so.

        Raises: MadeAnew; TransformUnavailable, DestinationUnavailable, StoreUnavailable.
        """
        batch, route, reading = hand.batch, self._route, self._reading

        async def read(first_seq: int, last_seq: int) -> list[Chunk]:
            chunks = await reading.again(batch, first_seq, last_seq)
            if hand.oldest_us is None:
                hand.oldest_us = chunks[0].received_at_us
            return chunks

        begun_with = self._live.pipeline.spec
        recipe = self._texts.recipe(batch.recipe, self._live.pipeline.uuid)
        route.transforming += 1
        try:
            made = await make(
                self._world.transforms, recipe, batch, read, goes_on=lambda: self._live.pipeline.spec is begun_with
            )
            if made.overstepped and hand.may_be_there and await self._may_be_there(batch):
                made.content.close()
                raise TransformUnavailable(
                    f"repeat a batch that has landed: {made.dead[0].error}; raise the limit and restart",
                    needs_person=True,
                )
            return made
        except TransformUnavailable as error:
            run = next((run for run in self._live.runs if run.number == batch.run), None)
            now = self.recipe_text(run) if error.needs_person else batch.recipe
            if self._texts.recipe(now, self._live.pipeline.uuid) == recipe or await self.is_there(batch):
                raise
            raise await self._anew(
                replace(batch, recipe=now), "the transforms were changed: its rows are made anew"
            ) from error
        finally:
            route.transforming -= 1

    async def is_there(self, batch: Batch) -> bool:
        """Whether an attempt before has landed it, as far as that can be told. Raises: DestinationUnavailable."""
        async with self._meant_for(batch) as destination:
            return await _reads(destination, batch.key)

    async def _may_be_there(self, batch: Batch) -> bool:
        """The same; and where the destination keeps nothing that could be looked at."""
        async with self._meant_for(batch) as destination:
            if await _reads(destination, batch.key):
                return True
            listed = destination.objects(batch.key.rpartition("/")[0])
            if listed is None:
                return True
            async for page in listed:
                if any(found.key == batch.key for found in page):
                    return True
            return False

    @asynccontextmanager
    async def _meant_for(self, batch: Batch) -> AsyncIterator[Destination]:
        """
        Where the batch was meant to go when its intent was written; usually where the route goes now. With the secrets
        of now: those of then may be the reason why it did not go.
        """
        spec = self._texts.destination(batch.destination, self._live.pipeline.uuid)
        if spec.is_same_place(self._made_from):
            yield self._destination
            return
        async with opened(self._world.destinations, spec, self._origin) as destination:
            yield destination

    async def write(self, hand: Hand, content: Content) -> Written:
        """
        To where it was meant to go. Where that needs a person, or there is nobody, and a person has given the
        destination another place meanwhile, the batch goes there. Where there are no rows there is no object.

        Raises: DestinationUnavailable, Rejected, MadeAnew, StoreUnavailable.
        """
        if not content.rows:
            return Written("", 0)
        async with self._meant_for(hand.batch) as destination:
            try:
                return await destination.write(hand.batch.key, content)
            except DestinationUnavailable as error:
                stays = destination is self._destination or self.is_outdated
                if stays or not (error.needs_person or error.unsent):
                    raise
                raise await self._moved(hand, error) from error

    async def _moved(self, hand: Hand, error: DestinationUnavailable) -> MadeAnew:
        """The batch is meant for the place of now. Raises: DestinationUnavailable, StoreUnavailable."""
        batch = hand.batch
        (first,) = await self._reading.again(batch, batch.first_seq, batch.first_seq)
        key = self.key_of(self._destination.partition(first.received_at_us), batch.first_seq, batch.last_seq)
        if hand.may_be_there and key != batch.key and await _reads(self._destination, batch.key):
            raise DestinationUnavailable(
                f"{error.message}; an object is at {batch.key}: move it away, so that the batch can become {key}",
                needs_person=True,
            ) from error
        moved = replace(batch, destination=self.destination_text(), key=key)
        return await self._anew(moved, "the destination was changed: it goes where that is now")

    async def _anew(self, batch: Batch, why: str) -> MadeAnew:
        line = RunLine(at_us=self._world.clock.now_us(), level="WARNING", message=why)
        await self._world.catalog.intend_anew(batch, line)
        return MadeAnew(batch)

    # What is told of it ----------------------------------------------------------------------------------

    async def ends_of(self, batch: Batch) -> tuple[str, str]:
        """The ids of its first and its last event. Raises: DestinationUnavailable, StoreUnavailable."""
        if self._route.replays is None:
            tag, number = self._world.log.tag, batch.pipeline
            return event_id(tag, number, batch.first_seq), event_id(tag, number, batch.last_seq)
        first, last = [event_id_of(await self._line(batch, seq)) for seq in (batch.first_seq, batch.last_seq)]
        return first, last

    async def letter_of(self, batch: Batch, error: str) -> NewDeadLetter:
        """The one event of a batch, which the destination refuses for good."""
        line = await self._line(batch, batch.first_seq)
        return NewDeadLetter(seq=batch.first_seq, stage=Stage.LOAD, error=error, event_type=type_of(line), content=line)

    async def _line(self, batch: Batch, seq: int) -> bytes:
        (chunk,) = await self._reading.again(batch, seq, seq)
        return chunk.lines.rstrip(b"\n")


async def _reads(destination: Destination, key: str) -> bool:
    """Whether an object of that key is there, as far as it can be read back. Raises: DestinationUnavailable."""
    content = await destination.read(key)
    if content is not None:
        content.close()
    return content is not None
