"""What the engine's benchmark counts as work, and what it makes of the times it took."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from engine import Rounds, figures, useful_flops
from engine_sides import Taken, Text

from penstock.embedding.model import LocalModel

SHAPE = {"hidden_size": 4, "num_hidden_layers": 3, "intermediate_size": 8}


MODEL = cast("LocalModel", SimpleNamespace(config=lambda: SHAPE, special_tokens=2))


def test_work_is_that_of_the_tokens_by_the_models_shape() -> None:
    # Three tokens, of which two stand around the text. A layer has 4 matrices of 4 x 4 and two of 4 x 8: 128 weights.
    one = useful_flops(MODEL, [Text("a", 1)])
    attention = 2 * (2 * 3 * 3 * 4)  # scores and weighted sum: two operations for each of 3 x 3 pairs and 4 values
    assert one == 3 * (2 * 128 * 3 + attention)
    assert useful_flops(MODEL, [Text("a", 1), Text("b", 1)]) == 2 * one


def test_figures_are_ratios_of_medians_by_the_clock() -> None:
    taken = Rounds(
        ours=[Taken(2.0, 4.0), Taken(9.0, 4.0), Taken(2.0, 4.0)],
        peer=[Taken(8.0, 12.0), Taken(8.0, 12.0), Taken(90.0, 12.0)],
        peak=[Taken(0.01, 0.02)] * 3,
    )
    engine, arithmetic = figures(taken, [Text("a", 1)] * 10, 100e9, precision="bf16", cosine=0.99995)
    assert (engine.ours, engine.against, engine.value) == (5.0, 1.25, 4.0)
    assert "By processor time: 3.00" in engine.note
    assert "would reach 8.00 by the clock and 6.00 by processor time" in engine.note
    assert (arithmetic.ours, arithmetic.against) == (50.0, 100.0)
    assert arithmetic.value == pytest.approx(0.5)
