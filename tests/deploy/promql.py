"""As much of PromQL as the alert rules use, over series that a test makes up: whatever else they come to use raises.

It differs from Prometheus in that `increase` and `delta` are those between the samples, not stretched to the range.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import promql_parser as ast

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Shape = Callable[[float], float | None]
"""What a series shows at a moment, in seconds; None while it is not there."""
Scraped = Mapping[tuple[str, Labels], Sequence[float | None]]
"""What each series showed at each scrape, by its name and labels."""

SCRAPE_SECONDS = 30
HISTORY_SECONDS = 3600
"""Scraped before the moment 0: the longest range that is asked for."""
STALE_SECONDS = 300
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
CALCULATIONS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "+": operator.add, "-": operator.sub}
AGGREGATIONS: dict[str, Callable[[Iterable[float]], float]] = {"sum": sum, "min": min, "max": max}


def scrape(series: Mapping[tuple[str, Labels], Shape], *, until: float) -> Scraped:
    """What Prometheus keeps of these series."""
    moments = range(-HISTORY_SECONDS, int(until) + 1, SCRAPE_SECONDS)
    return {key: [shape(moment) for moment in moments] for key, shape in series.items()}


def parts(expression: Any) -> list[Any]:
    """All nodes of an expression."""
    found: list[Any] = []
    ast.walk(expression, found.append)  # None goes on
    return found


def evaluate(node: Any, scraped: Scraped, now: float) -> Vector | float:
    """The value of a parsed expression at a moment."""
    match node:
        case ast.NumberLiteral():
            return node.val
        case ast.ParenExpr():
            return evaluate(node.expr, scraped, now)
        case ast.VectorSelector():
            seen = _samples(node, scraped, now, STALE_SECONDS).items()
            return {labels: values[-1] for labels, values in seen}
        case ast.AggregateExpr():
            return _aggregate(node, _vector(node.expr, scraped, now))
        case ast.Call():
            return _call(node, scraped, now)
        case ast.BinaryExpr():
            return _binary(node, evaluate(node.lhs, scraped, now), evaluate(node.rhs, scraped, now))
        case _:
            raise NotImplementedError(str(node))


def _vector(node: Any, scraped: Scraped, now: float) -> Vector:
    found = evaluate(node, scraped, now)
    assert isinstance(found, dict)
    return found


def _samples(selector: ast.VectorSelector, scraped: Scraped, now: float, seconds: float) -> dict[Labels, list[float]]:
    """Of each series that is meant, what was scraped in the time up to now."""
    end = int((now + HISTORY_SECONDS) // SCRAPE_SECONDS) + 1
    found: dict[Labels, list[float]] = {}
    for (name, labels), samples in scraped.items():
        if name == selector.name and all(matches(matcher, dict(labels)) for matcher in selector.matchers.matchers):
            recent = samples[end - int(seconds // SCRAPE_SECONDS) : end]
            if values := [value for value in recent if value is not None]:
                found[labels] = values
    return found


def matches(matcher: ast.Matcher, labels: Mapping[str, str]) -> bool:
    """Whether a series with these labels is meant. A label that is not there is empty."""
    value = labels.get(matcher.name, "")
    if matcher.op in (ast.MatchOp.Equal, ast.MatchOp.NotEqual):
        return (value == matcher.value) == (matcher.op == ast.MatchOp.Equal)
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.op == ast.MatchOp.Re)


def _call(node: ast.Call, scraped: Scraped, now: float) -> Vector:
    (argument,) = node.args
    if node.func.name == "absent":
        return {} if evaluate(argument, scraped, now) else {frozenset(): 1.0}
    assert isinstance(argument, ast.MatrixSelector)
    samples = _samples(argument.vector_selector, scraped, now, argument.range.total_seconds()).items()
    if node.func.name == "delta":
        return {labels: values[-1] - values[0] for labels, values in samples if len(values) > 1}
    assert node.func.name == "increase", node.func.name
    return {
        labels: sum(after - before if after >= before else after for before, after in pairwise(values))
        for labels, values in samples
        if len(values) > 1
    }


def _aggregate(node: ast.AggregateExpr, vector: Vector) -> Vector:
    assert node.modifier is None or node.modifier.type == ast.AggModifierType.By
    by = node.modifier.labels if node.modifier else []
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(_only(labels, by), []).append(value)
    return {labels: AGGREGATIONS[str(node.op)](values) for labels, values in groups.items()}


def _only(labels: Labels, names: Iterable[str]) -> Labels:
    return frozenset((name, value) for name, value in labels if name in set(names))


def _binary(node: ast.BinaryExpr, left: Vector | float, right: Vector | float) -> Vector:
    operation = str(node.op)
    modifier = node.modifier
    on = None
    if modifier is not None and modifier.matching is not None:
        assert modifier.matching.type == ast.LabelModifierType.Include
        on = modifier.matching.labels

    def key(labels: Labels) -> Labels:
        return labels if on is None else _only(labels, on)

    if operation in ("and", "unless"):
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        there = set(map(key, right))
        return {labels: value for labels, value in left.items() if (key(labels) in there) == (operation == "and")}
    if not isinstance(left, dict):
        assert isinstance(right, dict)
        return {labels: CALCULATIONS[operation](left, value) for labels, value in right.items()}
    if isinstance(right, dict):
        by_key = {key(labels): value for labels, value in right.items()}
        pairs = {labels: (value, by_key[key(labels)]) for labels, value in left.items() if key(labels) in by_key}
    else:
        pairs = {labels: (value, right) for labels, value in left.items()}
    if operation in COMPARISONS:
        return {labels: a for labels, (a, b) in pairs.items() if COMPARISONS[operation](a, b)}
    return {labels: CALCULATIONS[operation](a, b) for labels, (a, b) in pairs.items()}


def fires(expression: str, scraped: Scraped, *, held: float, until: float, every: float = 60) -> set[Labels]:
    """The labels with which an alert fires at some moment: its expression held for so many seconds without a gap."""
    parsed = ast.parse(expression)
    since: dict[Labels, float] = {}
    firing: set[Labels] = set()
    moment = 0.0
    while moment <= until:
        since = {labels: since.get(labels, moment) for labels in _vector(parsed, scraped, moment)}
        firing |= {labels for labels, began in since.items() if moment - began >= held}
        moment += every
    return firing
