"""The batcher: what goes into a batch (policy), and who gets what out of it (machinery)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.embedding.batcher import Batcher, PendingText, next_batch
from penstock.embedding.port import Embedded, Vector
from penstock.errors import EmbeddingRefused, RateLimited, ServiceUnavailable

PENDING = st.lists(st.builds(PendingText, text=st.uuids().map(str), tokens=st.integers(0, 300)), max_size=60)


class HandEngine:
    """An engine whose calls end when the test says so."""

    model, revision, dimensions, concurrency = "hand", "1", 1, 1

    def __init__(self, *, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.calls: list[list[str]] = []
        self._open: dict[int, asyncio.Future[list[Embedded]]] = {}

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        self.calls.append(list(texts))
        answer = asyncio.get_running_loop().create_future()
        self._open[len(self.calls) - 1] = answer
        return await answer

    async def embed_query(self, text: str) -> Vector:
        raise NotImplementedError

    async def close(self) -> None: ...

    def finish(self, call: int) -> None:
        self._open.pop(call).set_result([vector_of(text) for text in self.calls[call]])

    def answer(self, call: int, embedded: list[Embedded]) -> None:
        self._open.pop(call).set_result(embedded)

    def fail(self, call: int, error: Exception) -> None:
        self._open.pop(call).set_exception(error)

    async def until_calls(self, count: int) -> None:
        await until(lambda: len(self.calls) >= count and len(self.calls) - 1 in self._open)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def vector_of(text: str) -> Vector:
    return np.array([hash(text) % 1000], np.float32)


def ask(batcher: Batcher, *texts: str, tokens: int = 10) -> asyncio.Task[list[Embedded]]:
    return asyncio.create_task(batcher.embed(texts, [tokens] * len(texts)))


@pytest.fixture
def engine() -> HandEngine:
    return HandEngine()


@pytest.fixture
async def batcher(engine: HandEngine) -> AsyncIterator[Batcher]:
    batcher = Batcher(engine, batch_tokens=100)
    yield batcher
    await batcher.close()


class TestNextBatch:
    def test_takes_the_oldest_up_to_the_token_budget(self) -> None:
        pending = [PendingText("a", 40), PendingText("b", 50), PendingText("c", 20), PendingText("d", 5)]
        assert [item.text for item in next_batch(pending, tokens=100, texts=10)] == ["b", "a"]

    def test_a_text_over_the_budget_goes_alone(self) -> None:
        pending = [PendingText("huge", 900), PendingText("b", 1)]
        assert [item.text for item in next_batch(pending, tokens=100, texts=10)] == ["huge"]

    def test_takes_at_most_so_many_texts(self) -> None:
        assert len(next_batch([PendingText(str(n), 1) for n in range(9)], tokens=100, texts=4)) == 4

    def test_nothing_pending_is_an_empty_batch(self) -> None:
        assert next_batch([], tokens=100, texts=4) == []

    @given(pending=PENDING, tokens=st.integers(1, 500), texts=st.integers(1, 20))
    def test_every_cut_keeps_the_budget_and_the_order_of_age(
        self, pending: list[PendingText], tokens: int, texts: int
    ) -> None:
        left = list(pending)
        while left:
            batch = next_batch(left, tokens=tokens, texts=texts)
            assert len(batch) in range(1, texts + 1)
            assert len(batch) == 1 or sum(item.tokens for item in batch) <= tokens
            assert set(batch) == set(left[: len(batch)])
            assert [item.tokens for item in batch] == sorted((item.tokens for item in batch), reverse=True)
            left = left[len(batch) :]


async def test_a_lone_text_goes_at_once(engine: HandEngine, batcher: Batcher) -> None:
    asked = ask(batcher, "one")
    await engine.until_calls(1)
    engine.finish(0)
    assert await asked == [vector_of("one")]


async def test_texts_of_many_callers_share_a_batch_and_each_gets_its_own(engine: HandEngine, batcher: Batcher) -> None:
    first = ask(batcher, "first")
    await engine.until_calls(1)
    others = [ask(batcher, f"{name}1", f"{name}2") for name in "abc"]
    await until(lambda: batcher.counts.waiting_texts == 6)
    engine.finish(0)
    await engine.until_calls(2)
    assert sorted(engine.calls[1]) == ["a1", "a2", "b1", "b2", "c1", "c2"]
    engine.finish(1)
    assert await first == [vector_of("first")]
    assert [await other for other in others] == [[vector_of(f"{n}1"), vector_of(f"{n}2")] for n in "abc"]


async def test_never_more_calls_than_the_engine_takes() -> None:
    engine = HandEngine(concurrency=2)
    batcher = Batcher(engine, batch_tokens=10)
    asked = ask(batcher, "a", "b", "c", "d")
    await engine.until_calls(2)
    assert engine.calls == [["a"], ["b"]]
    engine.finish(1)
    await engine.until_calls(3)
    assert engine.calls[2] == ["c"]
    engine.finish(2)
    await engine.until_calls(4)
    engine.finish(0)
    engine.finish(3)
    assert await asked == [vector_of(text) for text in "abcd"]


async def test_the_oldest_caller_is_served_before_later_floods(engine: HandEngine, batcher: Batcher) -> None:
    busy = ask(batcher, "busy")
    await engine.until_calls(1)
    old = ask(batcher, "old", tokens=90)
    await until(lambda: batcher.counts.waiting_texts == 1)
    flood = ask(batcher, *(f"late{n}" for n in range(40)))
    engine.finish(0)
    await engine.until_calls(2)
    assert "old" in engine.calls[1]
    for call in range(1, 6):
        await engine.until_calls(call + 1)
        engine.finish(call)
        if call == 1:
            await old
    assert len(await flood) == 40
    await busy


async def test_the_same_text_twice_is_embedded_once(engine: HandEngine, batcher: Batcher) -> None:
    running = ask(batcher, "same")
    await engine.until_calls(1)
    joined = ask(batcher, "same", "other", "other")
    await until(lambda: batcher.counts.waiting_texts == 1)
    engine.finish(0)
    await engine.until_calls(2)
    engine.finish(1)
    assert await running == [vector_of("same")]
    assert await joined == [vector_of("same"), vector_of("other"), vector_of("other")]
    assert engine.calls == [["same"], ["other"]]


async def test_a_failed_batch_fails_only_the_callers_in_it(engine: HandEngine, batcher: Batcher) -> None:
    doomed = ask(batcher, "doomed", tokens=100)
    await engine.until_calls(1)
    spared = ask(batcher, "spared")
    await until(lambda: batcher.counts.waiting_texts == 1)
    engine.fail(0, RateLimited("slow down", retry_after=3))
    with pytest.raises(RateLimited, match="slow down"):
        await doomed
    await engine.until_calls(2)
    engine.finish(1)
    assert await spared == [vector_of("spared")]
    assert batcher.counts.failed_batches == 1


async def test_after_a_failure_the_callers_other_texts_leave_the_pool(engine: HandEngine, batcher: Batcher) -> None:
    asked = ask(batcher, "a", "b", "c", tokens=100)
    await engine.until_calls(1)
    engine.fail(0, ServiceUnavailable())
    with pytest.raises(ServiceUnavailable):
        await asked
    assert batcher.counts.waiting_texts == 0


async def test_a_refusal_is_the_outcome_of_its_text_alone(engine: HandEngine, batcher: Batcher) -> None:
    asked = ask(batcher, "fine", "bad")
    await engine.until_calls(1)
    refusal = EmbeddingRefused("no")
    engine.answer(0, [vector_of("fine"), refusal])
    assert await asked == [vector_of("fine"), refusal]


async def test_a_cancelled_caller_takes_its_waiting_texts_back(engine: HandEngine, batcher: Batcher) -> None:
    busy = ask(batcher, "busy")
    await engine.until_calls(1)
    leaving, staying = ask(batcher, "only mine", "shared"), ask(batcher, "shared")
    await until(lambda: batcher.counts.waiting_texts == 2)
    leaving.cancel()
    await until(lambda: batcher.counts.waiting_texts == 1)
    engine.finish(0)
    await engine.until_calls(2)
    assert engine.calls[1] == ["shared"]
    engine.finish(1)
    assert await staying == [vector_of("shared")]
    await busy
    assert leaving.cancelled()


async def test_a_caller_cancelled_while_its_batch_runs_leaves_the_others_whole(
    engine: HandEngine, batcher: Batcher
) -> None:
    leaving = ask(batcher, "shared")
    await engine.until_calls(1)
    staying = ask(batcher, "shared")
    await asyncio.sleep(0)
    leaving.cancel()
    await until(leaving.done)
    engine.finish(0)
    assert await staying == [vector_of("shared")]


async def test_a_caller_that_leaves_late_does_not_take_a_newer_caller_s_text(
    engine: HandEngine, batcher: Batcher
) -> None:
    early = ask(batcher, "shared", "long", tokens=90)
    await engine.until_calls(1)
    engine.finish(0)  # "shared" is done, `early` stays for "long"
    await engine.until_calls(2)
    late = ask(batcher, "shared")
    await until(lambda: batcher.counts.waiting_texts == 1)
    early.cancel()
    await until(early.done)
    engine.finish(1)
    await engine.until_calls(3)
    engine.finish(2)
    assert await late == [vector_of("shared")]


async def test_an_engine_that_loses_a_text_is_an_error_not_a_hang(engine: HandEngine, batcher: Batcher) -> None:
    asked = ask(batcher, "a")
    await engine.until_calls(1)
    engine.answer(0, [])
    with pytest.raises(RuntimeError, match="1 texts with 0"):
        await asked


class TripsOver(HandEngine):
    """An engine that fails as a whole when some texts are in the batch."""

    def __init__(self, *poison: str, away_after: int = 1000) -> None:
        super().__init__()
        self.poison = poison
        self.away_after = away_after

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        self.calls.append(list(texts))
        if len(self.calls) > self.away_after:
            raise ServiceUnavailable("away")
        for text in texts:
            if text in self.poison:
                raise FloatingPointError(text)
        return [vector_of(text) for text in texts]


class TestATextThatTheEngineTripsOver:
    async def test_costs_only_who_asked_for_it(self) -> None:
        engine = TripsOver("bad3", "bad9")
        batcher = Batcher(engine, batch_tokens=10_000)
        texts = [f"{'bad' if n in (3, 9) else 'good'}{n}" for n in range(32)]
        busy = ask(batcher, "busy")  # so that all others wait for one batch
        asked = [ask(batcher, text) for text in texts]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert await busy == [vector_of("busy")]
        for text, outcome in zip(texts, outcomes, strict=True):
            if text.startswith("bad"):
                assert isinstance(outcome, FloatingPointError)
                assert str(outcome) == text
            else:
                assert outcome == [vector_of(text)]
        assert sorted(engine.calls[1]) == sorted(texts)
        assert len(engine.calls) < 22, "halved, not one by one"
        assert batcher.counts.failed_batches == 1

    async def test_of_a_caller_with_others_is_his_error(self) -> None:
        batcher = Batcher(TripsOver("bad"), batch_tokens=10_000)
        mine, others = ask(batcher, "a", "bad", "b"), ask(batcher, "a", "c")
        with pytest.raises(FloatingPointError):
            await mine
        assert await others == [vector_of("a"), vector_of("c")]

    async def test_while_the_service_goes_away_blames_nobody(self) -> None:
        engine = TripsOver("bad", away_after=3)
        batcher = Batcher(engine, batch_tokens=10_000)
        busy = ask(batcher, "busy")
        asked = [ask(batcher, text) for text in ("a", "b", "c", "bad")]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert engine.calls == [["busy"], ["a", "b", "c", "bad"], ["a", "b"], ["c", "bad"]]
        assert await busy == [vector_of("busy")]
        assert [type(outcome) for outcome in outcomes] == [ServiceUnavailable] * 4

    async def test_closing_while_it_is_looked_for_ends_the_search(self, engine: HandEngine) -> None:
        batcher = Batcher(engine, batch_tokens=10_000)
        asked = ask(batcher, "a", "b")
        await engine.until_calls(1)
        engine.fail(0, FloatingPointError())
        await engine.until_calls(2)
        await batcher.close()
        with pytest.raises(ServiceUnavailable, match="closed"):
            await asked
        assert engine.calls == [["a", "b"], ["a"]]


async def test_no_texts_need_no_engine(engine: HandEngine, batcher: Batcher) -> None:
    assert await batcher.embed([], []) == []
    assert engine.calls == []


async def test_closing_tells_those_who_wait(engine: HandEngine, batcher: Batcher) -> None:
    running, waiting = ask(batcher, "running"), ask(batcher, "waiting")
    await until(lambda: batcher.counts.waiting_texts == 1)
    await batcher.close()
    for asked in (running, waiting):
        with pytest.raises(ServiceUnavailable, match="closed"):
            await asked


async def test_counts_what_went_through(engine: HandEngine, batcher: Batcher) -> None:
    asked = ask(batcher, "a", "b", "a", tokens=7)
    await engine.until_calls(1)
    engine.finish(0)
    await asked
    counts = batcher.counts
    assert (counts.texts, counts.tokens, counts.batches, counts.failed_batches) == (2, 14, 1, 0)
    assert (counts.waiting_texts, counts.waiting_tokens) == (0, 0)
    assert counts.busy_seconds > 0
