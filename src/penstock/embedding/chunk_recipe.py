"""How the chunker must cut, so that the model takes every Chunk."""

from __future__ import annotations

from pathlib import Path

from penstock.chunking.recipe import ChunkRecipe
from penstock.embedding.fake import FAKE_SCHEME
from penstock.embedding.model import locate_model
from penstock.embedding.model_files import DEFAULT_MODEL, TOKENIZER, find_model_folder
from penstock.errors import InvalidSettings, ModelUnavailable
from penstock.settings import EmbeddingSettings, Settings

REMOTE_MAX_TOKENS = 510
"""What a remote model takes where nobody says: BERT's 512 less two special tokens. Longer Chunks than that
find worse, even where the model takes them."""


def recipe(settings: Settings) -> ChunkRecipe:
    """Tokenizer and budget of the settings' model.

    Raises `InvalidSettings` where Chunks would be longer than the model takes, and `ModelUnavailable`
    where the tokenizer is not to be found.
    """
    tokenizer_file, most_tokens = _limits(settings.embedding)
    max_tokens = settings.chunking.max_tokens or most_tokens
    if max_tokens > most_tokens:
        raise InvalidSettings(
            f"PENSTOCK_CHUNKING_MAX_TOKENS is {max_tokens}: {settings.embedding.model} takes texts of at most "
            f"{most_tokens} tokens"
        )
    try:
        return ChunkRecipe(tokenizer_file, max_tokens, settings.chunking.overlap_tokens)
    except ValueError as error:
        raise InvalidSettings(f"PENSTOCK_CHUNKING_*: {error}") from error


def _limits(settings: EmbeddingSettings) -> tuple[Path, int]:
    """The file that counts tokens, and the most of them that the model takes."""
    if _runs_elsewhere(settings):
        return _remote_tokenizer(settings), settings.max_tokens or REMOTE_MAX_TOKENS
    model = locate_model(settings)
    return model.tokenizer_file, model.max_tokens


def _runs_elsewhere(settings: EmbeddingSettings) -> bool:
    """Whether the model is not one whose files this machine needs."""
    return settings.url is not None or settings.model.startswith(FAKE_SCHEME)


def _remote_tokenizer(settings: EmbeddingSettings) -> Path:
    if settings.tokenizer is None:
        return find_model_folder(DEFAULT_MODEL, files=[TOKENIZER]) / TOKENIZER
    file = Path(settings.tokenizer).expanduser()
    if not file.is_file():
        raise ModelUnavailable(f"PENSTOCK_EMBEDDING_TOKENIZER names the file {file}, which is not there")
    return file
