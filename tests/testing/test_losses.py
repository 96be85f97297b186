"""Every loss of the engine, with all kinds of targets and weights, held to every property of the kit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch.losses import LOSSES, CrossEntropy, Huber
from mlp_scratch.testing import check_loss, strategies

ROWS = {**LOSSES, "huber 0.25": Huber(0.25), "smoothed cross_entropy": CrossEntropy(label_smoothing=0.125)}


@st.composite
def logits_with_targets(draw, loss):
    k = draw(st.integers(2 if isinstance(loss, CrossEntropy) else 1, 5))
    z = draw(strategies.batches(k, max_size=6))
    return z, draw(strategies.targets(loss, len(z), k)), draw(strategies.sample_weights(len(z)))


@pytest.mark.parametrize("name", ROWS)
def test_every_loss_has_every_property(name):
    check_loss(ROWS[name], logits_with_targets(ROWS[name]))


@given(strategies.batches(3, min_size=2), st.sampled_from(["mse", "mae", "huber", "binary_cross_entropy"]))
def test_at_the_target_itself_a_regression_has_no_gradient(z, name):
    """Also on the kink of |z - t|, where the subgradient 0 is the one that says: nothing to improve."""
    t = 1 / (1 + np.exp(-z)) if name == "binary_cross_entropy" else z
    check_loss(LOSSES[name], z, t, only=["zero_at_optimum"])
