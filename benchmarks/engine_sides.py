"""What `engine.py` sets beside each other: our engine, sentence-transformers, and bare matrix multiplication."""
# OpenVINO's operations come out of decorators that its stubs leave untyped; the stub of `ov.Model` contradicts itself:
# pyright: reportUnknownMemberType=false, reportGeneralTypeIssues=false

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as ops
from peer_run import PEER_PYTHON, PEERS, QUIET_AND_OFFLINE

from penstock.embedding import Batcher, EmbeddingEngine
from penstock.errors import EmbeddingRefused
from penstock.settings import Settings
from penstock.workers.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Taken:
    """What one round of one side took."""

    seconds: float
    processor_seconds: float
    """Of all its threads: where other programs run as well, a better guide than the clock."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text and its tokens, not counting those that the tokenizer puts around it."""

    text: str
    tokens: int


async def embed_in_messages(
    engine: EmbeddingEngine, texts: Sequence[Text], *, message: int
) -> tuple[Taken, NDArray[np.float32]]:
    """The time it took, and vectors in the texts' order, when they come in messages of `message` texts.

    As an Embedder has them: as many messages in work at once, all through one Batcher.
    """
    settings = Settings()
    batcher = Batcher(engine, batch_tokens=settings.embedding.batch_tokens)
    in_work = asyncio.Semaphore(Embedder().concurrency(settings))
    vectors = np.zeros((len(texts), engine.dimensions), np.float32)

    async def embed(start: int) -> None:
        async with in_work:
            mine = texts[start : start + message]
            embedded = await batcher.embed([one.text for one in mine], [one.tokens for one in mine])
        for position, vector in enumerate(embedded, start):
            if isinstance(vector, EmbeddingRefused):
                raise vector
            vectors[position] = vector

    began, processor_began = time.perf_counter(), time.process_time()
    await asyncio.gather(*(embed(start) for start in range(0, len(texts), message)))
    taken = Taken(time.perf_counter() - began, time.process_time() - processor_began)
    await batcher.close()
    return taken, vectors


@dataclass(frozen=True, slots=True)
class SentenceTransformers:
    """The peer: loaded, warm, waiting for its turns."""

    vectors: NDArray[np.float32]
    """What it makes of the texts: the reference for ours."""
    about: dict[str, Any]
    process: subprocess.Popen[str]

    def round(self) -> Taken:
        """Encode all texts."""
        pipe = cast("IO[str]", self.process.stdin)
        pipe.write("\n")
        pipe.flush()
        return Taken(**_answer(self.process))


@contextmanager
def sentence_transformers(model: Path, texts: Sequence[Text]) -> Generator[SentenceTransformers]:
    """Runs in the environment that `peers/install.py` makes, in a process of its own, until the block ends."""
    if not PEER_PYTHON.exists():
        raise SystemExit("The peers are not installed: run `python benchmarks/peers/install.py`.")
    with tempfile.TemporaryDirectory() as folder:
        vectors, file = Path(folder) / "vectors.npy", Path(folder) / "texts.json"
        file.write_text(json.dumps([one.text for one in texts]), encoding="utf-8")
        command = [PEER_PYTHON, PEERS / "sentence_transformers_rounds.py", model, vectors, file]
        environment = dict(os.environ) | QUIET_AND_OFFLINE
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            about = _answer(process)
            yield SentenceTransformers(np.load(vectors), about, process)


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = cast("IO[str]", process.stdout).readline()
    if not line:
        raise SystemExit(f"sentence-transformers ended with {process.wait()}")
    return json.loads(line)


class Multiplication:
    """The most that the processor multiplies: square matrices, one after the other, on all threads.

    Through the same library and in the same precision as the engine. The product of one multiplication is the input
    of the next, so that nothing is converted between them; the weights are packed beforehand, as the engine's are.
    """

    CHAIN = 6
    SIZES = (512, 1024, 2048)
    """Which of them is fastest depends on the caches: the fastest counts."""

    def __init__(self, *, precision: str, threads: int) -> None:
        self._threads = threads
        self._models = {size: self._compile(size, precision) for size in self.SIZES}

    def round(self, *, least_seconds: float) -> Taken:
        """What 10^9 operations take at the fastest size, each size measured for at least so long."""
        return min((self._measure(size, least_seconds) for size in self.SIZES), key=lambda taken: taken.seconds)

    def _compile(self, size: int, precision: str) -> ov.CompiledModel:
        random = np.random.default_rng(size)
        values = ops.parameter([size, size], np.float32, name="values")
        product: ov.Node = values
        for _ in range(self.CHAIN):
            weight = (random.standard_normal((size, size)) / np.sqrt(size)).astype(np.float32)
            product = ops.matmul(product, ops.constant(weight), transpose_a=False, transpose_b=True)
        properties = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": self._threads,
            "INFERENCE_NUM_THREADS": self._threads,
            "ENABLE_CPU_PINNING": False,
        }
        return ov.Core().compile_model(ov.Model([product], [values], "chain"), "CPU", properties)

    def _measure(self, size: int, least_seconds: float) -> Taken:
        requests = ov.AsyncInferQueue(self._models[size], self._threads)
        values = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
        for _ in range(self._threads):  # the first one allocates
            requests.start_async([values], share_inputs=True)
        requests.wait_all()
        done, began, processor_began = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < least_seconds or done % self._threads:
            requests.start_async([values], share_inputs=True)  # waits until one is idle
            done += 1
        requests.wait_all()
        billions = done * self.CHAIN * 2 * size**3 / 1e9
        return Taken((time.perf_counter() - began) / billions, (time.process_time() - processor_began) / billions)
