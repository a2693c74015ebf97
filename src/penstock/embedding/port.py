"""What every embedding engine does for Penstock: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from penstock.errors import EmbeddingRefused

Vector = NDArray[np.float32]
"""Shape (dimensions,), of length 1."""

Embedded = Vector | EmbeddingRefused
"""What became of one text. A refusal is a value here, not raised, so that one bad text costs its
neighbours in the batch nothing."""


def well_formed(text: str) -> str:
    """The text with question marks for lone surrogates, which no encoding of Unicode can carry.

    One of them in a text would otherwise be an error of its whole batch, and for ever.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


class EmbeddingEngine(Protocol):
    """One model, somewhere. Thread-free for its callers: all calls come from one event loop.

    `tests/contract/embedding_contract.py` is the specification that each implementation passes.
    """

    @property
    def model(self) -> str:
        """Name of the model, as recorded beside each vector."""
        ...

    @property
    def revision(self) -> str:
        """Which weights: equal name and revision mean comparable vectors."""
        ...

    @property
    def dimensions(self) -> int: ...

    @property
    def concurrency(self) -> int:
        """How many `embed_documents` calls at once keep the engine busy."""
        ...

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        """What became of each text to be found, in the order given.

        A text that the engine will never take has an `EmbeddingRefused` in its place. Raises
        `RateLimited` or `ServiceUnavailable` when the engine may take them all later.
        """
        ...

    async def embed_query(self, text: str) -> Vector:
        """Vector of a query.

        Raises `InvalidRequest` when the engine will never take it, `RateLimited` or
        `ServiceUnavailable` when it may take it later.
        """
        ...

    async def close(self) -> None: ...
