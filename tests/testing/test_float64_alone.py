"""What float32 can't hold is not asked of it, and code for float64 alone is told how to say so."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer, from_torch


class Exponential:
    """y = eˣ, right, with a gradient times `factor` in float32."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def forward(self, x):
        with np.errstate(over="ignore"):
            self.y = np.exp(x)
        return self.y

    def backward(self, dy):
        return self.y * dy * dy.dtype.type(self.factor if dy.dtype == np.float32 else 1)


class RefusesSmall(Exponential):
    """float32 numbers below 1 are refused: none, or all that lie a little below those of x."""

    def forward(self, x):
        if x.dtype == np.float32 and x[0, 0] < 1:
            raise np.linalg.LinAlgError("it doesn't converge")
        return super().forward(x)


@pytest.mark.parametrize("x", [[[100.0]], [[100.0, 0.5]]])
def test_a_result_beyond_float32_is_not_looked_at(x):
    assert check_layer(Exponential(), x).unresolved == 0


def test_a_result_within_float32_is_looked_at():
    with pytest.raises(PropertyError, match="float32 gives float64's numbers"):
        check_layer(Exponential(1.01), [[80.0, 0.5]])


def test_an_overflow_on_the_way_to_an_ordinary_number_is_named():
    class Naive:
        def forward(self, x):
            self.y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
            return self.y

        def backward(self, dy):
            return self.y * (dy - (dy * self.y).sum(axis=1, keepdims=True))

    with np.errstate(all="ignore"), pytest.raises(PropertyError, match="float32 gives float64's numbers"):
        check_layer(Naive(), [[100.0, 99.0]], only=["single_precision"])


def test_float32_may_fail_nearby():
    check_layer(RefusesSmall(), [[1.0, 2.0]])


def test_a_layer_that_raises_in_float32_is_told_what_to_skip():
    torch = pytest.importorskip("torch")
    for layer, raises in (
        (RefusesSmall(), "LinAlgError: it doesn't converge"),
        (from_torch(torch.nn.Linear(2, 2).double()), "RuntimeError: .* dtype"),
    ):
        with pytest.raises(PropertyError, match=raises) as caught:
            check_layer(layer, [[0.5, 2.0]])
        assert caught.value.property == "single_precision"
        assert "skip=['single_precision']" in str(caught.value)
        check_layer(layer, [[0.5, 2.0]], skip=["single_precision"])
