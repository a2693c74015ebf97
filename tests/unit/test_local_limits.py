"""What `--ingesters` and `--embedders` may say, and what `auto` stands for."""

from __future__ import annotations

import pytest

from penstock.local.limits import (
    Limits,
    auto_embedders,
    auto_ingesters,
    embedder_rule,
    ingester_rule,
    parse_limits,
    parser_children,
)
from penstock.scaling import EMBEDDERS, INGESTERS
from penstock.settings import ScalingSettings, load_settings

AUTO = Limits(0, 3)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("2", Limits(2, 2)),
        ("0", Limits(0, 0)),
        ("0-4", Limits(0, 4)),
        ("1-4", Limits(1, 4)),
        ("2-2", Limits(2, 2)),
        ("auto", AUTO),
    ],
)
def test_a_number_limits_and_auto(text: str, limits: Limits) -> None:
    assert parse_limits(text, auto=AUTO) == limits
    assert parse_limits(str(limits), auto=AUTO) == limits, "`up --detach` hands them on"


@pytest.mark.parametrize(
    "text", ["", "-1", "1-", "-", "0-4-5", "1.5", "a lot", "AUTO", "auto:4", "12345", "\u0664", "2\n"]
)
def test_what_is_neither_is_refused_with_what_may_be(text: str) -> None:
    with pytest.raises(ValueError, match="is neither a number, as 2, nor limits, as 0-4, nor auto"):
        parse_limits(text, auto=AUTO)


def test_limits_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="'4-2' has more at least than at most"):
        parse_limits("4-2", auto=AUTO)


@pytest.mark.parametrize(("processors", "most", "children"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (64, 32, 2)])
def test_auto_ingesters_have_together_a_parser_child_for_each_core(processors: int, most: int, children: int) -> None:
    limits = auto_ingesters(processors)
    assert limits == Limits(0, most)
    assert parser_children(limits, processors) == children


def test_a_fleet_of_ones_own_choice_has_no_more_children_than_cores() -> None:
    assert parser_children(Limits(0, 1), 16) == 16
    assert parser_children(Limits(2, 8), 4) == 1
    assert parser_children(Limits(0, 1), 1000) == 256, "the setting allows no more"


def test_more_than_one_embedder_only_where_a_service_does_the_work() -> None:
    assert auto_embedders(load_settings({})) == Limits(0, 1)
    assert auto_embedders(load_settings({"PENSTOCK_EMBEDDING_URL": "http://gpu/v1"})) == Limits(0, 4)


def test_the_rules_are_those_that_are_shipped_on_this_machine() -> None:
    scaling = ScalingSettings(target_seconds=20, cooldown_seconds=5)
    two, eight = (ingester_rule(Limits(1, 3), children=children, scaling=scaling) for children in (2, 8))
    assert (two.service_seconds, eight.service_seconds) == (INGESTERS.service_seconds, INGESTERS.service_seconds / 4)
    embedders = embedder_rule(Limits(0, 4), scaling=scaling)
    assert embedders.service_seconds == EMBEDDERS.service_seconds
    assert {(rule.target_seconds, rule.cooldown_seconds) for rule in (two, eight, embedders)} == {(20, 5)}
    assert (two.least, two.most, embedders.least, embedders.most) == (1, 3, 0, 4)
