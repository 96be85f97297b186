"""Layers that users write: what a check of one must not take for a fault, and what it must not let pass."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer, from_torch, strategies

BATCHES = strategies.batches(2, max_size=4)


class Square:
    """y = x², with `spoilt` between backward and its dy."""

    def __init__(self, spoilt=lambda dy: dy):
        self.spoilt = spoilt

    def forward(self, x):
        self.x = x
        return x * x

    def backward(self, dy):
        return 2 * self.x * self.spoilt(dy)


def violated(*args, **options):
    with pytest.raises(PropertyError) as caught:
        check_layer(*args, **options)
    return caught.value


def clipped_norm(dy):
    return dy * dy.dtype.type(min(1.0, 10 / max(1e-30, float(np.sqrt((dy.astype(float) ** 2).sum())))))


def divided_by_its_norm(dy):
    with np.errstate(invalid="ignore"):
        norm = np.sqrt((dy * dy).sum())
        return dy * (norm / norm)


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda dy: np.clip(dy, -5, 5),
        lambda dy: np.clip(dy, -10, 10),
        clipped_norm,
        lambda dy: np.where(np.abs(dy) < 1e-3, dy.dtype.type(0), dy),
        divided_by_its_norm,
    ],
)
def test_what_only_large_small_or_no_gradients_show_is_named(spoilt):
    assert violated(Square(spoilt), BATCHES).property == "linearity"


def test_numbers_near_overflow_are_no_fault_of_backward():
    check_layer(Square(), strategies.batches(2, magnitudes="any"), only=["linearity"])


def test_a_parameter_may_be_a_single_number():
    pytest.importorskip("torch")
    check_layer(from_torch(lambda x, t: x / t, t=np.array(2.0)), [[1.0, 2.0]])
