"""A local model: which weights, how long a text it takes, and how its token vectors become one."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from tokenizers import Tokenizer

from penstock.embedding.model_files import (
    CONFIG,
    MODULES,
    POOLING,
    PROMPTS,
    SENTENCE_CONFIG,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    display_name,
    find_model_folder,
    sha256_of,
)
from penstock.errors import InvalidSettings, ModelUnavailable
from penstock.settings import EmbeddingSettings

Pooling = Literal["mean", "cls"]
"""One vector of a text's token vectors: their mean, or the first one."""

_POOLING_MODES: dict[str, Pooling] = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
"""Steps of a sentence-transformers model that the engine carries out; it always normalises."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model whose files are on this machine. Build with `locate_model()`."""

    folder: Path
    name: str
    """As recorded beside each vector."""
    revision: str
    """First 12 hex digits of the weights' SHA-256."""
    dimensions: int
    max_tokens: int
    """Most tokens of a text, not counting those that the tokenizer puts around it."""
    special_tokens: int
    """How many the tokenizer puts around a text."""
    pooling: Pooling
    query_prompt: str
    """What the model wants to see in front of a query; mostly nothing."""

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def weights_file(self) -> Path:
        return self.folder / WEIGHTS

    def config(self) -> dict[str, Any]:
        """What config.json says of the architecture."""
        return _read_json(self.folder / CONFIG)


def locate_model(settings: EmbeddingSettings) -> LocalModel:
    """The local model that the settings name: a folder, the installed default model, or one of the model hub's.

    Downloads from the hub what is not in its cache. Raises `ModelUnavailable`, which says what was
    tried, and `InvalidSettings` where `max_tokens` is more than the model takes.
    """
    model = _describe(find_model_folder(settings.model), name=display_name(settings.model))
    limit = settings.max_tokens or model.max_tokens
    if limit > model.max_tokens:
        raise InvalidSettings(
            f"PENSTOCK_EMBEDDING_MAX_TOKENS is {limit}: {model.name} takes texts of at most {model.max_tokens} tokens"
        )
    return replace(model, max_tokens=limit)


def load_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, without the padding and truncation that the file may switch on.

    Truncation left on would cut texts without a word. Raises `ModelUnavailable`.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more precise
        raise ModelUnavailable(f"The tokenizer {file} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _describe(folder: Path, *, name: str) -> LocalModel:
    special_tokens = load_tokenizer(folder / TOKENIZER).num_special_tokens_to_add(is_pair=False)
    return LocalModel(
        folder=folder,
        name=name,
        revision=sha256_of(folder / WEIGHTS)[:12],
        dimensions=int(_read_json(folder / CONFIG).get("hidden_size", 0)),
        max_tokens=_longest_sequence(folder) - special_tokens,
        special_tokens=special_tokens,
        pooling=_pooling(folder),
        query_prompt=_query_prompt(folder),
    )


def _longest_sequence(folder: Path) -> int:
    """Tokens, special ones included: the least of what the model's files say."""
    limits = [
        _read_json(folder / SENTENCE_CONFIG).get("max_seq_length"),
        _read_json(folder / CONFIG).get("max_position_embeddings"),
        _read_json(folder / TOKENIZER_CONFIG).get("model_max_length"),
    ]
    known = [int(limit) for limit in limits if limit]
    if not known:
        raise ModelUnavailable(f"The model folder {folder} does not say how long a text may be")
    return min(known)


def _pooling(folder: Path) -> Pooling:
    modules = cast("list[dict[str, str]]", _read_json(folder / MODULES) or [])
    unknown = {module["type"].rpartition(".")[2] for module in modules} - _KNOWN_MODULES
    if unknown:
        raise ModelUnavailable(f"The model {folder} has steps that Penstock does not know: {', '.join(unknown)}")
    config = _read_json(folder / POOLING)
    if not config:
        return "mean"
    switched_on = [mode for mode, on in config.items() if mode.startswith("pooling_mode_") and on is True]
    if len(switched_on) != 1 or switched_on[0] not in _POOLING_MODES:
        raise ModelUnavailable(f"The model {folder} pools by {switched_on}; Penstock knows {list(_POOLING_MODES)}")
    return _POOLING_MODES[switched_on[0]]


def _query_prompt(folder: Path) -> str:
    prompts = cast("dict[str, str]", _read_json(folder / PROMPTS).get("prompts") or {})
    return prompts.get("query") or ""


def _read_json(file: Path) -> Any:
    """The file's content; an empty object where there is no such file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelUnavailable(f"{file} is not JSON: {error}") from error
