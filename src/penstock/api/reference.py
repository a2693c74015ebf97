"""/docs and /asyncapi: the two documents to read, as plain HTML that needs no other server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { background: #f4f4f4; padding: 0.75rem; overflow-x: auto; white-space: pre-wrap; }
section { border-top: 1px solid #ccc; padding-top: 0.5rem; margin-top: 1.5rem; }
dt { font-family: ui-monospace, monospace; font-size: 0.9em; }
dd { margin: 0 0 0.5rem 1.5rem; }
"""


def page(document: Mapping[str, Any]) -> str:
    """The operations by tag, then the schemas they speak in."""
    return _page(f"{document['info']['title']} {document['info']['version']}", _operations(document))


def messages_page(document: Mapping[str, Any]) -> str:
    """The queues of an AsyncAPI document, and the messages on them."""
    return _page(f"{document['info']['title']} {document['info']['version']}: messages", _messages(document))


def _page(heading: str, pieces: Iterator[str]) -> str:
    title, body = escape(heading), "\n".join(pieces)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    yield _prose(document["info"]["description"])
    yield '<p>For tools: <a href="/openapi.json">/openapi.json</a>, <a href="/asyncapi.json">/asyncapi.json</a>.</p>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield _operation(method, path, operation)
    yield "<h2>schemas</h2>"
    yield from _schemas(document)


def _messages(document: Mapping[str, Any]) -> Iterator[str]:
    yield '<p>For tools: <a href="/asyncapi.json">/asyncapi.json</a>.</p>'
    for channel in document["channels"].values():
        yield f"<section><h3><code>{escape(channel['address'])}</code></h3>{_prose(channel['description'])}</section>"
    yield "<h2>schemas</h2>"
    yield from _schemas(document)


def _schemas(document: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<section id="{escape(name)}"><h3>{escape(name)}</h3>{_json(schema)}</section>'


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(_parameter(parameter) for parameter in operation.get("parameters", ()))
    bodies = "".join(
        f"<dt>body, {escape(media_type)}</dt><dd>{_schema(content['schema'])}</dd>"
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    responses = "".join(_response(status, response) for status, response in operation["responses"].items())
    return (
        f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"
        f"<p><b>{escape(operation['summary'])}.</b></p>{_prose(operation.get('description', ''))}"
        f"<dl>{parameters}{bodies}{responses}</dl></section>"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    told = escape(parameter.get("description") or parameter["schema"].get("description", ""))
    return f"<dt>{escape(parameter['name'])} <i>({parameter['in']})</i></dt><dd>{told}</dd>"


def _response(status: str, response: Mapping[str, Any]) -> str:
    kinds = "".join(
        f" {escape(media_type)} {_schema(content.get('schema', {}))}"
        for media_type, content in response.get("content", {}).items()
    )
    return f"<dt>{escape(status)}</dt><dd>{escape(response['description'])}.{kinds}</dd>"


def _schema(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    return _json(schema)


def _json(value: object) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"


def _prose(markdown: str) -> str:
    """Paragraphs, and what is between backticks as code: all the Markdown that we write there."""
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in markdown.split("\n\n") if paragraph.strip())


def _inline(paragraph: str) -> str:
    pieces = escape(paragraph).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
