"""The remote engine against a service that misbehaves over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from embedding_service import (
    DIMENSIONS,
    POISON,
    Behaviour,
    EmbeddingService,
    Reply,
    Request,
    behave,
    embedding_service,
    numbers_of,
    rows_of,
)
from pydantic import SecretStr

from penstock.embedding import Embedded
from penstock.embedding.openai import HARMLESS, OpenAiEngine
from penstock.errors import EmbeddingRefused, InvalidRequest, InvalidSettings, RateLimited, ServiceUnavailable
from penstock.settings import EmbeddingSettings

KEY = "sk-very-secret"


@pytest.fixture
async def service() -> AsyncIterator[EmbeddingService]:
    async with embedding_service() as service:
        yield service


@pytest.fixture
async def engine(service: EmbeddingService) -> AsyncIterator[OpenAiEngine]:
    engine = await OpenAiEngine.connect(settings_for(service))
    yield engine
    await engine.close()


def settings_for(service: EmbeddingService, **fields: object) -> EmbeddingSettings:
    defaults = {"url": service.url, "model": "m", "dimensions": DIMENSIONS, "api_key": SecretStr(KEY)}
    return EmbeddingSettings.model_validate(defaults | fields)


def always(reply: Reply) -> Behaviour:
    return lambda _: reply


def answered(embedded: list[Embedded], texts: list[str]) -> bool:
    """Whether each text has its own vector."""
    expected = [np.array(numbers_of(text), np.float32) for text in texts]
    return len(embedded) == len(texts) and all(
        isinstance(vector, np.ndarray) and np.allclose(vector, numbers / np.linalg.norm(numbers), atol=1e-6)
        for vector, numbers in zip(embedded, expected, strict=True)
    )


class TestRequests:
    async def test_asks_as_the_settings_say(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        await engine.embed_documents(["a", "b"])
        [request] = service.requests
        assert request.path == "/v1/embeddings"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.body == {
            "model": "m",
            "input": ["a", "b"],
            "encoding_format": "base64",
            "dimensions": DIMENSIONS,
        }

    async def test_sends_at_most_so_many_texts_at_once(self, service: EmbeddingService) -> None:
        engine = await OpenAiEngine.connect(settings_for(service, batch_texts=4))
        texts = [f"text {n}" for n in range(10)]
        assert answered(await engine.embed_documents(texts), texts)
        assert [len(request.texts) for request in service.requests] == [4, 4, 2]
        await engine.close()

    async def test_without_dimensions_asks_the_service_once(self, service: EmbeddingService) -> None:
        engine = await OpenAiEngine.connect(settings_for(service, dimensions=None))
        assert engine.dimensions == DIMENSIONS
        await engine.embed_documents(["a"])
        assert ["dimensions" in request.body for request in service.requests] == [False, False]
        await engine.close()

    async def test_keeps_the_query_of_the_address_and_an_ending_slash_does_not_matter(
        self, service: EmbeddingService
    ) -> None:
        engine = await OpenAiEngine.connect(settings_for(service, url=f"{service.url}/?api-version=1"))
        await engine.embed_documents(["a"])
        assert service.requests[0].path == "/v1/embeddings?api-version=1"
        await engine.close()

    async def test_a_key_with_a_newline_is_the_key(self, service: EmbeddingService) -> None:
        engine = await OpenAiEngine.connect(settings_for(service, api_key=SecretStr(f"{KEY}\n")))
        await engine.embed_documents(["a"])
        assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
        await engine.close()


class TestAnswers:
    async def test_plain_numbers_are_as_good_as_base64(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        service.script.append(lambda request: Reply({"data": rows_of([numbers_of(text) for text in request.texts])}))
        assert answered(await engine.embed_documents(["a", "b"]), ["a", "b"])

    async def test_shuffled_rows_are_put_in_order(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        def shuffled(request: Request) -> Reply:
            rows = rows_of([numbers_of(text) for text in request.texts])
            return Reply({"data": rows[2:] + rows[:2]})

        service.script.append(shuffled)
        assert answered(await engine.embed_documents(list("abcde")), list("abcde"))

    @pytest.mark.parametrize(
        "body",
        [
            b"<html>It works!</html>",
            b"\xff\xfe",
            {"data": rows_of([[1.0] * DIMENSIONS])},
            {"data": rows_of([[1.0] * DIMENSIONS] * 3)},
            {"data": [{"index": 0, "embedding": [1.0] * DIMENSIONS}] * 2},
            {"data": rows_of([[1.0] * (DIMENSIONS + 1)] * 2)},
            {"data": [{"index": n, "embedding": None} for n in range(2)]},
            {"data": [{"index": n, "embedding": "not base64!"} for n in range(2)]},
            {"data": [{"index": n, "embedding": ["x"] * DIMENSIONS} for n in range(2)]},
            {"data": [1, 2]},
            {"data": {"0": []}},
            {"object": "list"},
            ["list"],
            "text",
        ],
        ids=lambda body: str(body)[:40],
    )
    async def test_what_is_no_list_of_embeddings_is_the_service_failing(
        self, service: EmbeddingService, engine: OpenAiEngine, body: object
    ) -> None:
        service.script.append(always(Reply(body)))
        with pytest.raises(ServiceUnavailable):
            await engine.embed_documents(["a", "b"])

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), 0.0])
    async def test_a_vector_without_a_direction_is_a_refusal_of_its_text(
        self, service: EmbeddingService, engine: OpenAiEngine, number: float
    ) -> None:
        vectors = [[1.0] * DIMENSIONS, [number] * DIMENSIONS]
        service.script.append(always(Reply(json.dumps({"data": rows_of(vectors)}).encode())))
        good, bad = await engine.embed_documents(["good", "bad"])
        assert isinstance(good, np.ndarray)
        assert isinstance(bad, EmbeddingRefused)


class TestRefusals:
    async def test_the_texts_to_blame_are_found_and_the_others_embedded(
        self, service: EmbeddingService, engine: OpenAiEngine
    ) -> None:
        texts = [f"text {n}" for n in range(32)]
        texts[5], texts[30] = f"{POISON} 5", f"{POISON} 30"
        embedded = await engine.embed_documents(texts)
        refused = [n for n, outcome in enumerate(embedded) if isinstance(outcome, EmbeddingRefused)]
        assert refused == [5, 30]
        assert "input refused" in str(embedded[5])
        good = [n for n in range(32) if n not in refused]
        assert answered([embedded[n] for n in good], [texts[n] for n in good])
        assert len(service.requests) < 25  # one by one it would be 34

    async def test_an_internal_error_of_one_text_is_isolated(
        self, service: EmbeddingService, engine: OpenAiEngine
    ) -> None:
        """text-embeddings-inference and Ollama answer 500 where the model trips over a text."""
        broken = Reply({"error": "input length exceeds the context length"}, 500)
        service.always = lambda request: broken if "long" in request.texts else behave(request)
        embedded = await engine.embed_documents(["a", "b", "long", "c"])
        assert isinstance(embedded[2], EmbeddingRefused)
        assert "exceeds the context length" in str(embedded[2])
        assert answered([embedded[n] for n in (0, 1, 3)], ["a", "b", "c"])

    async def test_a_service_that_breaks_down_during_the_search_blames_no_text(
        self, service: EmbeddingService, engine: OpenAiEngine
    ) -> None:
        broken = Reply({"error": "out of memory"}, 500)
        service.script += [always(broken), behave]
        service.always = always(broken)
        with pytest.raises(ServiceUnavailable, match="rejects every text: out of memory"):
            await engine.embed_documents(["a", "b"])

    async def test_one_text_alone(self, engine: OpenAiEngine) -> None:
        [refused] = await engine.embed_documents([POISON])
        assert isinstance(refused, EmbeddingRefused)

    @pytest.mark.parametrize("status", [400, 413, 422, 424, 500])
    async def test_an_error_once_is_no_refusal(
        self, service: EmbeddingService, engine: OpenAiEngine, status: int
    ) -> None:
        service.script.append(always(Reply({"error": "hiccup"}, status)))
        assert answered(await engine.embed_documents(["a", "b"]), ["a", "b"])

    async def test_a_request_too_large_is_halved(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        service.always = lambda request: behave(request) if len(request.texts) <= 3 else Reply(b"", 413)
        texts = [f"text {n}" for n in range(16)]
        assert answered(await engine.embed_documents(texts), texts)

    @pytest.mark.parametrize("status", [400, 500])
    async def test_a_service_that_rejects_everything_blames_no_text(
        self, service: EmbeddingService, engine: OpenAiEngine, status: int
    ) -> None:
        service.always = always(Reply({"error": {"message": "dimensions are not supported"}}, status))
        with pytest.raises(ServiceUnavailable, match="rejects every text: dimensions are not supported"):
            await engine.embed_documents(["a", "b", "c"])
        assert [request.texts for request in service.requests] == [["a", "b", "c"], [HARMLESS]]

    async def test_a_refused_query_is_the_callers_mistake(self, engine: OpenAiEngine) -> None:
        with pytest.raises(InvalidRequest, match="input refused"):
            await engine.embed_query(POISON)


class TestFailures:
    async def test_a_rate_limit_says_for_how_long(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        service.script.append(always(Reply({"error": {"message": "slow down"}}, 429, {"Retry-After": "7"})))
        with pytest.raises(RateLimited, match="slow down") as caught:
            await engine.embed_documents(["a"])
        assert caught.value.retry_after == 7

    async def test_a_rate_limit_may_name_a_date(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        service.script.append(always(Reply(b"", 429, {"Retry-After": date})))
        with pytest.raises(RateLimited) as caught:
            await engine.embed_documents(["a"])
        assert caught.value.retry_after == pytest.approx(90, abs=5)

    async def test_while_a_rate_limit_lasts_nothing_is_asked(
        self, service: EmbeddingService, engine: OpenAiEngine
    ) -> None:
        service.script.append(always(Reply(b"", 429, {"Retry-After": "30"})))
        for _ in range(3):
            with pytest.raises(RateLimited) as caught:
                await engine.embed_documents(["a"])
            assert caught.value.retry_after == pytest.approx(30, abs=5)
        assert len(service.requests) == 1

    async def test_after_a_rate_limit_the_work_goes_on(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        service.script.append(always(Reply(b"", 429, {"Retry-After-Ms": "1"})))
        with pytest.raises(RateLimited):
            await engine.embed_documents(["a"])
        async with asyncio.timeout(5):
            while len(service.requests) < 2:
                with suppress(RateLimited):
                    assert answered(await engine.embed_documents(["a"]), ["a"])

    @pytest.mark.parametrize("header", ["soon", "", "nan", "Mon, 99 Foo 2026 25:61:00 GMT"])
    async def test_a_wait_that_nobody_can_read_is_none(
        self, service: EmbeddingService, engine: OpenAiEngine, header: str
    ) -> None:
        service.script.append(always(Reply(b"", 429, {"Retry-After": header})))
        with pytest.raises(RateLimited) as caught:
            await engine.embed_documents(["a"])
        assert caught.value.retry_after is None

    @pytest.mark.parametrize("status", [502, 503, 504, 307, 408])
    async def test_a_service_that_is_away(self, service: EmbeddingService, engine: OpenAiEngine, status: int) -> None:
        service.script.append(always(Reply(b"away", status, {"Retry-After": "2"})))
        with pytest.raises(ServiceUnavailable, match=f"{status}: away") as caught:
            await engine.embed_documents(["a"])
        assert caught.value.retry_after == 2
        assert answered(await engine.embed_documents(["a"]), ["a"])

    @pytest.mark.parametrize(
        ("status", "setting"),
        [
            (401, "PENSTOCK_EMBEDDING_API_KEY"),
            (403, "PENSTOCK_EMBEDDING_API_KEY"),
            (404, "PENSTOCK_EMBEDDING_MODEL"),
        ],
    )
    async def test_a_wrong_setting_is_named_and_the_key_is_not(
        self,
        service: EmbeddingService,
        engine: OpenAiEngine,
        caplog: pytest.LogCaptureFixture,
        *,
        status: int,
        setting: str,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        service.script.append(always(Reply({"error": {"message": f"bad key {KEY}"}}, status)))
        with pytest.raises(ServiceUnavailable, match=setting) as caught:
            await engine.embed_documents(["a"])
        assert KEY not in str(caught.value)
        assert KEY not in caplog.text

    async def test_a_connection_cut_in_the_answer_is_tried_once_more(
        self, service: EmbeddingService, engine: OpenAiEngine
    ) -> None:
        service.script.append(lambda request: Reply(behave(request).body, cut_at=20))
        assert answered(await engine.embed_documents(["a"]), ["a"])

    async def test_a_connection_that_is_always_cut(self, service: EmbeddingService, engine: OpenAiEngine) -> None:
        service.always = lambda request: Reply(behave(request).body, cut_at=20)
        with pytest.raises(ServiceUnavailable, match="cannot be reached"):
            await engine.embed_documents(["a"])
        assert len(service.requests) == 2

    async def test_a_service_that_never_answers(self, service: EmbeddingService) -> None:
        engine = await OpenAiEngine.connect(settings_for(service, timeout_seconds=0.05))
        service.script.append(lambda _: None)
        with pytest.raises(ServiceUnavailable, match=r"did not answer in 0\.05 s"):
            await engine.embed_documents(["a"])
        await engine.close()

    async def test_nobody_listens(self) -> None:
        async with embedding_service() as service:
            settings = settings_for(service)
        engine = await OpenAiEngine.connect(settings)
        with pytest.raises(ServiceUnavailable, match="cannot be reached"):
            await engine.embed_query("a")
        await engine.close()

    async def test_a_service_that_is_away_at_the_start(self, service: EmbeddingService) -> None:
        service.script.append(always(Reply(b"", 503)))
        with pytest.raises(ServiceUnavailable):
            await OpenAiEngine.connect(settings_for(service, dimensions=None))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"url": "ftp://host/v1"}, "https://host/v1"),
        ({"url": "localhost:8080/v1"}, "https://host/v1"),
        ({"url": "http://[::1"}, "not a URL"),
        ({"url": "https://user:hunter2@host/v1"}, "API_KEY"),
        ({"api_key": SecretStr("sk-\nhunter2")}, "no key has"),
        ({"api_key": SecretStr("sk-\u00e9hunter2")}, "no key has"),
    ],
)
async def test_impossible_settings_are_refused_at_the_start_without_showing_secrets(
    fields: dict[str, object], problem: str
) -> None:
    settings = EmbeddingSettings.model_validate({"url": "http://127.0.0.1:9/v1", "dimensions": 8} | fields)
    with pytest.raises(InvalidSettings, match=problem) as caught:
        await OpenAiEngine.connect(settings)
    assert "hunter2" not in str(caught.value)
