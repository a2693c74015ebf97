"""The version of this installation."""

from __future__ import annotations


def installed_version() -> str:
    """The version that the installed distribution says it is."""
    from importlib.metadata import version  # costs 30 ms, which most commands need not pay

    return version("penstock")
