"""The engine that needs no model, as its address describes it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from penstock.embedding import open_engine, recipe
from penstock.embedding.fake import FakeEngine
from penstock.errors import InvalidSettings
from penstock.settings import EmbeddingSettings, load_settings


async def test_its_address_says_what_it_is() -> None:
    engine = await open_engine(EmbeddingSettings(model="fake://12?latency_ms=30", concurrency=5))
    assert isinstance(engine, FakeEngine)
    assert (engine.dimensions, engine.concurrency) == (12, 5)
    began = time.perf_counter()
    await engine.embed_documents(["a"])
    assert time.perf_counter() - began >= 0.025


@pytest.mark.parametrize("model", ["fake://", "fake://many", "fake://0", "fake://-3", "fake://8?latency_ms=soon"])
async def test_an_address_that_describes_no_engine(model: str) -> None:
    with pytest.raises(InvalidSettings, match="PENSTOCK_EMBEDDING_MODEL is fake://"):
        await open_engine(EmbeddingSettings(model=model))


async def test_other_texts_are_as_good_as_orthogonal() -> None:
    engine = FakeEngine(384)
    vectors = np.stack([await engine.embed_query(f"text {n}") for n in range(50)])
    assert np.abs((vectors @ vectors.T)[~np.eye(50, dtype=bool)]).max() < 0.3


def test_chunks_for_it_are_cut_by_the_tokenizer_that_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    tokenizer = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.write_text("{}")
    variables = {"PENSTOCK_EMBEDDING_MODEL": "fake://8", "PENSTOCK_EMBEDDING_TOKENIZER": str(tokenizer)}
    assert recipe(load_settings(variables)).tokenizer_file == tokenizer
