"""The fail points: what they do, and that no durable operation of a step is without one."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import failpoints
from penstock.settings import load_settings

SOURCE = Path(failpoints.__file__).parent
STEPS = sorted((SOURCE / "pipeline").glob("*.py"))
SETTLING = [SOURCE / "queues" / f"{broker}_session.py" for broker in ("redis", "sqs", "nats")]
"""What obeys the verdicts, once for each broker: each has the same points."""

DURABLE = {
    "database": {"transaction", "statement"},
    "store": {"write", "write_file", "delete", "wipe"},
    "queues": {"publish", "drop", "replay"},
    "leases": {"acknowledge", "bury", "give_back"},
    "wire": {"send", "delete", "give_back"},
}
"""What outlives the process once it is done, by the name of what does it."""

READ_ONLY = {
    "backlog._in_rows": "a query",
    "dispatch._anything_waits": "a query",
    "direct_upload._completed": "a query",
    "direct_upload._upload": "a query",
    "embed._waiting": "a query",
    "mirror._known": "a query",
    "search.search": "a query",
    "search.search_text": "a query",
    "search._nearest": "a query",
    "search._best_matching": "a query",
}
"""Functions whose transactions or calls write nothing, by module and name, with the reason."""

SIMPLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)


def test_off_a_point_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "at_point", None)
    failpoints.reach("no such point")


def test_a_name_that_nobody_declared_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "at_point", failpoints.dies_if_asked(tmp_path))
    with pytest.raises(LookupError, match="no such point is no fail point"):
        failpoints.reach("no such point")


def test_the_variable_is_not_refused_as_an_unknown_setting() -> None:
    load_settings({failpoints.VARIABLE: "/anywhere"})


CHILD = """
from types import MappingProxyType
from penstock import failpoints
failpoints.FAIL_POINTS = MappingProxyType({"here": "", "there": ""})
failpoints.reach("there")
print("past there", flush=True)
failpoints.reach("here")
print("past here", flush=True)
"""


def test_on_the_process_that_finds_its_file_removes_it_and_is_killed(tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    first, second = (
        subprocess.run(
            [sys.executable, "-c", CHILD],
            env=os.environ | {failpoints.VARIABLE: str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        for _ in range(2)
    )
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "past there\n")
    assert (second.returncode, second.stdout) == (0, "past there\npast here\n"), "one file kills once"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "paths",
    [
        pytest.param(STEPS, id="steps"),
        pytest.param(SETTLING, id="settling"),
    ],
)
def test_every_durable_operation_is_followed_by_its_point(paths: list[Path]) -> None:
    problems = [f"{path.name}, {problem}" for path in paths for problem in problems_of(path)]
    assert problems == []


def test_every_point_is_declared_and_used_once() -> None:
    for broker in SETTLING:
        of_others = [path for path in SETTLING if path != broker]
        paths = (path for path in SOURCE.rglob("*.py") if path not in of_others)
        used = Counter(name for path in paths for name in names_reached(ast.parse(path.read_text())))
        assert dict(used) == dict.fromkeys(failpoints.FAIL_POINTS, 1), broker.name
    for name, durable in failpoints.FAIL_POINTS.items():
        step, _, moment = name.partition(".")
        assert all((step, moment, durable)), f"{name}: a step, a dot, what is durable now; and a sentence"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("await store.write(k)\nreach('a.b')", None),
        ("async with database.transaction() as rows:\n  await f(rows)\nreach('a.b')", None),
        ("if a:\n  x = await self._leases.bury(m)\n  reach('a.b')", None),
        ("await store.read(k)", None),
        ("await store.write(k)", "line 2"),
        ("await store.write(k)\nx = 1\nreach('a.b')", "line 2"),
        ("await store.write(k)\nawait queues.publish(q)\nreach('a.b')", "line 2"),
        ("return await queues.publish(q)", "line 2"),
        ("async with database.transaction() as rows:\n  return await f(rows)\nreach('a.b')", "line 2"),
        ("async with database.transaction() as rows:\n  await f(rows)\nreturn 1", "line 2"),
        ("try:\n  await store.delete(k)\nfinally:\n  reach('a.b')", "line 3"),
        ("if await queues.drop(m):\n  reach('a.b')", "line 2"),
    ],
)
def test_the_reader_of_steps_finds_what_is_missing(body: str, problem: str | None) -> None:
    indented = "\n".join(f"  {line}" for line in body.splitlines())
    found = list(problems_in_source("step", f"async def run():\n{indented}\n"))
    assert [line.split(":")[0] for line in found] == ([problem] if problem else [])


def problems_of(path: Path) -> Iterator[str]:
    """A line for each durable operation of a module that no point follows."""
    return problems_in_source(path.stem, path.read_text())


def problems_in_source(module: str, source: str) -> Iterator[str]:
    for function in ast.walk(ast.parse(source)):
        if (
            isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            and f"{module}.{function.name}" not in READ_ONLY
        ):
            yield from _problems_in(function.body)


def _problems_in(body: list[ast.stmt]) -> Iterator[str]:
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue  # walked for itself
        if _is_durable(statement) and (
            following is None or not _is_reach(following) or isinstance(_last(statement), ast.Return)
        ):
            yield f"line {statement.lineno}: {ast.unparse(statement).splitlines()[0]}"
        for part in _parts(statement):
            yield from _problems_in(part)


def _parts(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The bodies of a compound statement."""
    for name in ("body", "orelse", "finalbody"):
        if part := getattr(statement, name, None):
            yield part
    for handler in getattr(statement, "handlers", []):
        yield handler.body
    for case in getattr(statement, "cases", []):
        yield case.body


def _last(statement: ast.stmt) -> ast.stmt:
    """A `return` at the end of a transaction jumps over the point behind it."""
    return statement.body[-1] if isinstance(statement, (ast.With, ast.AsyncWith)) else statement


def _is_durable(statement: ast.stmt) -> bool:
    """Whether something durable happens in the statement itself, its bodies aside."""
    if isinstance(statement, SIMPLE):
        heads: list[ast.AST] = [statement]
    else:
        heads = [child for child in ast.iter_child_nodes(statement) if isinstance(child, (ast.expr, ast.withitem))]
    return any(_is_durable_call(node) for head in heads for node in ast.walk(head))


def _is_durable_call(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner = node.func.value
    name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
    return node.func.attr in DURABLE.get(name.lstrip("_"), ())


def _is_reach(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and bool(list(names_reached(statement)))


def names_reached(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach":
            (name,) = node.args
            assert isinstance(name, ast.Constant), "a point's name is a literal"
            yield str(name.value)
