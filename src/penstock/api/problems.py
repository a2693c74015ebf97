"""Every error as problem details (RFC 9457), with our codes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from penstock.errors import (
    Conflict,
    FileError,
    InvalidRequest,
    NotFound,
    ObjectMissing,
    PenstockError,
    ServiceUnavailable,
    TooLarge,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2.0
"""Asked of the client where the service that is away did not say."""
CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a client that went away; nobody reads it but the metrics."""

STATUSES: Mapping[type[PenstockError], int] = {
    NotFound: 404,
    ObjectMissing: 404,
    Conflict: 409,
    TooLarge: 413,
    InvalidRequest: 422,
    FileError: 422,
    ServiceUnavailable: 503,
}
CODES: Mapping[int, str] = {404: NotFound.code, 413: TooLarge.code, 503: ServiceUnavailable.code}
"""The code of an error that the framework found; `invalid_request` for any other."""


class WrongField(BaseModel):
    """One field of the request that is not as it should be."""

    loc: list[str | int] = Field(description="Where: `body`, `query` or `path`, then the way to the field.")
    msg: str
    type: str


class Problem(BaseModel):
    """Problem details, RFC 9457."""

    type: Literal["about:blank"] = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What was wrong, and what to do.")
    code: str = Field(description="Stable: `not_found`, `invalid_request`, `too_large`, `service_unavailable`, …")
    errors: list[WrongField] | None = Field(default=None, description="Each wrong field, where that was the problem.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of the problems that an operation may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def schemas() -> dict[str, Any]:
    """The OpenAPI schemas that `documented` refers to."""
    problem_schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**problem_schema.pop("$defs"), "Problem": problem_schema}


def install(app: FastAPI) -> None:
    """Let `app` answer every error that we foresaw. `Observed` answers the rest."""
    app.add_exception_handler(PenstockError, _on_our_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[WrongField] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response that tells a problem."""
    title = HTTPStatus(status).phrase
    told = Problem(title=title, status=status, detail=detail, code=code, errors=list(errors) if errors else None)
    # ASCII: what is quoted from a bad request need not even be encodable.
    body = json.dumps(told.model_dump(exclude_none=True))
    return Response(body, status, headers, MEDIA_TYPE)


def internal_error() -> Response:
    return problem(500, PenstockError.code, "Penstock met an unexpected error; the API's log has the details.")


async def _on_our_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError)
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)
    headers: dict[str, str] = {}
    if isinstance(error, ServiceUnavailable):
        seconds = RETRY_AFTER_SECONDS if error.retry_after is None else error.retry_after
        headers["Retry-After"] = str(math.ceil(seconds))
    return problem(status, error.code, error.message, headers=headers)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = cast("Sequence[Mapping[str, Any]]", error.errors())
    # Without `input` and `ctx`: what was sent may be a secret, or megabytes.
    wrong = [WrongField(loc=list(item["loc"]), msg=_sentence(item), type=item["type"]) for item in found]
    detail = "; ".join(f"{'.'.join(map(str, item.loc))}: {item.msg}" for item in wrong)
    return problem(422, InvalidRequest.code, detail, errors=wrong)


def _sentence(item: Mapping[str, Any]) -> str:
    if item["type"] == "json_invalid":
        return f"not valid JSON: {item['ctx']['error']}"
    return str(item["msg"]).removeprefix("Value error, ")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, InvalidRequest.code)
    detail = str(error.detail)
    if error.status_code in (404, 405):  # of an address; a thing that is not there is a `NotFound`
        detail = f"There is no {request.method} {request.url.path}; /docs lists what there is."
    return problem(error.status_code, code, detail, headers=error.headers)


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
