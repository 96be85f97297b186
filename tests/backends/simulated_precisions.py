"""`precision=` in Numba's simulator: `test_cuda.py` runs this module in a process with NUMBA_ENABLE_CUDASIM=1.

That products are rounded is shown with numbers whose products can be worked out by hand; how far a gradient then is
off, by carrying the bound of each product from the inputs to the end.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlp_scratch as ms
from mlp_kernels.cuda import gemm
from mlp_kernels.cuda.tiles import Tile
from mlp_scratch.backends import Samples, State, cuda_ways, get_backend
from mlp_scratch.program import PRECISIONS, lower
from tests.backends.simulated_cuda.conftest import quick_threads as quick_threads
from tests.tolerances import OPERAND_ROUNDING, assert_close, eps, function_bound, inexact_gemm_bound, summation_bound

TILES = {True: Tile(16, 16, 16, 16, 16, padding=8), False: Tile(16, 32, 4, 16, 32, lane_rows=4, lane_columns=4)}
"""One warp: of tensor cores or not."""


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gemm, "choose", lambda precision, *_: TILES[precision in PRECISIONS["float32"][1:]])
        yield


BY_HAND = {
    "float32": (1 + 2**-10 + 2**-22, 1 + 2**-11),
    "3xtf32": (1 + 2**-10, 1 + 2**-11),  # in two parts, 1 + 2⁻¹⁰ and -2⁻¹¹, whose square is what is left out
    "tf32": ((1 + 2**-10) ** 2, 1 + 2**-10),  # a tie is rounded away from zero
    "bf16": (1.0, 1.0),
}
"""With x = w = 1 + 2⁻¹¹: x w, and 1 x."""


@pytest.mark.parametrize("precision", BY_HAND)
def test_each_precision_rounds_operands_as_it_says(precision):
    model = ms.Sequential([ms.Dense(1, 1, bias=False)])
    x = model.flat[0] = np.float32(1 + 2**-11)
    model.fit([[x]], [0.0], loss="mae", optimizer=ms.SGD(1.0), epochs=1, backend="cuda", precision=precision)
    product, gradient = BY_HAND[precision]
    assert model.history.losses[0] == product
    assert model.flat[0] == x - np.float32(gradient)


@pytest.mark.parametrize(("precision", "w", "gradient"), [("tf32", 1 + 2**-11, 3 + 2**-8), ("bf16", 1 + 2**-8, 3.0)])
def test_the_product_on_the_way_back_rounds_too(precision, w, gradient):
    """Three times w, and a tie: rounded only when it meets x, the sum would go to 3 + 2⁻⁹, and to 3 + 2⁻⁶ in bf16."""
    model = ms.Sequential([ms.Dense(1, 1, bias=False), ms.Dense(1, 4, bias=False)])
    model.flat[:] = 1, w, w, w, 0
    model.fit(
        [[1.0]], np.zeros((1, 4)), loss="mae", optimizer=ms.SGD(1.0), epochs=1, backend="cuda", precision=precision
    )
    assert model.flat[0] == 1 - gradient / 4


def test_every_precision_is_tested():
    assert set(BY_HAND) == set(PRECISIONS["float32"]) == set(OPERAND_ROUNDING)


def test_asked_for_by_name_it_is_had_by_networks_of_any_size():
    model = ms.MLP([2, 3, 1])
    for precision in PRECISIONS["float32"]:
        program = lower(model, ms.MSE(), ms.SGD(), precision=precision)
        on_tensor_cores = precision != "float32"
        for update in ("train", "gradient"):
            assert (cuda_ways.way_for(program, 2, update).name == cuda_ways.GRAPH) == on_tensor_cores
        assert cuda_ways.way_for(program, 2, "infer").name == cuda_ways.LAUNCHES


def test_the_models_own_precision_is_the_default(rng):
    X, y, fits = rng.normal(size=(3, 2)), rng.normal(size=3), []
    for dtype in ("float32", "float64"):
        for precision in (None, dtype):
            fits.append(ms.MLP([2, 2, 1], dtype=dtype))
            fits[-1].fit(X, y, epochs=1, backend="cuda", precision=precision)
    assert np.array_equal(fits[0].flat, fits[1].flat)
    assert np.array_equal(fits[2].flat, fits[3].flat)


@pytest.mark.parametrize("limit", [0, 10**9], ids=["large", "small"])
def test_scores_are_not_rounded(limit, monkeypatch, rng):
    monkeypatch.setattr(cuda_ways, "GRID_LIMIT", limit)
    X, y = rng.normal(size=(4, 3)), rng.normal(size=4)
    model = ms.Sequential([ms.Dense(3, 1)])
    model.fit(X, y, loss="mse", batch_size=4, epochs=1, validation=(X, y), backend="cuda", precision="bf16")
    assert model.history.epochs[0].val_loss == model.evaluate(X, y, backend="cuda")["loss"]


@dataclass
class Near:
    """A result in float64, and how far a computation of it may be off."""

    value: np.ndarray
    off: np.ndarray

    @property
    def transposed(self):
        return Near(self.value.T, self.off.T)

    @property
    def largest(self):
        return np.abs(self.value) + self.off

    def times(self, other, precision):
        """The matrix product."""
        bound = inexact_gemm_bound(self.value, other.value, precision, self.off, other.off)
        return Near(self.value @ other.value, bound)

    def plus(self, bias):
        return Near(self.value + bias, self.off + eps("float32") * (self.largest + np.abs(bias)))

    def summed(self):
        """Over the batch."""
        return Near(
            self.value.sum(axis=0),
            self.off.sum(axis=0) + summation_bound(len(self.value), self.largest.sum(axis=0), "float32"),
        )


def exact(array):
    return Near(np.asarray(array, np.float64), np.zeros(np.shape(array)))


def expected_gradient(model, X, y, precision):
    """Of the mean squared error of Dense, Tanh, Dense, by name."""
    w1, b1, w2, b2 = (p.astype(np.float64) for p in model.parameters.values())
    x = exact(X)
    z = x.times(exact(w1).transposed, precision).plus(b1)
    value = np.tanh(z.value)
    h = Near(value, z.off + function_bound(1.0, "float32"))  # |tanh'| <= 1
    out = h.times(exact(w2).transposed, precision).plus(b2)
    scale = 2 / out.value.size
    dout = Near(scale * (out.value - y), scale * (out.off + 4 * eps("float32") * (out.largest + np.abs(y))))
    dh = dout.times(exact(w2), precision)
    slope = Near(1 - value**2, 0.8 * z.off + function_bound(1.0, "float32"))  # |tanh''| <= 4 / 3√3
    off = dh.off * slope.largest + np.abs(dh.value) * slope.off
    dz = Near(dh.value * slope.value, off + eps("float32") * dh.largest * slope.largest)
    return {
        "0.weight": dz.transposed.times(x, precision),
        "0.bias": dz.summed(),
        "2.weight": dout.transposed.times(h, precision),
        "2.bias": dout.summed(),
    }


def computed_gradient(model, X, y, precision):
    program = lower(model, ms.MSE(), ms.SGD(), precision=precision)
    state = State(model.flat, model.buffer_vector, np.empty((0, model.n_parameters), model.dtype))
    arguments = {"seed": 0, "step": 1, "training": True}
    _, flat = get_backend("cuda", program).loss_and_gradient(program, state, Samples(X, y), **arguments)
    return model.named(flat)


def problem(n, d, h, k, seed):
    rng = np.random.default_rng(seed)
    model = ms.Sequential([ms.Dense(d, h), ms.Tanh(), ms.Dense(h, k)], seed=seed)
    return model, rng.normal(size=(n, d)).astype("float32"), rng.normal(size=(n, k)).astype("float32")


SIZE = st.integers(1, 19)


@pytest.mark.parametrize("precision", PRECISIONS["float32"])
@settings(max_examples=3)
@given(n=SIZE, d=SIZE, h=SIZE, k=SIZE, seed=st.integers(0, 2**32))
def test_a_gradient_is_as_near_as_its_precision_promises(precision, n, d, h, k, seed):
    model, X, y = problem(n, d, h, k, seed)
    expected = expected_gradient(model, X, y, precision)
    for name, gradient in computed_gradient(model, X, y, precision).items():
        assert_close(gradient, expected[name].value, expected[name].off, name)


@pytest.mark.parametrize(("precision", "narrower"), [("float32", "tf32"), ("3xtf32", "tf32"), ("float32", "bf16")])
def test_the_bounds_tell_precisions_apart(precision, narrower):
    """What rounds more is off by more than the bound allows, in the gradient of each weight.

    tf32 and bf16 are only three bits apart, which bounds of worst cases don't tell: their numbers by hand do.
    """
    model, X, y = problem(8, 8, 8, 8, seed=1)
    expected = expected_gradient(model, X, y, precision)
    gradients = computed_gradient(model, X, y, narrower)
    for name in ("0.weight", "2.weight"):
        with pytest.raises(AssertionError):
            assert_close(gradients[name], expected[name].value, expected[name].off)
