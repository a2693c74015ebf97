"""What every embedding engine does for Penstock: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Shape (texts, dimensions), each row of length 1."""


class EmbeddingEngine(Protocol):
    """One model, somewhere. Thread-free for its callers: all calls come from one event loop."""

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

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts to be found, in the order given.

        Raises `EmbeddingRefused` when the engine will never take one of the texts, `RateLimited` or
        `ServiceUnavailable` when it may take them later.
        """
        ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Vector of a query, shape (dimensions,)."""
        ...

    async def close(self) -> None: ...
