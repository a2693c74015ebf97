"""What decides how a text is cut: equal recipes cut equal texts equally."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHARACTERS_PER_TOKEN = 16
"""English has about 4.5. A model sees a run of blanks as nothing and a word of 5,000 letters as one unknown
token: without a limit on characters a Chunk of a hundred tokens could be as long as the file."""


@dataclass(frozen=True, slots=True)
class ChunkRecipe:
    """How to cut. Token counts are those of `tokenizer_file`, without the tokens a model puts around a text."""

    tokenizer_file: Path
    """A `tokenizer.json` of the model that will embed the Chunks."""
    max_tokens: int
    """Most tokens of a Chunk: what the model takes less its special tokens (254 for all-MiniLM-L6-v2)."""
    overlap_tokens: int = 0
    """The next Chunk starts up to so many tokens before the end of the last."""

    def __post_init__(self) -> None:
        if self.max_tokens < 16:
            # One character can be four tokens (bytes, Hangul), so that small budgets cannot always be kept.
            raise ValueError(f"max_tokens is {self.max_tokens}: allowed is 16 and more")
        if not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            raise ValueError(
                f"overlap_tokens is {self.overlap_tokens}: allowed is 0 to {self.max_tokens // 2}, half of max_tokens"
            )

    @property
    def max_characters(self) -> int:
        return self.max_tokens * CHARACTERS_PER_TOKEN

    @property
    def overlap_characters(self) -> int:
        return self.overlap_tokens * CHARACTERS_PER_TOKEN
