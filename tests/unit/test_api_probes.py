"""Questions that nobody waits for too long."""

from __future__ import annotations

import asyncio

import pytest

from penstock.api import probes
from penstock.api.probes import Probe
from penstock.errors import ServiceUnavailable


class Service:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None

    async def ask(self) -> int:
        self.asked += 1
        await self.may_answer.wait()
        if self.error:
            raise self.error
        return self.asked


async def test_many_that_ask_at_once_cause_one_question() -> None:
    service = Service()
    probe = Probe(service.ask)
    answers = asyncio.gather(*(probe.answer() for _ in range(10)))
    await asyncio.sleep(0)
    service.may_answer.set()
    assert await answers == [1] * 10
    assert await probe.answer() == 2


async def test_an_answer_is_fresh_for_a_while() -> None:
    service = Service()
    service.may_answer.set()
    probe = Probe(service.ask, fresh_seconds=60)
    assert [await probe.answer(), await probe.answer()] == [1, 1]


async def test_a_failure_is_not_remembered() -> None:
    service = Service()
    service.may_answer.set()
    service.error = ServiceUnavailable("It starts.")
    probe = Probe(service.ask, fresh_seconds=60)
    assert await probe.verdict() == "It starts."
    service.error = None
    assert await probe.verdict() == "ok"


async def test_a_service_that_hangs_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "PATIENCE_SECONDS", 0.01)
    service = Service()
    probe = Probe(service.ask)
    assert await probe.verdict() == "No answer within 0.01 s."
    assert await probe.verdict() != "ok"
    assert service.asked == 1
    service.may_answer.set()
    assert await probe.verdict() == "ok"


async def test_a_verdict_is_what_is_wrong() -> None:
    service = Service()
    service.may_answer.set()
    service.error = ServiceUnavailable("It sleeps.")
    assert await Probe(service.ask).verdict() == "It sleeps."
    service.error = KeyError("unforeseen")
    with pytest.raises(KeyError):
        await Probe(service.ask).verdict()
