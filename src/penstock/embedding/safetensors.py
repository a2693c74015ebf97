"""Weights from a safetensors file, memory-mapped.

The format: eight bytes with the length of a JSON header, the header, then the tensors' bytes
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]


def read_weights(file: Path) -> Weights:
    """The floating-point tensors by name, as float32; those stored as float32 stay on disk until read.

    Raises `ValueError` where the file is not what the format says.
    """
    content = np.memmap(file, mode="r", dtype=np.uint8)
    header_size = int.from_bytes(content[:8].tobytes(), "little")
    if header_size + 8 > content.size:
        raise ValueError(f"{file} is cut off: its header alone needs {header_size} bytes")
    data = content[8 + header_size :]
    try:
        header: dict[str, dict[str, Any]] = json.loads(content[8 : 8 + header_size].tobytes())
        header.pop("__metadata__", None)
        return {name: _tensor(data, **entry) for name, entry in header.items() if entry["dtype"] in _DECODERS}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} has a header of another form: {error!r}") from error


def _tensor(data: NDArray[np.uint8], *, dtype: str, shape: list[int], data_offsets: list[int]) -> NDArray[np.float32]:
    start, end = data_offsets
    if end > data.size:
        raise ValueError(f"a tensor ends at byte {end}, but the file holds {data.size} bytes of tensors")
    return _DECODERS[dtype](data[start:end]).reshape(shape)


def _from_f32(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return data.view("<f4")


def _from_f16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return data.view("<f2").astype(np.float32)


def _from_bf16(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    """bfloat16 is the upper half of a float32."""
    return (data.view("<u2").astype(np.uint32) << 16).view(np.float32)


_DECODERS = {"F32": _from_f32, "F16": _from_f16, "BF16": _from_bf16}
