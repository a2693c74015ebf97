"""What every implementation of the embedding port must do; each engine's tests inherit it.

An implementation provides the fixture `engine`, and `unacceptable`: a text that it will never take.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from penstock.embedding.port import EmbeddingEngine, Vector
from penstock.errors import EmbeddingRefused, InvalidRequest

TEXTS = [
    "The valve is open.",
    "Rain",
    "Ein Satz mit Umlauten: Öl, Straße.",
    "水は流れる",
    "\N{POTABLE WATER SYMBOL} x",
    "word " * 60,
]


def as_vectors(embedded: list[Vector | EmbeddingRefused]) -> list[Vector]:
    vectors = [outcome for outcome in embedded if not isinstance(outcome, EmbeddingRefused)]
    assert len(vectors) == len(embedded)
    return vectors


class EmbeddingContract:
    async def test_gives_a_float32_unit_vector_for_each_text(self, engine: EmbeddingEngine) -> None:
        vectors = as_vectors(await engine.embed_documents(TEXTS))
        assert [vector.shape for vector in vectors] == [(engine.dimensions,)] * len(TEXTS)
        assert {vector.dtype for vector in vectors} == {np.dtype(np.float32)}
        assert np.allclose([np.linalg.norm(vector) for vector in vectors], 1, atol=1e-4)

    async def test_keeps_the_order(self, engine: EmbeddingEngine) -> None:
        forwards = as_vectors(await engine.embed_documents(TEXTS))
        backwards = as_vectors(await engine.embed_documents(TEXTS[::-1]))
        for vector, again in zip(forwards, reversed(backwards), strict=True):
            assert float(vector @ again) > 0.999

    async def test_different_texts_have_different_vectors(self, engine: EmbeddingEngine) -> None:
        vectors = np.stack(as_vectors(await engine.embed_documents(TEXTS)))
        similarity = vectors @ vectors.T
        assert similarity[~np.eye(len(TEXTS), dtype=bool)].max() < 0.999

    async def test_the_same_batch_gives_the_same_vectors(self, engine: EmbeddingEngine) -> None:
        first = as_vectors(await engine.embed_documents(TEXTS))
        assert np.array_equal(first, as_vectors(await engine.embed_documents(TEXTS)))

    async def test_takes_more_texts_than_one_batch_holds(self, engine: EmbeddingEngine) -> None:
        texts = [f"Chunk number {n}." for n in range(150)]
        assert len(as_vectors(await engine.embed_documents(texts))) == 150

    async def test_takes_no_texts(self, engine: EmbeddingEngine) -> None:
        assert await engine.embed_documents([]) == []

    async def test_refuses_a_bad_text_and_embeds_its_neighbours(
        self, engine: EmbeddingEngine, unacceptable: str
    ) -> None:
        texts = [*TEXTS[:3], unacceptable, *TEXTS[3:]]
        embedded = await engine.embed_documents(texts)
        assert isinstance(embedded[3], EmbeddingRefused)
        assert len(as_vectors(embedded[:3] + embedded[4:])) == len(TEXTS)

    async def test_half_a_character_harms_nobody(self, engine: EmbeddingEngine) -> None:
        embedded = await engine.embed_documents(["cut in two: \ud83d", "whole", "", "\x00"])
        assert len(as_vectors(embedded[:2])) == 2

    async def test_a_bad_query_is_the_callers_mistake(self, engine: EmbeddingEngine, unacceptable: str) -> None:
        with pytest.raises(InvalidRequest):
            await engine.embed_query(unacceptable)

    async def test_a_query_compares_with_documents(self, engine: EmbeddingEngine) -> None:
        [vector, other] = as_vectors(await engine.embed_documents(["The valve is open.", "Quarterly revenue"]))
        query = await engine.embed_query("The valve is open.")
        assert query.shape == (engine.dimensions,)
        assert float(query @ vector) > 0.99 > float(query @ other)

    async def test_calls_side_by_side_do_not_mix(self, engine: EmbeddingEngine) -> None:
        alone = [as_vectors(await engine.embed_documents([text])) for text in TEXTS]
        together = await asyncio.gather(*(engine.embed_documents([text]) for text in TEXTS))
        for [vector], embedded in zip(alone, together, strict=True):
            assert np.array_equal(vector, as_vectors(embedded)[0])

    async def test_a_cancelled_call_leaves_the_engine_usable(self, engine: EmbeddingEngine) -> None:
        call = asyncio.create_task(engine.embed_documents(TEXTS * 20))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert len(await engine.embed_documents(TEXTS)) == len(TEXTS)

    async def test_says_what_it_is(self, engine: EmbeddingEngine) -> None:
        assert engine.model
        assert engine.revision
        assert engine.dimensions > 0
        assert engine.concurrency > 0
