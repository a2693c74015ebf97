"""`penstock queues`: what waits, is in work, and was given up on."""

from __future__ import annotations

from penstock.cli.output import print_json, print_table
from penstock.cli.session import run


def show_queues(*, url: str | None, as_json: bool) -> None:
    """Print the depth of each queue."""
    depths = run(url, lambda client: client.queues())
    if as_json:
        print_json({name: depth.model_dump() for name, depth in depths.items()})
        return
    rows = [
        (name, f"{depth.waiting:,}", f"{depth.in_flight:,}", f"{depth.dead_letters:,}", _age(depth.oldest_seconds))
        for name, depth in depths.items()
    ]
    columns = ("queue", "waiting", "in flight", "dead letters", "oldest")
    print_table(columns, rows, right=columns[1:])


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
