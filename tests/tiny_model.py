"""A BERT encoder small enough to write in a test, and the same arithmetic in plain NumPy to compare with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import erf
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

Array = NDArray[Any]

CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 40,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 64,
}
SEQUENCE_LENGTH = 30
"""What sentence_bert_config.json says; less than the 40 positions."""


def write_model(folder: Path, *, pooling: str = "mean_tokens", **config: object) -> Path:
    """A complete model folder with random weights, laid out as on the model hub."""
    merged: dict[str, Any] = {**CONFIG, **config}
    (folder / "1_Pooling").mkdir(parents=True)
    files: dict[str, Any] = {
        "config.json": merged,
        "sentence_bert_config.json": {"max_seq_length": SEQUENCE_LENGTH},
        "tokenizer_config.json": {"model_max_length": 1000000000000000019884624838656},
        "1_Pooling/config.json": {f"pooling_mode_{pooling}": True, "pooling_mode_max_tokens": False},
        "modules.json": [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling")],
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    _tokenizer(merged["vocab_size"]).save(str(folder / "tokenizer.json"))
    write_safetensors(folder / "model.safetensors", random_weights(merged))
    return folder


def _tokenizer(size: int) -> Tokenizer:
    """Words `w0`, `w1`, …; with padding and truncation switched on, as published models have it."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3} | {f"w{n}": n + 4 for n in range(size - 4)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(8)  # pyright: ignore[reportUnknownMemberType]  (its stub leaves `kwargs` untyped)
    tokenizer.enable_padding(length=8)  # pyright: ignore[reportUnknownMemberType]  (as above)
    return tokenizer


def random_weights(config: dict[str, Any]) -> dict[str, Array]:
    random = np.random.default_rng(7)
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], hidden),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    for n in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        dense = {f"attention.self.{part}": (hidden, hidden) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (hidden, hidden), "intermediate.dense": (wide, hidden)}
        dense |= {"output.dense": (hidden, wide)}
        for name, shape in dense.items():
            shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{layer}.{name}.weight": (hidden,), f"{layer}.{name}.bias": (hidden,)}
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def write_safetensors(file: Path, tensors: dict[str, Array], *, dtype: str = "F32") -> None:
    """By the format's description, not by the reader under test; `tensors` hold the numbers as they are stored."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs: list[bytes] = []
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
        blobs.append(tensor.tobytes())
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    file.write_bytes(len(encoded).to_bytes(8, "little") + encoded + b"".join(blobs))


@dataclass(frozen=True)
class ReferenceEncoder:
    """BERT in float64, one text at a time, so that there is no padding to get wrong."""

    config: dict[str, Any]
    weights: dict[str, Array]
    pooling: str = "mean"

    def embed(self, ids: list[int]) -> NDArray[np.float64]:
        hidden: Array = (
            self.weights["embeddings.word_embeddings.weight"][ids]
            + self.weights["embeddings.position_embeddings.weight"][: len(ids)]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        ).astype(np.float64)
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for n in range(self.config["num_hidden_layers"]):
            hidden = self._layer(hidden, f"encoder.layer.{n}")
        pooled: NDArray[np.float64] = hidden.mean(axis=0) if self.pooling == "mean" else hidden[0]
        return pooled / float(np.linalg.norm(pooled))

    def _layer(self, hidden: Array, layer: str) -> Array:
        attended = self._dense(self._attention(hidden, f"{layer}.attention.self"), f"{layer}.attention.output.dense")
        hidden = self._norm(hidden + attended, f"{layer}.attention.output.LayerNorm")
        wide = self._gelu(self._dense(hidden, f"{layer}.intermediate.dense"))
        return self._norm(hidden + self._dense(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")

    def _attention(self, hidden: Array, name: str) -> Array:
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self._dense(hidden, f"{name}.{part}").reshape(len(hidden), heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ value).swapaxes(0, 1).reshape(len(hidden), -1)

    def _dense(self, hidden: Array, name: str) -> Array:
        return hidden @ self.weights[f"{name}.weight"].T.astype(np.float64) + self.weights[f"{name}.bias"]

    def _norm(self, hidden: Array, name: str) -> Array:
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _gelu(self, hidden: Array) -> Array:
        if self.config["hidden_act"] == "gelu":
            return hidden * 0.5 * (1 + cast("Array", np.interp(hidden / np.sqrt(2), _ERF_AT, _ERF)))
        return 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))


_ERF_AT = np.linspace(-6, 6, 48_001)
_ERF = np.array([erf(x) for x in _ERF_AT])
"""Between these points linear interpolation is wrong by less than 1e-8."""
