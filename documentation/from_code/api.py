"""The HTTP API, from the OpenAPI document of the app that `penstock api` serves; and the messages, from AsyncAPI."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from from_code.marks import code, table
from from_code.models import shape
from penstock.api.app import create_app
from penstock.api.opening import Opening
from penstock.queues import asyncapi
from penstock.settings import load_settings


@cache
def _openapi() -> Mapping[str, Any]:
    """Nothing is opened or connected: the document follows from the code alone."""
    return create_app(Opening(load_settings({}))).openapi()


def documents() -> dict[str, str]:
    """Files of the site for generators and validators, by their path in it."""
    return {
        "reference/openapi.json": json.dumps(_openapi(), indent=2, ensure_ascii=False),
        "reference/asyncapi.json": asyncapi.document(load_settings({}).queue),
    }


def operations() -> str:
    """Every call, by tag."""
    document = _openapi()
    pieces = [document["info"]["description"]]
    for tag in document["tags"]:
        pieces.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}\n")
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    pieces += _operation(f"{method.upper()} {path}", operation)
    return "\n\n".join(pieces)


def _operation(call: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{call}`"
    yield f"**{operation['summary']}.** {operation.get('description', '')}"
    if parameters := operation.get("parameters"):
        rows = [_parameter(each) for each in parameters]
        yield table(("parameter", "in", "JSON", "required", "meaning"), rows)
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body, {code(media_type)}: {_linked(content['schema'])}."
    rows = [_response(status, response) for status, response in operation["responses"].items()]
    yield table(("answer", "when", "body"), rows)


def _parameter(told: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    schema = told["schema"]
    meaning = told.get("description") or schema.get("description", "")
    return code(told["name"]), told["in"], shape(schema), "yes" if told.get("required") else "", meaning


def _response(status: str, told: Mapping[str, Any]) -> tuple[str, str, str]:
    bodies = [f"{code(kind)} {_linked(content.get('schema', {}))}" for kind, content in told.get("content", {}).items()]
    phrase = HTTPStatus(int(status)).phrase if status.isdigit() else status
    meaning = told["description"] if told["description"] != "Successful Response" else phrase
    return status, meaning, ", ".join(bodies)


def _linked(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = shape(schema)
        return f"[{name}](#schema-{name.lower()})"
    if schema.get("type") == "array":
        return f"list of {_linked(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(_linked(each) for each in schema["anyOf"])
    if properties := schema.get("properties"):
        return ", ".join(f"{code(name)} ({shape(told)})" for name, told in properties.items())
    return shape(schema)


def schemas() -> str:
    """Every schema that the calls speak in."""
    pieces: list[str] = []
    for name, schema in sorted(_openapi()["components"]["schemas"].items()):
        pieces.append(f"### {name} {{ #schema-{name.lower()} }}\n\n{schema.get('description', '')}\n")
        if properties := schema.get("properties"):
            needed = schema.get("required", ())
            rows = [_property(field, told, needed=field in needed) for field, told in properties.items()]
            pieces.append(table(("field", "JSON", "required", "meaning"), rows))
        else:
            pieces.append(f"{shape(schema)}\n")
    return "\n".join(pieces)


def _property(name: str, told: Mapping[str, Any], *, needed: bool) -> tuple[str, str, str, str]:
    return code(name), shape(told), "yes" if needed else "", told.get("description", "")
