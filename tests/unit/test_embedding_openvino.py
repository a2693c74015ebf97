"""The local engine against the same arithmetic in NumPy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_model import CONFIG, SEQUENCE_LENGTH, ReferenceEncoder, random_weights, write_model, write_safetensors

from penstock.embedding.model import LocalModel, load_tokenizer, locate_model
from penstock.embedding.model_files import DEFAULT_MODEL_PACKAGE
from penstock.embedding.openvino import OpenVinoEngine, similar_lengths
from penstock.embedding.safetensors import read_weights
from penstock.errors import EmbeddingRefused, InvalidRequest, ModelUnavailable
from penstock.settings import EmbeddingSettings

PROSE = (
    "Water flows from the reservoir through the penstock to the turbines. In fiscal 2023, net sales were $14.2 "
    "billion (2022: $13.9 billion), of which 38% came from outside the Americas; see Note 7. Die Größe der Öffnung "
    "bestimmt den Durchfluss. The quick brown fox jumps over the lazy dog, again & again, until it's bored. "
)


def open_tiny(folder: Path, **fields: object) -> OpenVinoEngine:
    settings = EmbeddingSettings.model_validate({"model": str(folder), "precision": "f32"} | fields)
    return OpenVinoEngine(locate_model(settings), settings)


async def embed(engine: OpenVinoEngine, texts: Sequence[str]) -> NDArray[np.float32]:
    embedded = await engine.embed_documents(texts)
    await engine.close()
    return np.stack([vector for vector in embedded if not isinstance(vector, EmbeddingRefused)])


def reference(model: LocalModel, texts: Sequence[str]) -> NDArray[np.float64]:
    tokenizer = load_tokenizer(model.tokenizer_file)
    encoder = ReferenceEncoder(model.config(), dict(read_weights(model.weights_file)), model.pooling)
    return np.stack([encoder.embed(tokenizer.encode(text).ids) for text in texts])


def cosines(vectors: NDArray[np.float32], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    return (vectors.astype(np.float64) * expected).sum(axis=1) / np.linalg.norm(vectors, axis=1)


@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new"])
async def test_computes_what_bert_computes(tmp_path: Path, pooling: str, activation: str) -> None:
    folder = write_model(tmp_path / "tiny", pooling=pooling, hidden_act=activation)
    texts = [" ".join(f"w{(7 * n + k) % 60}" for k in range(n)) for n in range(1, SEQUENCE_LENGTH - 1)]
    vectors = await embed(open_tiny(folder), texts)
    model = locate_model(EmbeddingSettings(model=str(folder)))
    assert cosines(vectors, reference(model, texts)).min() > 0.999999


@pytest.mark.skipif(find_spec(DEFAULT_MODEL_PACKAGE) is None, reason="install penstock[model]")
@pytest.mark.parametrize("precision", ["auto", "f32"])
async def test_the_default_model_is_as_good_as_its_reference(precision: str) -> None:
    settings = EmbeddingSettings.model_validate({"precision": precision})
    model = locate_model(settings)
    texts = ["a", "penstock", *(PROSE[start : start + size] for start, size in [(0, 68), (69, 120), (190, 200)])]
    texts += [PROSE, (PROSE * 4)[:800]]
    vectors = await embed(OpenVinoEngine(model, settings), texts)
    assert cosines(vectors, reference(model, texts)).min() > (0.9999 if precision == "auto" else 0.999999)


async def test_a_text_of_exactly_the_limit_is_taken_and_a_longer_one_refused_by_its_length(tmp_path: Path) -> None:
    engine = open_tiny(write_model(tmp_path / "tiny"))
    fits, too_long = await engine.embed_documents(["w1 " * 28, "w1 " * 29])
    assert isinstance(fits, np.ndarray)
    assert isinstance(too_long, EmbeddingRefused)
    assert "A text of 29 tokens is longer than the 28 that tiny takes" in too_long.message
    with pytest.raises(InvalidRequest, match="longer than the 28 tokens that tiny takes"):
        await engine.embed_query("w1 " * 29)
    await engine.close()


async def test_the_query_prompt_stands_before_the_query(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "w9 w8 "}}))
    engine = open_tiny(folder)
    [expected] = await engine.embed_documents(["w9 w8 w1"])
    assert np.array_equal(await engine.embed_query("w1"), np.asarray(expected))
    await engine.close()


async def test_the_event_loop_stays_free(tmp_path: Path) -> None:
    engine = open_tiny(write_model(tmp_path / "tiny"))
    call = asyncio.create_task(engine.embed_documents(["w1 w2 w3"] * 2000))
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert len(await call) == 2000
    await engine.close()


class TestWeights:
    def test_half_precision_is_widened(self, tmp_path: Path) -> None:
        numbers = np.array([[1.5, -2.0], [0.25, 384.0]], np.float32)
        write_safetensors(tmp_path / "f16", {"t": numbers.astype(np.float16)}, dtype="F16")
        write_safetensors(tmp_path / "bf16", {"t": (numbers.view(np.uint32) >> 16).astype(np.uint16)}, dtype="BF16")
        for name in ("f16", "bf16"):
            [tensor] = read_weights(tmp_path / name).values()
            assert tensor.dtype == np.float32
            assert np.array_equal(tensor, numbers)

    def test_whole_numbers_are_left_out(self, tmp_path: Path) -> None:
        write_safetensors(tmp_path / "ids", {"position_ids": np.arange(4)}, dtype="I64")
        assert read_weights(tmp_path / "ids") == {}

    @pytest.mark.parametrize("size", [0, 4, 20, 3000, -8])
    def test_a_file_that_is_cut_off_is_an_error(self, tmp_path: Path, size: int) -> None:
        file = write_model(tmp_path / "tiny") / "model.safetensors"
        file.write_bytes(file.read_bytes()[:size])
        with pytest.raises(ValueError, match=r"cut off|ends at byte|empty|JSON|Expecting"):
            read_weights(file)

    @pytest.mark.parametrize("header", [[], {"t": 3}, {"t": {"dtype": "F32"}}, {"t": {"dtype": "F32", "shape": [9]}}])
    def test_a_header_of_another_form_is_an_error(self, tmp_path: Path, header: object) -> None:
        encoded = json.dumps(header).encode()
        (tmp_path / "odd").write_bytes(len(encoded).to_bytes(8, "little") + encoded)
        with pytest.raises(ValueError, match="another form"):
            read_weights(tmp_path / "odd")


class TestUnusableModels:
    def test_another_architecture(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match="architecture roberta"):
            open_tiny(write_model(tmp_path / "tiny", model_type="roberta"))

    def test_relative_positions(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match="relative_key"):
            open_tiny(write_model(tmp_path / "tiny", position_embedding_type="relative_key"))

    def test_another_activation(self, tmp_path: Path) -> None:
        with pytest.raises(ModelUnavailable, match="activation silu"):
            open_tiny(write_model(tmp_path / "tiny", hidden_act="silu"))

    def test_a_weight_is_missing(self, tmp_path: Path) -> None:
        weights = random_weights(CONFIG)
        del weights["encoder.layer.1.output.dense.bias"]
        folder = write_model(tmp_path / "tiny")
        write_safetensors(folder / "model.safetensors", weights)
        with pytest.raises(ModelUnavailable, match=r"lack encoder\.layer\.1\.output\.dense\.bias"):
            open_tiny(folder)

    def test_weights_of_another_size(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "tiny")
        wrong = random_weights(CONFIG) | {"encoder.layer.0.intermediate.dense.bias": np.zeros(7, np.float32)}
        write_safetensors(folder / "model.safetensors", wrong)
        with pytest.raises(ModelUnavailable, match="damaged"):
            open_tiny(folder)

    def test_weights_that_are_cut_off(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "tiny")
        (folder / "model.safetensors").write_bytes(b"\x00" * 9)
        with pytest.raises(ModelUnavailable, match="damaged"):
            open_tiny(folder)

    def test_a_size_is_missing_in_its_configuration(self, tmp_path: Path) -> None:
        folder = write_model(tmp_path / "tiny")
        (folder / "config.json").write_text(json.dumps({k: v for k, v in CONFIG.items() if k != "num_attention_heads"}))
        with pytest.raises(ModelUnavailable, match="num_attention_heads"):
            open_tiny(folder)


def test_weights_named_with_a_prefix_are_the_same_weights(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "tiny")
    prefixed = {f"bert.{name}": tensor for name, tensor in random_weights(CONFIG).items()}
    write_safetensors(folder / "model.safetensors", prefixed)
    assert open_tiny(folder).dimensions == 32


class TestSimilarLengths:
    def test_longest_first_and_padded_within_the_budget(self) -> None:
        assert similar_lengths({0: 5, 1: 9, 2: 1, 3: 9, 4: 5}, tokens=20) == [[1, 3], [0, 4, 2]]

    def test_a_text_over_the_budget_goes_alone(self) -> None:
        assert similar_lengths({0: 50, 1: 30, 2: 2}, tokens=20) == [[0], [1], [2]]

    def test_a_much_shorter_text_begins_a_batch_of_its_own(self) -> None:
        # 32 tokens of padding and not more: 16 for each text that is rounded up to 48, so two of the three.
        assert similar_lengths({0: 64, 1: 48, 2: 41, 3: 48}, tokens=1000) == [[0, 1, 3], [2]]
        assert similar_lengths({0: 200, 1: 8, 2: 7, 3: 1}, tokens=1000) == [[0], [1, 2, 3]]

    def test_nothing(self) -> None:
        assert similar_lengths({}) == []

    @given(st.lists(st.integers(1, 300), max_size=80), st.integers(1, 600))
    def test_every_text_is_in_one_batch_within_the_budget(self, lengths: list[int], tokens: int) -> None:
        batches = similar_lengths(dict(enumerate(lengths)), tokens=tokens)
        assert sorted(key for batch in batches for key in batch) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * max(lengths[key] for key in batch) <= tokens
