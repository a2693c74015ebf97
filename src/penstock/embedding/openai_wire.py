"""What goes over the wire to an OpenAI-compatible embedding service, and what its answers mean.

Pure functions over requests and responses; the service is never trusted to answer well.
Format: https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, cast

import httpx
import numpy as np

from penstock.embedding.port import Embedded, Vector, well_formed
from penstock.errors import EmbeddingRefused, InvalidSettings, RateLimited, ServiceUnavailable
from penstock.settings import EmbeddingSettings

_REJECTED = frozenset({400, 413, 422, 424, 500})
"""Answered where a text of the batch cannot be taken: malformed, too large, unprocessable. 424 is what
text-embeddings-inference says, and 500 what Ollama says, of a text on which the model itself fails."""

_ADVICE = {
    401: "check PENSTOCK_EMBEDDING_API_KEY",
    403: "check PENSTOCK_EMBEDDING_API_KEY",
    404: "check PENSTOCK_EMBEDDING_URL (it ends in /v1 for most services) and PENSTOCK_EMBEDDING_MODEL",
}
_QUOTED = 300
"""Characters of a service's own words in a message of ours."""


class Rejected(Exception):
    """The service does not take this batch, perhaps because of one text in it. Its message: the service's words."""


def address_of(settings: EmbeddingSettings) -> httpx.URL:
    """Where embeddings are asked for: `…/v1` and `/embeddings`, with the query that some services want.

    Raises `InvalidSettings`.
    """
    try:
        base = httpx.URL(settings.url or "")
    except httpx.InvalidURL as error:
        raise InvalidSettings(f"PENSTOCK_EMBEDDING_URL is not a URL: {error}") from error
    if base.scheme not in {"http", "https"} or not base.host:
        raise InvalidSettings("PENSTOCK_EMBEDDING_URL must be of the form https://host/v1")
    if base.userinfo:  # would be shown wherever the URL is
        raise InvalidSettings("PENSTOCK_EMBEDDING_URL holds a password: use PENSTOCK_EMBEDDING_API_KEY")
    return base.copy_with(path=f"{base.path.rstrip('/')}/embeddings")


def headers_of(settings: EmbeddingSettings) -> dict[str, str]:
    """The key, as OpenAI wants it and as Azure wants it. Raises `InvalidSettings`."""
    key = _key(settings)
    if not (key.isascii() and key.isprintable()):  # the HTTP library would quote the key in its complaint
        raise InvalidSettings("PENSTOCK_EMBEDDING_API_KEY holds characters that no key has")
    if not key:
        return {}
    azure = {"api-key": key} if address_of(settings).host.endswith(".azure.com") else {}
    return {"Authorization": f"Bearer {key}", **azure}


def _key(settings: EmbeddingSettings) -> str:
    """Without the newline that a key read from a file ends in; empty where there is none."""
    return settings.api_key.get_secret_value().strip() if settings.api_key else ""


def body_of(texts: Sequence[str], settings: EmbeddingSettings) -> dict[str, Any]:
    """Asks for base64, a quarter of the length of JSON numbers.

    It is what the official client asks for, so that every service either knows it or ignores it.
    """
    body: dict[str, Any] = {
        "model": settings.model,
        "input": [well_formed(text) for text in texts],
        "encoding_format": "base64",
    }
    if settings.dimensions is not None:
        body["dimensions"] = settings.dimensions
    return body


def failure_of(response: httpx.Response, settings: EmbeddingSettings) -> Exception | None:
    """What an answer that is not a success means; None for a success."""
    if response.is_success:
        return None
    words = _words_of(response, settings)
    if response.status_code in _REJECTED:
        return Rejected(words)
    said = f"The embedding service answered {response.status_code}: {words}"
    wait = retry_after(response.headers, now=datetime.now(UTC))
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited(said, retry_after=wait)
    advice = _ADVICE.get(response.status_code)
    return ServiceUnavailable(f"{said}; {advice}" if advice else said, retry_after=wait)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds to wait: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3); Azure has milliseconds too."""
    milliseconds, wait = headers.get("retry-after-ms"), headers.get("retry-after", "")
    seconds = _number(milliseconds, unit=0.001) if milliseconds else _number(wait)
    return _seconds_until(wait, now=now) if seconds is None else seconds


def _number(text: str, *, unit: float = 1) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return max(0.0, number * unit) if math.isfinite(number) else None


def _seconds_until(date: str, *, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def embedded_of(response: httpx.Response, *, count: int, dimensions: int | None) -> list[Embedded]:
    """The outcome of each text, in the order of the request, whatever the order of the answer.

    A vector that is no direction (not a number, infinite, all zeros) is a refusal of its text.
    Raises `ServiceUnavailable` where the answer is not `count` vectors of `dimensions` numbers each.
    """
    try:
        rows = _in_order(response.json()["data"], count)
        vectors = [_numbers(row["embedding"]) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ServiceUnavailable(f"The embedding service's answer is not what was asked for: {error}") from error
    wrong = {vector.shape for vector in vectors} - {(dimensions or vectors[0].size,)}
    if wrong:
        raise ServiceUnavailable(
            f"The embedding service answers with vectors of shape {wrong.pop()}, not ({dimensions},): "
            "check PENSTOCK_EMBEDDING_MODEL and PENSTOCK_EMBEDDING_DIMENSIONS"
        )
    return [_unit(vector) for vector in vectors]


def _in_order(data: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    by_index = {row.get("index", position): row for position, row in enumerate(data)}
    if len(data) != count or by_index.keys() != set(range(count)):
        raise ValueError(f"{count} texts were answered with {len(data)} vectors of indexes {sorted(by_index)[:10]}")
    return [by_index[index] for index in range(count)]


def _numbers(embedding: str | list[float]) -> Vector:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4")
    return np.array(embedding, np.float32)


def _unit(vector: Vector) -> Embedded:
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0:
        return EmbeddingRefused("The embedding service has no vector for a text of the file")
    return vector / np.float32(length)


def _words_of(response: httpx.Response, settings: EmbeddingSettings) -> str:
    """What the service says went wrong: without our key, should it quote that."""
    try:
        words = _message_in(response.json())
    except ValueError:
        words = response.text
    words = " ".join(words.split()) or response.reason_phrase
    if key := _key(settings):
        words = words.replace(key, "********")
    return words[:_QUOTED]


def _message_in(answer: Any) -> str:
    """OpenAI and Azure nest it in `error`, text-embeddings-inference puts it there, FastAPI services in `detail`."""
    if isinstance(answer, dict):
        fields = cast("dict[str, Any]", answer)
        for name in ("error", "message", "detail"):
            if name in fields:
                return _message_in(fields[name])
    return answer if isinstance(answer, str) else json.dumps(answer)
