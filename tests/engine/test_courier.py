"""Telling webhooks: signed, at least once, for 24 hours, and nobody in anybody's way (S2.7)."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Standard

from conduit_local.core.errors import InvalidRequest, StoreUnavailable, WebhookNotFound
from conduit_local.core.ids import parse_event_id
from conduit_local.core.ports import Answered, SendFailed
from conduit_local.core.webhook import (
    NoticeKind,
    TellingState,
    check_signing_secret,
    new_signing_secret,
    signature_of,
)
from tests.egress.simulated import DAY_S, HOUR_S, SECOND_US, Sent, SleepyClock, World, answering, hanging, world_at
from tests.engines import until

WAITING, DELIVERED, FAILED = TellingState.WAITING, TellingState.DELIVERED, TellingState.FAILED


# Signing ---------------------------------------------------------------------------------------------------------


@given(st.binary(min_size=24, max_size=64), st.text(min_size=1, max_size=30), st.integers(0, 1 << 37), st.text())
def test_signatures_are_those_of_the_reference_implementation(key: bytes, name: str, at_s: int, body: str) -> None:
    secret = check_signing_secret(new_signing_secret(key))
    reference = Standard(secret).sign(name, datetime.fromtimestamp(at_s, UTC), body)
    assert signature_of(secret, name, at_s, body.encode()) == reference


@given(st.text(max_size=100) | st.binary(max_size=23).map(new_signing_secret))
def test_any_other_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_"):
        check_signing_secret(secret)


async def test_what_is_sent_passes_the_reference_implementation(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        _, secret = await world.subscribe(NoticeKind.INGESTED, NoticeKind.PAUSED)
        await world.happen()
        await world.ingest(3)
        await world.quiet()
        paused, ingested = (
            Standard(secret).verify(one.body, dict(one.headers))
            for one in sorted(world.sender.sent, key=lambda one: one.id)
        )
        assert all(one.headers["Content-Type"] == "application/json" for one in world.sender.sent)
        assert paused["type"] == "pipeline.paused"
        assert paused["data"] == {"pipeline": {"id": world.pipeline.id, "name": world.pipeline.name}}
        assert (ingested["type"], ingested["data"]["count"]) == ("pipeline.ingested", 3)
        first, last = (parse_event_id(ingested["data"][name]) for name in ("first_event_id", "last_event_id"))
        assert first is not None
        assert last is not None
        assert (first.seq, last.seq, first.pipeline) == (1, 3, world.pipeline.number)
        with pytest.raises(Exception, match="signature"):
            Standard(secret).verify(world.sender.sent[0].body + b" ", dict(world.sender.sent[0].headers))


async def test_a_secret_that_was_given_signs(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        given_secret = new_signing_secret(b"k" * 24)
        _, secret = await world.webhooks.create("https://example.com/", [NoticeKind.PAUSED], given_secret)
        assert secret == given_secret
        await world.happen()
        await world.quiet()
        (one,) = world.sender.sent
        Standard(given_secret).verify(one.body, dict(one.headers))


async def test_ids_of_two_stores_differ(tmp_path: Path) -> None:
    """Receivers drop what they have seen: a data folder that was made anew must not look like the old one."""
    ids = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        async with world_at(tmp_path / name) as world:
            await world.subscribe(NoticeKind.PAUSED)
            await world.happen()
            await world.quiet()
            ids.append(world.sender.sent[0].id)
    assert ids[0] != ids[1]


async def test_what_cannot_be_subscribed_is_refused_with_every_reason(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        with pytest.raises(InvalidRequest) as raised:
            await world.webhooks.create("https://refused.example/", [], "whsec_short")
        assert [problem.path for problem in raised.value.problems] == [("url",), ("events",), ("secret",)]
        assert world.webhooks.all() == []


# Attempts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_2xx_is_success(tmp_path: Path, status: int) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(status)
        await world.happen()
        await world.pass_time(DAY_S)
        (one,) = await world.tellings(webhook)
        assert (one.state, one.attempts, one.status, one.error) == (DELIVERED, 1, status, None)
        assert one.ended_at_us is not None
        assert len(world.sender.sent) == 1


@pytest.mark.parametrize("status", [101, 199, 300, 301, 302, 304, 307, 400, 401, 404, 409, 429, 500, 503, 599])
async def test_all_else_is_tried_again(tmp_path: Path, status: int) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(status)
        await world.happen()
        await world.pass_time(60)
        (one,) = await world.tellings(webhook)
        assert (one.state, one.status, one.error) == (WAITING, status, f"answered {status}")
        assert one.attempts == len(world.sender.sent) >= 3


async def test_410_is_for_good_of_this_one(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(410)
        await world.happen()
        await world.pass_time(DAY_S)
        assert len(world.sender.sent) == 1
        world.sender.says = answering(200)
        await world.happen()
        await world.pass_time(600)
        assert await world.states(webhook) == [FAILED, DELIVERED]


async def _tried_for_a_day(folder: Path, seed: int) -> list[float]:
    """Seconds at which one telling was tried, by a receiver that never takes it."""
    async with world_at(folder, seed=seed) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503)
        began_us = world.clock.steady_us()
        await world.happen()
        await world.pass_time(DAY_S + HOUR_S)
        (one,) = await world.tellings(webhook)
        assert one.state is FAILED
        assert one.error == "answered 503"
        sent = world.sender.sent
        await world.pass_time(2 * DAY_S)
        assert one.attempts == len(sent) == len(world.sender.sent)
        assert len({one.id for one in sent}) == 1
        assert len({one.body for one in sent}) == 1
        stamps = [one.headers["webhook-timestamp"] for one in sent]
        assert stamps == [str(one.at_us // SECOND_US) for one in sent]
        assert len({one.headers["webhook-signature"] for one in sent}) == len(set(stamps))
        return [(one.at_us - began_us) / SECOND_US for one in sent]


async def test_a_telling_is_tried_for_24_hours_less_and_less_often_and_then_failed(tmp_path: Path) -> None:
    found = []
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        at_s = await _tried_for_a_day(tmp_path / str(seed), seed)
        gaps_s = [later - earlier for earlier, later in pairwise(at_s)]
        for failures, gap_s in enumerate(gaps_s, 1):
            assert gap_s <= min(HOUR_S, 2.0 ** (failures - 1)) + min(300, 0.5 * 2.0 ** (failures - 1)) + 0.001
        assert at_s[0] == 0
        assert DAY_S - HOUR_S <= at_s[-1] <= DAY_S + 300
        assert 30 <= len(at_s) <= 150
        assert max(gaps_s) > 1_000
        found.append(gaps_s)
    assert found[0] != found[1], "with jitter, so that a thousand do not come back at once"


@pytest.mark.parametrize(("asked_s", "at_least_s"), [(600, 600), (86_400, 3_600)])
async def test_retry_after_is_heeded_up_to_an_hour(tmp_path: Path, asked_s: int, at_least_s: int) -> None:
    async with world_at(tmp_path) as world:
        await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503, asked_s)
        await world.happen()
        await world.quiet()
        world.sender.says = answering(200)
        await world.pass_time(at_least_s - 1)
        assert len(world.sender.sent) == 1
        await world.pass_time(2)
        assert len(world.sender.sent) == 2


async def test_failures_of_the_sender_of_every_kind_are_tried_again(tmp_path: Path) -> None:
    kinds = iter([SendFailed("POST https://example.com/hook: \x1b[31mno"), ZeroDivisionError("a bug")])

    async def says(_sent: Sent) -> Answered:
        if (error := next(kinds, None)) is not None:
            raise error
        return Answered(status=200, retry_after_s=None, excerpt="")

    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = says
        await world.happen()
        await world.quiet()
        (one,) = await world.tellings(webhook)
        assert one.error == "POST https://example.com/hook: \\x1b[31mno"
        await world.pass_time(60)
        (one,) = await world.tellings(webhook)
        assert (one.state, one.attempts) == (DELIVERED, 3)


async def test_first_attempts_begin_in_the_order_in_which_it_happened(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        await world.subscribe(NoticeKind.PAUSED)
        await world.happen(40)
        await world.quiet()
        ids = [one.id for one in world.sender.sent]
        assert len(ids) == 40
        assert ids == sorted(ids)


async def test_a_telling_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        bad: set[str] = set()

        async def says(sent: Sent) -> Answered:
            bad.update([sent.id] if len(bad) < 3 else [])
            return Answered(status=500 if sent.id in bad else 200, retry_after_s=None, excerpt="")

        world.sender.says = says
        await world.happen(50)
        await world.quiet()
        assert Counter(await world.states(webhook)) == {DELIVERED: 47, WAITING: 3}


# Nobody in anybody's way -----------------------------------------------------------------------------------------


async def test_a_receiver_that_hangs_is_sent_eight_at_once_and_the_others_go_on(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED, NoticeKind.INGESTED, url="https://slow.example/")
        other, _ = await world.subscribe(NoticeKind.PAUSED, NoticeKind.INGESTED, url="https://good.example/")

        async def says(sent: Sent) -> Answered:
            return await hanging(sent) if "slow" in sent.url else await answering(200)(sent)

        world.sender.says = says
        await world.happen(30)
        for _ in range(300):
            await world.ingest()
        await until(lambda: world.sender.answered >= 31)
        assert sum("slow" in one.url for one in world.sender.sent) == 8
        assert len(await world.tellings(webhook)) == 31, "300 events gather in one that waits"
        await _until_delivered(world, other.id)


async def _until_delivered(world: World, webhook_id: str) -> None:
    webhook = world.webhooks.get(webhook_id)
    for _ in range(2_000):
        if set(await world.states(webhook)) <= {DELIVERED}:
            return
    raise AssertionError(await world.states(webhook))


async def test_a_receiver_that_is_away_is_asked_one_at_a_time_and_ever_less_often(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503)
        await world.happen(500)
        await world.quiet()
        assert (len(world.sender.sent), world.sender.most_at_once) == (8, 8)
        world.sender.most_at_once = 0
        await world.pass_time(HOUR_S)
        assert world.sender.most_at_once == 1
        assert 8 + 12 <= len(world.sender.sent) <= 100
        world.sender.says = answering(200)
        await world.pass_time(2 * HOUR_S)
        assert set(await world.states(webhook)) == {DELIVERED}


async def test_a_receiver_down_for_three_days_is_told_of_the_last_one(tmp_path: Path) -> None:
    """What is older is failed; every event is told of once; what waits meanwhile stays little, and so do attempts."""
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe()
        world.sender.says = answering(503)
        accepted_at_us: list[int] = []
        most_waiting = 0
        for hour in range(3 * 24):
            for _ in range(6):
                await world.ingest(5)
                accepted_at_us += [world.clock.steady_us()] * 5
                await world.pass_time(600)
            if hour % 4 == 0:
                await world.retention.once()
                most_waiting = max(most_waiting, (await world.states(webhook)).count(WAITING))
        attempts = len(world.sender.sent)
        assert 3 * 24 * 12 <= attempts <= 3 * 24 * 60
        assert most_waiting <= 24 * 6 + 30
        await world.retention.once()
        day_ago_us = world.clock.steady_us() - int(DAY_S * SECOND_US)
        world.sender.says = answering(200)
        await world.pass_time(HOUR_S + 300)
        found = await world.tellings(webhook)
        assert {one.state for one in found} == {DELIVERED, FAILED}
        end = 0
        for one in found:
            assert (one.notice.first_seq, one.notice.count) == (end + 1, one.notice.last_seq - end)
            end = one.notice.last_seq
            young = accepted_at_us[one.notice.last_seq - 1] > day_ago_us
            assert (one.state is DELIVERED) == young
        assert end == len(accepted_at_us)


# What people do --------------------------------------------------------------------------------------------------


async def test_a_person_who_hurries_one_receiver_leaves_the_backoff_of_the_others(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        other, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503)
        await world.happen(1)
        await world.quiet()
        ids = {one.id: one.webhook for hook in (webhook, other) for one in await world.tellings(hook)}
        before = [ids[one.id] for one in world.sender.sent]
        (mine,) = await world.tellings(webhook)
        await world.webhooks.retry(webhook.id, mine.id)
        await world.quiet()
        now = [ids[one.id] for one in world.sender.sent]
        assert now.count(webhook.id) == before.count(webhook.id) + 1
        assert now.count(other.id) == before.count(other.id) == 1


async def test_a_delivery_is_sent_again_at_once_when_a_person_asks(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        other, _ = await world.subscribe(NoticeKind.DELETED)
        world.sender.says = answering(503)
        await world.happen(20)
        await world.pass_time(2 * DAY_S)
        await world.retention.once()
        await world.happen(20)
        await world.quiet()
        found = await world.tellings(webhook)
        assert found[7].state is FAILED
        world.sender.says = answering(200)
        before = len(world.sender.sent)
        again = await world.webhooks.retry(webhook.id, found[7].id)
        assert (again.id, again.state) == (found[7].id, WAITING)
        assert (world.webhooks.next_attempt_us(again) or 0) >= world.clock.now_us()
        await world.quiet()
        assert world.sender.sent[before].id == found[7].id, "before the 20 that wait"
        assert world.sender.sent[before].body == world.webhooks.body_of(found[7])
        now = (await world.tellings(webhook))[7]
        assert (now.state, now.error, now.attempts) == (DELIVERED, None, found[7].attempts + 1)
        await world.webhooks.retry(webhook.id, found[7].id)
        await world.pass_time(HOUR_S)
        assert [one.id for one in world.sender.sent[before:]].count(found[7].id) == 2
        for wrong in (
            found[7].id[:-1] + ("0" if found[7].id[-1] != "0" else "1") * 2,
            found[7].id[:4] + "z" * 8 + found[7].id[12:],
            "msg_",
            "",
            "\x00" * 20,
            found[7].id.upper(),
        ):
            with pytest.raises(WebhookNotFound):
                await world.webhooks.retry(webhook.id, wrong)
        with pytest.raises(WebhookNotFound):
            await world.webhooks.retry(other.id, found[7].id)
        with pytest.raises(WebhookNotFound):
            await world.webhooks.retry("wh_nobody", found[7].id)


async def test_a_person_who_asks_while_it_is_being_sent_is_heeded_too(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        over: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        async def says(sent: Sent) -> Answered:
            return await (over if len(world.sender.sent) == 1 else answering(200)(sent))

        world.sender.says = says
        await world.happen()
        await until(lambda: world.sender.at_once == 1)
        (one,) = await world.tellings(webhook)
        await world.webhooks.retry(webhook.id, one.id)
        over.set_result(Answered(status=503, retry_after_s=3_000, excerpt=""))
        await world.quiet()
        assert await world.states(webhook) == [DELIVERED], "at once, not when its turn comes"
        assert len(world.sender.sent) == 2


async def test_a_person_who_asks_gets_another_24_hours(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503)
        await world.happen()
        await world.pass_time(2 * DAY_S)
        (one,) = await world.tellings(webhook)
        assert one.state is FAILED
        await world.webhooks.retry(webhook.id, one.id)
        await world.pass_time(DAY_S - HOUR_S)
        assert await world.states(webhook) == [WAITING]
        world.sender.says = answering(200)
        await world.pass_time(HOUR_S)
        assert await world.states(webhook) == [DELIVERED]


async def test_a_deleted_webhook_is_told_nothing_more(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        hung, _ = await world.subscribe(NoticeKind.PAUSED, url="https://hangs.example/")
        away, _ = await world.subscribe(NoticeKind.PAUSED, url="https://away.example/")
        good, _ = await world.subscribe(NoticeKind.PAUSED, url="https://good.example/")

        async def says(sent: Sent) -> Answered:
            return await (hanging if "hangs" in sent.url else answering(503 if "away" in sent.url else 200))(sent)

        world.sender.says = says
        await world.happen(20)
        await until(lambda: world.sender.at_once == 8)
        await world.webhooks.delete(hung.id)
        await until(lambda: world.sender.at_once == 0)
        await world.webhooks.delete(away.id)
        before = len(world.sender.sent)
        await world.happen(5)
        await world.pass_time(2 * HOUR_S)
        assert {one.url for one in world.sender.sent[before:]} == {good.url}
        for gone in (hung, away):
            assert await world.tellings(gone) == []
            with pytest.raises(WebhookNotFound):
                world.webhooks.get(gone.id)
        assert await world.states(good) == [DELIVERED] * 25


async def test_the_history_is_bounded(tmp_path: Path) -> None:
    async with world_at(tmp_path, keep=10) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        await world.happen(60)
        await world.quiet()
        await world.retention.once()
        found = await world.tellings(webhook)
        assert [one.state for one in found] == [DELIVERED] * 10
        assert found[-1].id == world.sender.sent[-1].id


# Ends and trouble ------------------------------------------------------------------------------------------------


async def test_after_a_soft_end_only_what_was_not_answered_is_sent_again(tmp_path: Path) -> None:
    clock = SleepyClock()
    async with world_at(tmp_path, clock) as world:
        await world.subscribe(NoticeKind.PAUSED)

        async def says(sent: Sent) -> Answered:
            return await (hanging if sent.id.endswith("5") else answering(200))(sent)

        world.sender.says = says
        await world.happen(8)
        await until(lambda: world.sender.answered >= 5 and world.sender.at_once == 1)
        first = {one.id for one in world.sender.sent}
        answered = {one for one in first if not one.endswith("5")}
    async with world_at(tmp_path, clock) as world:
        await world.quiet()
        again = {one.id for one in world.sender.sent}
        assert not again & answered
        assert len(again | first) == 8


class Failing:
    """A catalog whose `fails`-th call of the courier's finds the store away: before, or after it was done."""

    def __init__(self, real: Any, fails: int, *, done: bool) -> None:
        self._real = real
        self._left = fails
        self._done = done

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in {"take_due", "next_due", "settle"}:
            return found

        async def call(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._done:
                raise StoreUnavailable("write to the store: no room")
            result = await found(*args)
            if self._left == 0:
                raise StoreUnavailable("write to the store: no room")
            return result

        return call


@pytest.mark.parametrize("done", [False, True])
async def test_whichever_call_of_the_store_fails_everything_is_told(tmp_path: Path, done: bool) -> None:
    for fails in range(1, 12):
        folder = tmp_path / str(fails)
        folder.mkdir()
        async with world_at(folder, in_front=lambda real, n=fails: Failing(real, n, done=done)) as world:  # type: ignore[misc]
            webhook, _ = await world.subscribe(NoticeKind.PAUSED)
            await world.happen(20)
            await world.pass_time(60)
            assert await world.states(webhook) == [DELIVERED] * 20
            times = Counter(one.id for one in world.sender.sent)
            assert len(times) == 20
            assert max(times.values()) <= 2


async def test_the_clock_set_back_or_forth_changes_nothing_that_waits(tmp_path: Path) -> None:
    async with world_at(tmp_path) as world:
        webhook, _ = await world.subscribe(NoticeKind.PAUSED)
        world.sender.says = answering(503)
        await world.happen()
        await world.pass_time(HOUR_S)
        for jump_s in (-2 * HOUR_S, 3 * DAY_S):
            world.clock.set(world.clock.now_us() + int(jump_s * SECOND_US))
            await world.retention.once()
            await world.pass_time(HOUR_S)
            assert await world.states(webhook) == [WAITING]
        world.sender.says = answering(200)
        await world.pass_time(HOUR_S)
        assert await world.states(webhook) == [DELIVERED]
        last = world.sender.sent[-1]
        assert abs(int(last.headers["webhook-timestamp"]) - world.clock.now_us() // SECOND_US) <= HOUR_S
        assert json.loads(last.body)["type"] == "pipeline.paused"
