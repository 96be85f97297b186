"""Dropout: how much it drops, and that its mask is a function of seed, step, layer and element alone."""

from dataclasses import replace

import numpy as np
import pytest

from mlp_scratch import Dropout
from mlp_scratch.layers import Context
from tests.tolerances import assert_close, count_bound

KEY = Context(training=True, seed=3, step=5, layer=1)
ONES = np.ones((300, 40))


def mask(layer, context, x=ONES):
    return layer.forward({}, x, context)[0] > 0


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_it_drops_the_share_that_was_asked_for(p):
    kept = mask(Dropout(p), KEY)
    assert_close(float(kept.sum()), (1 - p) * kept.size, count_bound(p, kept.size))
    # As evenly over columns (their words come from four lanes) as over rows.
    for lane in range(4):
        part = kept[:, lane::4]
        assert_close(float(part.sum()), (1 - p) * part.size, count_bound(p, part.size))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(dtype):
    y, _ = Dropout(0.2).forward({}, ONES.astype(dtype), KEY)
    assert set(np.unique(y)) == {0, dtype(1.25)}


@pytest.mark.parametrize("change", [{"seed": 4}, {"step": 6}, {"layer": 2}, {"seed": 3 + 2**32}], ids=str)
def test_another_key_draws_another_mask(change):
    one, other = mask(Dropout(0.5), KEY), mask(Dropout(0.5), replace(KEY, **change))
    assert_close(float((one == other).sum()), one.size / 2, count_bound(0.5, one.size))


def test_the_same_key_draws_the_same_mask_whatever_the_batch():
    whole = mask(Dropout(0.5), KEY)
    assert np.array_equal(mask(Dropout(0.5), KEY), whole)
    assert np.array_equal(mask(Dropout(0.5), KEY, ONES[:7]), whole[:7])
    assert np.array_equal(mask(Dropout(0.5), KEY, ONES[:, :10]), whole[:, :10])


def test_a_larger_p_drops_those_and_more():
    assert not (mask(Dropout(0.6), KEY) & ~mask(Dropout(0.3), KEY)).any()


def test_the_mask_does_not_depend_on_the_dtype():
    masks = [mask(Dropout(0.3), KEY, ONES.astype(dtype)) for dtype in (np.float16, np.float32, np.float64)]
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[1], masks[2])


def test_inference_and_p_0_change_nothing(rng):
    x = rng.normal(size=(5, 6))
    for layer, context in ((Dropout(0.5), Context(training=False)), (Dropout(0.0), KEY)):
        y, cache = layer.forward({}, x, context)
        assert np.array_equal(y, x)
        assert np.array_equal(layer.backward({}, cache, x)[0], x)


def test_the_gradient_goes_where_the_value_went(rng):
    x, dy = rng.normal(size=(50, 6)), rng.normal(size=(50, 6))
    y, cache = Dropout(0.4).forward({}, x, KEY)
    dx, _ = Dropout(0.4).backward({}, cache, dy)
    assert np.array_equal(dx == 0, y == 0)
    assert_close(dx[y != 0], dy[y != 0] / 0.6, 1e-15 * np.abs(dy[y != 0]) * 8)


def test_the_threshold_is_the_published_rule():
    assert Dropout(0.0).threshold() == 0
    assert Dropout(0.5).threshold() == 2**31
    assert Dropout(1 - 2**-33).threshold() <= 2**32
