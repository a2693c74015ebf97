"""How many Workers of a role `penstock up` runs: a number, or limits between which the rule decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from penstock.scaling import EMBEDDERS, INGESTERS, ScalingRule
from penstock.settings import ScalingSettings, Settings

AUTO = "auto"
SPELLING = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")
CORES_OF_AN_INGESTER = 2
"""The rule's service times are those of a Worker with 2 cores."""
MOST_CHILDREN = 256
"""Of one Ingester, as its setting has it."""
REMOTE_EMBEDDERS = 4
"""With `PENSTOCK_EMBEDDING_CONCURRENCY` 2, that is 8 requests at once: more than that a service grants by agreement."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Processes of one role, at least and at most."""

    least: int
    most: int

    @property
    def are_equal(self) -> bool:
        """Whether there is nothing to decide."""
        return self.least == self.most

    def __str__(self) -> str:
        return str(self.least) if self.are_equal else f"{self.least}-{self.most}"


def parse_limits(text: str, *, auto: Limits) -> Limits:
    """`2`, `0-4`, or `auto`, which stands for the limits given. Raises `ValueError` with a sentence."""
    if text == AUTO:
        return auto
    found = SPELLING.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither a number, as 2, nor limits, as 0-4, nor {AUTO}")
    limits = Limits(int(found[1]), int(found[2] or found[1]))
    if limits.least > limits.most:
        raise ValueError(f"{text!r} has more at least than at most")
    return limits


def auto_ingesters(processors: int) -> Limits:
    """One for every two cores: each gets two parser children, so that each core reads one File."""
    return Limits(0, max(1, processors // CORES_OF_AN_INGESTER))


def auto_embedders(settings: Settings) -> Limits:
    """One where the model runs here, since one takes every core; some where it waits for a service."""
    return Limits(0, 1 if settings.embedding.url is None else REMOTE_EMBEDDERS)


def parser_children(limits: Limits, processors: int) -> int:
    """Of each Ingester whose number changes: as many as keep every core busy when all of them run."""
    return min(MOST_CHILDREN, max(1, processors // max(1, limits.most)))


def ingester_rule(limits: Limits, *, children: int, scaling: ScalingSettings) -> ScalingRule:
    """For Ingesters of so many parser children, each of which keeps a core busy."""
    seconds = INGESTERS.service_seconds * CORES_OF_AN_INGESTER / children
    return _within(limits, scaling, replace(INGESTERS, service_seconds=seconds))


def embedder_rule(limits: Limits, *, scaling: ScalingSettings) -> ScalingRule:
    """For Embedders of 2 cores, or of a service that takes as long."""
    return _within(limits, scaling, EMBEDDERS)


def _within(limits: Limits, scaling: ScalingSettings, rule: ScalingRule) -> ScalingRule:
    return replace(
        rule,
        least=limits.least,
        most=limits.most,
        target_seconds=scaling.target_seconds,
        cooldown_seconds=scaling.cooldown_seconds,
    )
