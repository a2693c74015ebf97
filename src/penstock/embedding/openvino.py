"""The local engine: a BERT-type encoder on this machine's processor, through OpenVINO."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from penstock.embedding.bert import BertShape, build_encoder
from penstock.embedding.model import LocalModel, load_tokenizer
from penstock.embedding.port import Embedded, Vector, well_formed
from penstock.embedding.safetensors import read_weights
from penstock.errors import EmbeddingRefused, InvalidRequest, ModelUnavailable
from penstock.processors import available_processors, multiply_bf16
from penstock.settings import EmbeddingSettings

TOKENS_AT_ONCE = 1024
"""Of one batch, padding included. Four texts of a full window keep a stream as busy as it gets; from 2,048 on the
layers' values no longer fit the processor's cache, and a token costs 5 % more."""

LENGTH_STEP = 8
"""Lengths are padded up to a multiple of it. OpenVINO keeps what it has compiled for every shape it meets: with every
length a shape of its own, memory went from 230 MB to 900 MB over some thousand texts. The padding costs 2 %."""

PADDING_AT_ONCE = 32
"""Most tokens of padding for which a text still joins a batch of longer ones: one more batch costs about as much. A
call of a hundred texts of mixed lengths then is padded by 4 % instead of 7."""

TokenIds = list[int]
Precision = Literal["auto", "bf16", "f32"]


class OpenVinoEngine:
    """One stream of small batches for each thread, so that no two threads wait for each other.

    The event loop stays free: tokenising and inference run in threads, and both release the GIL.
    """

    def __init__(self, model: LocalModel, settings: EmbeddingSettings) -> None:
        """Builds and compiles the encoder, which takes up to a second: do it off the event loop.

        Raises `ModelUnavailable` for a model that is damaged or is not a BERT encoder.
        """
        self._model = model
        self._tokenizer = load_tokenizer(model.tokenizer_file)
        threads = settings.threads or available_processors()
        self._streams = _Streams(_compile(model, settings.precision, threads), threads, longest=self._longest)
        self._concurrency = settings.concurrency

    @property
    def model(self) -> str:
        return self._model.name

    @property
    def revision(self) -> str:
        return self._model.revision

    @property
    def dimensions(self) -> int:
        return self._model.dimensions

    @property
    def concurrency(self) -> int:
        return self._concurrency

    async def embed_documents(self, texts: Sequence[str]) -> list[Embedded]:
        tokenised = await asyncio.to_thread(self._tokenise, list(texts))
        lengths = {position: len(ids) for position, ids in enumerate(tokenised)}
        embedded: dict[int, Embedded] = {p: self._refusal(n) for p, n in lengths.items() if n > self._longest}
        batches = similar_lengths({p: n for p, n in lengths.items() if n <= self._longest})
        inferred = await asyncio.gather(*(self._streams.run([tokenised[p] for p in batch]) for batch in batches))
        for batch, vectors in zip(batches, inferred, strict=True):
            embedded.update(zip(batch, vectors, strict=True))
        return [embedded[position] for position in range(len(texts))]

    async def embed_query(self, text: str) -> Vector:
        [embedded] = await self.embed_documents([self._model.query_prompt + text])
        if isinstance(embedded, EmbeddingRefused):
            raise InvalidRequest(
                f"The query is longer than the {self._model.max_tokens} tokens that {self.model} takes; shorten it"
            ) from embedded
        return embedded

    async def close(self) -> None:
        await asyncio.to_thread(self._streams.close)

    @property
    def _longest(self) -> int:
        return self._model.max_tokens + self._model.special_tokens

    def _tokenise(self, texts: list[str]) -> list[TokenIds]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast([well_formed(text) for text in texts])]

    def _refusal(self, length: int) -> EmbeddingRefused:
        return EmbeddingRefused(
            f"A text of {length - self._model.special_tokens} tokens is longer than the {self._model.max_tokens} that "
            f"{self.model} takes: let Ingesters and Embedders run with the same settings, and ingest the file again"
        )


def similar_lengths(lengths: Mapping[int, int], *, tokens: int = TOKENS_AT_ONCE) -> list[list[int]]:
    """The keys in batches by descending length, each padded to at most `tokens`, or of a single key.

    A batch ends early where the next text is so much shorter that padding it costs more than a new batch. The longest
    come first, so that none keeps one thread busy when the others are done.
    """
    batches: list[list[int]] = []
    room = longest = padding = 0
    for key in sorted(lengths, key=lambda key: (-lengths[key], key)):
        length = _rounded_up(lengths[key])
        if room == 0 or padding + longest - length > PADDING_AT_ONCE:
            batches.append([])
            longest, padding = length, 0
            room = max(1, tokens // lengths[key])
        padding += longest - length
        batches[-1].append(key)
        room -= 1
    return batches


def _rounded_up(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class _Streams:
    """Several inference requests of one compiled model, each used by one thread at a time."""

    def __init__(self, compiled: ov.CompiledModel, count: int, *, longest: int) -> None:
        self._longest = longest
        self._idle: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(compiled.create_infer_request())
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="embedding")

    async def run(self, batch: list[TokenIds]) -> NDArray[np.float32]:
        """Vectors of one batch, in its order; waits for a free stream."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._infer, batch)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _infer(self, batch: list[TokenIds]) -> NDArray[np.float32]:
        request = self._idle.get()
        try:
            request.infer(_padded(batch, at_most=self._longest), share_inputs=True)
            return np.array(request.get_output_tensor().data, dtype=np.float32)
        finally:
            self._idle.put(request)


def _padded(batch: list[TokenIds], *, at_most: int) -> list[NDArray[np.int32] | NDArray[np.float32]]:
    """Token ids and mask, both of shape (texts, longest text's length, rounded up)."""
    longest = min(at_most, _rounded_up(max(map(len, batch))))
    ids = np.zeros((len(batch), longest), np.int32)
    mask = np.zeros((len(batch), longest), np.float32)
    for row, tokens in enumerate(batch):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return [ids, mask]


def _compile(model: LocalModel, precision: Precision, threads: int) -> ov.CompiledModel:
    try:
        shape = BertShape.of(model.config(), name=model.name)
        encoder = build_encoder(shape, read_weights(model.weights_file), pooling=model.pooling)
        properties = {
            "INFERENCE_PRECISION_HINT": _best_precision() if precision == "auto" else precision,
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # two Embedders on one machine would pin their threads to the same cores
        }
        return ov.Core().compile_model(encoder, "CPU", properties)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelUnavailable(f"The model {model.name} in {model.folder} is damaged: {error!r}") from error


def _best_precision() -> Precision:
    """bf16 is more than twice as fast where the processor multiplies in it, and slower where it emulates it."""
    return "bf16" if multiply_bf16() else "f32"
