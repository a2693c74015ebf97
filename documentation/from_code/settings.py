"""Every setting, from the fields of `penstock.settings.Settings`."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from from_code.marks import code, table
from penstock.settings import CLIENT_VARIABLES, PREFIX, Settings, describe

OF_THE_COMMAND_LINE = {
    "PENSTOCK_URL": ("`http://127.0.0.1:8321`", "Where the client commands find the API."),
    "PENSTOCK_DATA": ("`~/.local/share/penstock`", "The data folder of `penstock up`."),
}
BOUNDS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))
TYPES = {"str": "text", "SecretStr": "secret text", "int": "whole number", "float": "number", "bool": "true or false"}


def tables() -> str:
    """A heading and a table for each group, then the variables of the command line."""
    if missing := CLIENT_VARIABLES ^ OF_THE_COMMAND_LINE.keys():
        raise LookupError(f"the page of settings and penstock.settings differ in {', '.join(sorted(missing))}")
    defaults = {variable: (value, told) for variable, value, told in describe(Settings())}
    pieces: list[str] = []
    for group, section in Settings():
        rows = [_row(f"{PREFIX}{group}_{name}".upper(), field, defaults) for name, field in _fields(section)]
        pieces += [f"## {_title(group)}\n", table(("variable", "default", "allowed", "meaning"), rows)]
    pieces += ["## Command line\n", table(("variable", "default", "meaning"), _of_the_command_line())]
    return "\n".join(pieces)


def _fields(section: Any) -> list[tuple[str, FieldInfo]]:
    return list(cast("type[BaseModel]", type(section)).model_fields.items())


def _row(variable: str, field: FieldInfo, defaults: dict[str, tuple[str, str]]) -> tuple[str, str, str, str]:
    default, told = defaults[variable]
    return code(variable), code(default) or "none", allowed(field), told


def allowed(field: FieldInfo) -> str:
    """The type, and the bounds or values that its field declares."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType] or [field.annotation]
    if get_origin(field.annotation) is Literal:
        return ", ".join(code(value) for value in get_args(field.annotation))
    told = [TYPES.get(getattr(kind, "__name__", ""), str(kind)) for kind in kinds]
    for rule in field.metadata:
        told += [f"{sign} {getattr(rule, name):g}" for kind, name, sign in BOUNDS if isinstance(rule, kind)]
        if pattern := getattr(rule, "pattern", None):
            told.append(f"as {code(pattern)}")
    return " ".join(told)


def _of_the_command_line() -> list[tuple[str, str, str]]:
    return [(code(variable), *told) for variable, told in OF_THE_COMMAND_LINE.items()]


def _title(group: str) -> str:
    return {"api": "API"}.get(group, group.replace("_", " ").capitalize())
