"""One line an event on stderr, as text for people or JSON for machines, with secrets masked.

    structlog.get_logger().info("file complete", file_id=file_id, seconds=1.2)

Everything that logs through the standard library (uvicorn, FastStream, httpx) comes out the same way.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from penstock.settings import LogSettings

HIDDEN = "********"
QUIET = ("httpx", "httpcore", "faststream", "uvicorn.access", "asyncio", "urllib3", "botocore")
"""They tell every request or message at level info; what matters of it is among our own events."""

_SECRET_KEY = re.compile(r"(^|_)(password|passwd|secret|token|(api|access|secret)_key|authorization)$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\w://[^\s/:@]*:)[^\s/]+@")
_SECRET_PARAMETER = re.compile(r"(\b(?:password|secret|token|api_key|signature|sig)=)[^\s&;'\"]+", re.IGNORECASE)
_SHORT_LEVELS = {"critical": "fatal", "warning": "warn"}
_COLOURS = {"debug": "\x1b[2m", "warn": "\x1b[33m", "error": "\x1b[31m", "fatal": "\x1b[1;31m"}
_ALIGN_FIELDS_AT = 34
"""Characters after which the fields of a text line begin, so that they stand under each other."""


def configure(settings: LogSettings, *, role: str) -> None:
    """Log from now on as `settings` say; `role` (api, ingester, …) is on every line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_role(role),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings, shared))
    _route_standard_library(handler, level=settings.level.upper())


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take passwords out of URLs, and the values of secret keys out altogether, however deep they lie."""
    return {key: _masked(key, value) for key, value in event.items()}


def render_text(_logger: WrappedLogger, _method: str, event: EventDict, *, colours: bool = False) -> str:
    """`12:00:01.250 info  api       file recorded      file_id=… size=120`, then the traceback, if any."""
    fields = dict(event)
    clock = str(fields.pop("timestamp"))[11:23]
    level = str(fields.pop("level"))
    level = _SHORT_LEVELS.get(level, level)
    role, message = fields.pop("role"), _on_one_line(fields.pop("event"))
    traceback = fields.pop("exception", None)
    told = " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())
    line = f"{clock} {level:<5} {role:<9} {message:<{_ALIGN_FIELDS_AT}} {told}".rstrip()
    if colours and level in _COLOURS:
        line = f"{_COLOURS[level]}{line}\x1b[0m"
    return line if traceback is None else f"{line}\n{traceback}"


def _formatter(settings: LogSettings, shared: list[Processor]) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared[:-1], structlog.stdlib.ExtraAdder(), mask_secrets],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings)],
    )


def _renderer(settings: LogSettings) -> Processor:
    if settings.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    return lambda logger, method, event: render_text(logger, method, event, colours=colours)


def _route_standard_library(handler: logging.Handler, *, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "faststream"):
        # They bring handlers of their own, which would print each line a second time.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_role(role: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("role", role)
        return event

    return add


def _masked(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and value is not None:
        return HIDDEN
    if isinstance(value, str):
        return _without_passwords(value)
    if isinstance(value, MutableMapping):
        mapping: dict[Any, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]  # any mapping may be logged
        return {inner: _masked(str(inner), held) for inner, held in mapping.items()}
    if isinstance(value, list | tuple):
        items: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]  # any list may be logged
        return [_masked("", item) for item in items]
    return _without_passwords(str(value)) if isinstance(value, BaseException) else value


def _without_passwords(text: str) -> str:
    return _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text))


def _quoted(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    # A value with blanks or control characters could pass for a field, or a line, of its own.
    return text if text.isprintable() and text and " " not in text and '"' not in text else repr(text)


def _on_one_line(message: object) -> str:
    text = str(message)
    return text if text.isprintable() else text.encode("unicode_escape").decode()
