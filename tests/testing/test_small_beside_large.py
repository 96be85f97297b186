"""A wrong gradient of a small output is seen beside a large one; what can't be seen counts as unresolved."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer
from tests.testing.elementwise import Elementwise


class Mixing:
    """y = x W, with a backward of another W."""

    def __init__(self, W, wrong=None):
        self.W, self.wrong = np.array(W), np.array(W if wrong is None else wrong)

    def forward(self, x):
        return x @ self.W.astype(x.dtype)

    def backward(self, dy):
        return dy @ self.wrong.T.astype(dy.dtype)


SQUARE = (lambda x: x * x, lambda x: 2 * x)
BESIDE = {
    "exp": (np.exp, np.exp, lambda x: x > 1, [[30.0, 0.0], [0.5, -1.0]]),
    "square": (*SQUARE, lambda x: abs(x) > 10, [[1e6, 1.0]]),
    "square of one in a hundred": (*SQUARE, lambda x: abs(x) > 10, [[1e7, *np.linspace(1.0, 2.0, 99)]]),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("factor", [0.0, 1.001])
def test_a_wrong_gradient_is_seen_beside_a_large_one(name, factor):
    f, df, right, x = BESIDE[name]
    assert check_layer(Elementwise(f, df), x, skip=["single_precision"]).unresolved == 0
    with pytest.raises(PropertyError) as caught:
        check_layer(Elementwise(f, lambda x: np.where(right(x), 1.0, factor) * df(x)), x)
    assert caught.value.property == "derivative"


def test_a_derivative_of_zero_is_resolved_beside_a_large_one():
    relu = Elementwise(lambda x: np.maximum(x, 0), lambda x: x > 0)
    assert check_layer(relu, [[1e6, 1.0], [-1.0, -1e6]]).unresolved == 0


def test_what_one_output_drowns_is_unresolved():
    """Of 10¹⁴ a + b nothing tells what becomes of b: a backward that forgets it passes, and is not counted as right."""
    for wrong in ([[1e14], [1.0]], [[1e14], [0.0]]):
        assert check_layer(Mixing([[1e14], [1.0]], wrong), [[1.0, 1.0]], only=["derivative"]).unresolved == 1
    with pytest.raises(PropertyError):
        check_layer(Mixing([[1e7], [1.0]], [[1e7], [0.0]]), [[1.0, 1.0]], only=["derivative"])
