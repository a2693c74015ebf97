"""Fields of the values in `penstock.models`, as JSON has them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from from_code.marks import code, table
from penstock import models
from penstock.models import FileStatus


def fields(name: str) -> str:
    """A table of the fields of the model `name`, and what it is."""
    kind: type[BaseModel] = getattr(models, name)
    schema = kind.model_json_schema()
    rows = [(code(field), shape(told), told.get("description", "")) for field, told in schema["properties"].items()]
    return f"{inspect.getdoc(kind)}\n\n{table(('field', 'JSON', 'meaning'), rows)}"


def shape(schema: Mapping[str, Any]) -> str:
    """What JSON a schema lets through, in few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(shape(each) for each in schema["anyOf"])
    if values := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(code(value) for value in values)
    if schema.get("type") == "array":
        return _list(schema)
    kind = str(schema.get("type", "anything"))
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _list(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(shape(each) for each in schema['prefixItems'])}]"
    return f"list of {shape(schema['items'])}" if schema.get("items") else "list"


def statuses() -> str:
    """What each status means: the string below it in the source."""
    told = _strings_below(inspect.getsource(FileStatus))
    return table(("status", "meaning"), [(code(status.value), told[status.name]) for status in FileStatus])


def _strings_below(source: str) -> dict[str, str]:
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for line, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(line, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            target = line.targets[0]
            assert isinstance(target, ast.Name)
            found[target.id] = str(below.value.value)
    return found
