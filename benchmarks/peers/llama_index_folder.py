"""LlamaIndex reads, splits and embeds a folder of PDF or Markdown files in memory; prints one JSON object.

    .bench-venv/bin/python benchmarks/peers/llama_index_folder.py FOLDER MODEL [--chunk-tokens 254] [--suffix .pdf]

The files are those directly in the folder, each read by LlamaIndex's own reader for its suffix.

As its users would do it, with two choices in its favour: the model is loaded and warm before the clock
starts, and file metadata is kept out of the chunks, where it would take tokens from the text and so make more of them.
Nothing is stored: the vectors stay in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import torch
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import BaseNode, Document
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.readers.file import MarkdownReader, PDFReader
from tokenizers import Tokenizer

PACKAGES = ("llama-index-core", "llama-index-readers-file", "pypdf", "sentence-transformers", "transformers", "torch")
READERS = {".pdf": PDFReader, ".md": MarkdownReader}
T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """The result; seconds by the clock, and of processor time, which tells a busy machine from slow work."""
    began, used = time.perf_counter(), time.process_time()
    result = work()
    return result, {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def read(folder: Path, suffix: str) -> list[Document]:
    """One Document for each page of a PDF file, and for each section of a Markdown file, as the readers have it."""
    extractor = {suffix: READERS[suffix]()}
    reader = SimpleDirectoryReader(str(folder), required_exts=[suffix], file_extractor=extractor)
    documents = reader.load_data()
    for document in documents:
        document.excluded_embed_metadata_keys = list(document.metadata)
    return documents


def splitter(model: Path, chunk_tokens: int) -> SentenceSplitter:
    """Counts with the model's own tokenizer, so that `chunk_tokens` means the same as for Penstock."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokens(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    return SentenceSplitter(chunk_size=chunk_tokens, chunk_overlap=0, tokenizer=tokens, include_metadata=False)


def run(folder: Path, model: Path, chunk_tokens: int, suffix: str) -> dict[str, object]:
    split = IngestionPipeline(transformations=[splitter(model, chunk_tokens)])
    engine = HuggingFaceEmbedding(model_name=str(model), device="cpu")
    engine.get_text_embedding("warm")
    embed = IngestionPipeline(transformations=[engine])

    documents, reading = timed(lambda: read(folder, suffix))
    nodes, splitting = timed(lambda: split.run(documents=documents))
    embedded, embedding = timed(lambda: embed.run(nodes=nodes))
    if not all(node.embedding for node in embedded):
        sys.exit("LlamaIndex left a chunk without a vector.")
    stages = {"read": reading, "split": splitting, "embed": embedding}
    return {
        "seconds": sum(stage["seconds"] for stage in stages.values()),
        "cpu_seconds": sum(stage["cpu_seconds"] for stage in stages.values()),
        "stages": stages,
        "pages": len(documents),
        "files": len({document.metadata["file_path"] for document in documents}),
        "chunks": len(embedded),
        "characters": characters(embedded),
        "threads": torch.get_num_threads(),
        "versions": {package: version(package) for package in PACKAGES},
    }


def characters(nodes: list[BaseNode]) -> int:
    return sum(len(node.get_content()) for node in nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--chunk-tokens", type=int, default=254)
    parser.add_argument("--suffix", choices=sorted(READERS), default=".pdf")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.folder, arguments.model, arguments.chunk_tokens, arguments.suffix)))


if __name__ == "__main__":
    main()
