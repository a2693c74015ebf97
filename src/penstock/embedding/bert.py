"""The graph of a BERT-type encoder, built from its weights with OpenVINO's operations.

    token ids ─▶ word + position + type embeddings ─▶ layer norm
              ─▶ layers x (self-attention ─▶ add, norm ─▶ feed-forward ─▶ add, norm)
              ─▶ pooling ─▶ L2 normalisation

Names of tensors and settings are those of Hugging Face's `BertModel`. Built directly, a model needs
neither torch nor an exported ONNX file.
"""
# OpenVINO's operations come out of decorators that its stubs leave untyped; the stub of `ov.Model` contradicts itself:
# pyright: reportUnknownMemberType=false, reportGeneralTypeIssues=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops

from penstock.embedding.model import Pooling
from penstock.embedding.safetensors import Weights
from penstock.errors import ModelUnavailable

_ACTIVATIONS: dict[str, Literal["erf", "tanh"]] = {
    "gelu": "erf",
    "gelu_new": "tanh",
    "gelu_pytorch_tanh": "tanh",
}
_HIDDEN_FROM_ATTENTION = np.float32(-1e4)
"""Added to the score of padding: e^-10000 is 0, and bfloat16 still holds it."""


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of an encoder."""

    hidden: int
    layers: int
    heads: int
    epsilon: float
    gelu: Literal["erf", "tanh"]

    @classmethod
    def of(cls, config: dict[str, Any], *, name: str) -> BertShape:
        """From config.json. Raises `ModelUnavailable` for what this graph cannot express."""
        kind, positions = config.get("model_type"), config.get("position_embedding_type", "absolute")
        if kind != "bert" or positions != "absolute":
            raise ModelUnavailable(
                f"{name} is of the architecture {kind} with {positions} positions; the local engine runs BERT with "
                "absolute ones. Choose another model, or let a service run this one and set PENSTOCK_EMBEDDING_URL"
            )
        if config.get("hidden_act") not in _ACTIVATIONS:
            raise ModelUnavailable(
                f"{name} uses the activation {config.get('hidden_act')}, which Penstock does not know"
            )
        return cls(
            hidden=config["hidden_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            epsilon=config["layer_norm_eps"],
            gelu=_ACTIVATIONS[config["hidden_act"]],
        )


def build_encoder(shape: BertShape, weights: Weights, *, pooling: Pooling) -> ov.Model:
    """A model of two inputs, token ids (int32) and mask (float32, 1 for a token and 0 for padding), both of shape
    (texts, tokens), and one output of shape (texts, hidden): float32 rows of length 1.

    Raises `ModelUnavailable` where a weight is missing.
    """
    return _Encoder(shape, {name.removeprefix("bert."): tensor for name, tensor in weights.items()}).build(pooling)


class _Encoder:
    """The operations of one encoder, over its weights."""

    def __init__(self, shape: BertShape, weights: Weights) -> None:
        self._shape = shape
        self._weights = weights

    def build(self, pooling: Pooling) -> ov.Model:
        ids = ops.parameter([-1, -1], np.int32, name="ids")
        mask = ops.parameter([-1, -1], np.float32, name="mask")
        hidden = self._embed(ids)
        bias = self._attention_bias(mask)
        for layer in range(self._shape.layers):
            hidden = self._layer(hidden, bias, f"encoder.layer.{layer}")
        pooled = _mean(hidden, mask) if pooling == "mean" else ops.gather(hidden, np.int64(0), np.int64(1))
        return ov.Model([ops.normalize_l2(pooled, np.array([1]), 1e-12, "max")], [ids, mask], "encoder")

    def _embed(self, ids: ov.Node) -> ov.Node:
        words = ops.gather(self._weight("embeddings.word_embeddings.weight"), ids, np.int64(0))
        length = ops.gather(ops.shape_of(ids), np.array([1]), np.int64(0))
        positions = ops.slice(
            self._weight("embeddings.position_embeddings.weight"), np.array([0]), length, np.array([1]), np.array([0])
        )
        first_type = ops.gather(self._weight("embeddings.token_type_embeddings.weight"), np.int64(0), np.int64(0))
        return self._norm(ops.add(ops.add(words, positions), first_type), "embeddings.LayerNorm")

    def _attention_bias(self, mask: ov.Node) -> ov.Node:
        """Shape (texts, 1, 1, tokens): 0 for a token, very low for padding."""
        padding = ops.subtract(np.float32(1), mask)
        return ops.unsqueeze(ops.multiply(padding, _HIDDEN_FROM_ATTENTION), np.array([1, 2]))

    def _layer(self, hidden: ov.Node, bias: ov.Node, name: str) -> ov.Node:
        attended = self._linear(
            self._attention(hidden, bias, f"{name}.attention.self"), f"{name}.attention.output.dense"
        )
        hidden = self._norm(ops.add(hidden, attended), f"{name}.attention.output.LayerNorm")
        wide = ops.gelu(self._linear(hidden, f"{name}.intermediate.dense"), self._shape.gelu)
        return self._norm(ops.add(hidden, self._linear(wide, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def _attention(self, hidden: ov.Node, bias: ov.Node, name: str) -> ov.Node:
        heads, size = self._shape.heads, self._shape.hidden // self._shape.heads
        # Query, key and value in one product, which reads the hidden values once.
        weights, shifts = self._joined(name, "weight"), self._joined(name, "bias")
        projected = ops.add(ops.matmul(hidden, weights, transpose_a=False, transpose_b=True), shifts)
        apart = ops.reshape(projected, np.array([0, 0, 3, heads, size]), special_zero=True)
        by_head = ops.transpose(apart, np.array([2, 0, 3, 1, 4]))  # (3, texts, heads, tokens, size)
        query, key, value = (ops.gather(by_head, np.int64(part), np.int64(0)) for part in range(3))
        attended = ops.scaled_dot_product_attention(query, key, value, bias, np.float32(1))
        joined = ops.transpose(attended, np.array([0, 2, 1, 3]))
        return ops.reshape(joined, np.array([0, 0, self._shape.hidden]), special_zero=True)

    def _linear(self, hidden: ov.Node, name: str) -> ov.Node:
        product = ops.matmul(hidden, self._weight(f"{name}.weight"), transpose_a=False, transpose_b=True)
        return ops.add(product, self._weight(f"{name}.bias"))

    def _norm(self, hidden: ov.Node, name: str) -> ov.Node:
        centred = ops.mvn(hidden, np.array([-1]), True, self._shape.epsilon, "INSIDE_SQRT")  # noqa: FBT003
        return ops.add(ops.multiply(centred, self._weight(f"{name}.weight")), self._weight(f"{name}.bias"))

    def _joined(self, name: str, kind: Literal["weight", "bias"]) -> ov.Node:
        """The projections to query, key and value, one below the other. The scores' scale, the root of a head's size,
        is in the query's already.
        """
        query, key, value = (self._tensor(f"{name}.{part}.{kind}") for part in ("query", "key", "value"))
        scale = np.float32((self._shape.hidden // self._shape.heads) ** -0.5)
        return ops.constant(np.concatenate([query * scale, key, value]))

    def _weight(self, name: str) -> ov.Node:
        return ops.constant(np.ascontiguousarray(self._tensor(name)))

    def _tensor(self, name: str) -> NDArray[np.float32]:
        if name not in self._weights:
            raise ModelUnavailable(f"The model's weights lack {name}: it is not a complete BERT encoder")
        return self._weights[name]


def _mean(hidden: ov.Node, mask: ov.Node) -> ov.Node:
    """The sum over the tokens that are not padding: its direction is the mean's, and its length is lost anyway."""
    summed = ops.matmul(ops.unsqueeze(mask, np.array([1])), hidden, transpose_a=False, transpose_b=False)
    return ops.squeeze(summed, np.array([1]))
