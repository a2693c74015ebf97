"""Every error as problem details, whoever raises it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from penstock.api import problems
from penstock.api.metrics import RequestMetrics
from penstock.api.observed import Observed
from penstock.errors import (
    Conflict,
    EmbeddingRefused,
    GaveUp,
    InvalidRequest,
    NotFound,
    ObjectMissing,
    PenstockError,
    RateLimited,
    ServiceUnavailable,
    TooLarge,
)


def raising(error: Exception) -> httpx.AsyncClient:
    """A client of an API whose routes raise `error`: `/` at once, `/late` within the answer."""
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Observed, metrics=RequestMetrics("1"))

    async def fail() -> None:
        raise error

    async def fail_late() -> StreamingResponse:
        return StreamingResponse(_breaking(error))

    app.get("/")(fail)
    app.get("/late")(fail_late)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api")


async def _breaking(error: Exception) -> AsyncIterator[bytes]:
    yield b"half"
    raise error


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (NotFound("Nothing."), 404, None),
        (ObjectMissing(), 404, None),
        (Conflict(), 409, None),
        (TooLarge(), 413, None),
        (InvalidRequest(), 422, None),
        (EmbeddingRefused(), 422, None),
        (ServiceUnavailable(), 503, "2"),
        (ServiceUnavailable(retry_after=0.2), 503, "1"),
        (RateLimited(retry_after=29.5), 503, "30"),
        (GaveUp(), 500, None),
    ],
)
async def test_our_errors(error: PenstockError, status: int, retry_after: str | None) -> None:
    async with raising(error) as client:
        response = await client.get("/")
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers.get("Retry-After") == retry_after
    assert response.json()["code"] == error.code
    assert response.json()["detail"] == error.message


async def test_an_error_that_nobody_foresaw_is_logged_and_not_told() -> None:
    with capture_logs() as logs:
        async with raising(KeyError("the secret")) as client:
            response = await client.get("/")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "secret" not in response.text
    assert [(entry["event"], entry["path"]) for entry in logs] == [("request failed", "/")]


async def test_an_answer_that_breaks_off_does_not_pass_for_a_whole_one() -> None:
    with capture_logs() as logs:
        async with raising(ServiceUnavailable("Gone.")) as client:
            with pytest.raises(Exception, match=r"Gone|already started"):
                await client.get("/late")
    assert [entry["event"] for entry in logs] == ["request failed"]


async def test_a_client_that_went_away_is_no_error() -> None:
    with capture_logs() as logs:
        async with raising(ClientDisconnect()) as client:
            assert (await client.get("/")).status_code == 499
    assert logs == []


async def test_what_cannot_be_encoded_is_told_all_the_same() -> None:
    async with raising(InvalidRequest("half a pair: \ud800")) as client:
        assert (await client.get("/")).status_code == 422
