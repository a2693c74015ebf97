"""The pipeline as a picture: names, messages and statuses are those of the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from from_code.drawing import Drawing
from penstock.models import MAX_CHUNKS_PER_MESSAGE, MESSAGE_TYPES, FileStatus
from penstock.pipeline.dispatch import dispatch
from penstock.pipeline.embed import embed
from penstock.pipeline.ingest import ingest
from penstock.pipeline.recover import recover
from penstock.pipeline.search import search
from penstock.pipeline.submit import submit
from penstock.workers.embedder import Embedder
from penstock.workers.ingester import Ingester

STORE_X, STORE, STEPS_X, STEP, ROWS_X, ROWS = 10.0, 130.0, 260.0, 250.0, 640.0, 190.0
"""Left edges and widths of the three columns."""
MIDDLE, RIGHT = STEPS_X + STEP / 2, STEPS_X + STEP
TO_STORE, TO_ROWS = (STORE_X + STORE + STEPS_X) / 2, (RIGHT + ROWS_X) / 2
"""Middles of the ways between them."""


def pipeline() -> str:
    """From the client's file to a searchable vector."""
    drawing = Drawing("pipeline", 840, 580)
    drawing.box(STORE_X, 95, STORE, 280, "object store", "the files' bytes", "and their text")
    drawing.box(STEPS_X, 10, STEP, 44, "client", "a program, or penstock add")
    drawing.box(STEPS_X, 95, STEP, 66, "Core API", _name(submit), _name(search))
    _queue(drawing, Ingester(), top=208)
    _step(drawing, Ingester(), ingest, top=300)
    _queue(drawing, Embedder(), top=412)
    _step(drawing, Embedder(), embed, top=504)
    rows = (
        "PostgreSQL",
        "Files, Chunks, vectors:",
        "the truth",
        "",
        _name(recover),
        "what a queue lost",
        "waits here again",
    )
    drawing.box(ROWS_X, 95, ROWS, 475, *rows)
    _ways(drawing)
    return drawing.figure("What happens to a File")


def _name(step: Callable[..., Any]) -> str:
    return f"`{step.__module__.removeprefix('penstock.')}.{step.__name__}"


def _step(drawing: Drawing, worker: Ingester | Embedder, step: Callable[..., Any], *, top: float) -> None:
    drawing.box(STEPS_X, top, STEP, 66, worker.name.capitalize(), _name(step), "any number of processes", kind="worker")


def _queue(drawing: Drawing, worker: Ingester | Embedder, *, top: float) -> None:
    fields = [name for name in MESSAGE_TYPES[worker.queue].model_fields if name != "version"]
    drawing.box(STEPS_X, top, STEP, 46, worker.queue, f"`{', '.join(fields)}", kind="queue")


def _ways(drawing: Drawing) -> None:
    drawing.arrow([(MIDDLE, 54), (MIDDLE, 95)], "file, query", at=(MIDDLE + 10, 74), anchor="start")
    drawing.arrow([(STEPS_X, 128), (STORE_X + STORE, 128)], "bytes", at=(TO_STORE, 118))
    _to_rows(drawing, 112, f"File, {FileStatus.QUEUED}")
    _from_rows(drawing, 144, "Chunks that fit")
    _from_rows(drawing, 231, dispatch.__name__)
    drawing.arrow([(MIDDLE, 254), (MIDDLE, 300)], FileStatus.INGESTING, at=(MIDDLE + 10, 276), anchor="start")
    drawing.arrow([(STORE_X + STORE, 318), (STEPS_X, 318)], "bytes", at=(TO_STORE, 308))
    drawing.arrow([(STEPS_X, 350), (STORE_X + STORE, 350)], "text", at=(TO_STORE, 340))
    _to_rows(drawing, 333, "Chunks")
    _from_rows(drawing, 435, dispatch.__name__)
    drawing.arrow([(MIDDLE, 458), (MIDDLE, 504)], FileStatus.EMBEDDING, at=(MIDDLE + 10, 480), anchor="start")
    _from_rows(drawing, 522, f"at most {MAX_CHUNKS_PER_MESSAGE} Chunks")
    _to_rows(drawing, 554, f"vectors, {FileStatus.COMPLETE}")


def _to_rows(drawing: Drawing, y: float, what: str) -> None:
    drawing.arrow([(RIGHT, y), (ROWS_X, y)], what, at=(TO_ROWS, y - 10))


def _from_rows(drawing: Drawing, y: float, what: str) -> None:
    drawing.arrow([(ROWS_X, y), (RIGHT, y)], what, at=(TO_ROWS, y - 10))
