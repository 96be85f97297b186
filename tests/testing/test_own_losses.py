"""Losses that users write: right ones pass whatever their optimum is and whatever they take, wrong ones are named."""

import math

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.functional import softmax
from mlp_scratch.losses import CrossEntropy, ScalarLoss
from mlp_scratch.testing import PropertyError, check_loss
from tests.refusals import assert_refused

Z, T, WEIGHTS = np.array([[0.25, 1.0], [-1.0, 0.0]]), np.array([[1.0, 0.0], [3.0, 1.0]]), np.array([1.0, 3.0])


class Mean:
    """The mean over samples and outputs of `each`, an elementwise loss; `slope` is its derivative."""

    def value(self, z, t, weights=None):
        return self.shares(z, weights) @ self.each(z, t).mean(axis=1)

    def gradient(self, z, t, weights=None):
        return self.shares(z, weights)[:, np.newaxis] * self.slope(z, t) / z.shape[1]

    @staticmethod
    def shares(z, weights):
        return np.full(len(z), 1 / len(z), z.dtype) if weights is None else weights / weights.sum()


class Squared(Mean):
    def each(self, z, t):
        return (z - t) ** 2

    def slope(self, z, t):
        return 2 * (z - t)


class Pinball(Mean):
    def each(self, z, t):
        return np.maximum(0.75 * (t - z), 0.25 * (z - t))

    def slope(self, z, t):
        return np.where(t > z, z.dtype.type(-0.75), z.dtype.type(0.25))


class Poisson(Mean):
    def each(self, z, t):
        return np.exp(z) - t * z

    def slope(self, z, t):
        return np.exp(z) - t


class Logistic(Mean):
    def each(self, z, t):
        return np.logaddexp(0, z) - t * z

    def slope(self, z, t):
        return 1 / (1 + np.exp(-z)) - t


class OneHot(Mean):
    """Softmax cross-entropy with one-hot targets, divided by nothing but N."""

    def each(self, z, t):
        shifted = z - z.max(axis=1, keepdims=True)
        return -z.shape[1] * t * (shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    def slope(self, z, t):
        return z.shape[1] * (softmax(z) - t)


class Unweighted:
    """Squared error without sample weights."""

    def value(self, z, t):
        return ((z - t) ** 2).mean()

    def gradient(self, z, t):
        return 2 * (z - t) / z.size


QUANTILE = ScalarLoss(
    "quantile_90",
    lambda z, t: 0.9 * (t - z) if t > z else 0.1 * (z - t),
    lambda z, t: -0.9 if t > z else 0.1,
    piece=lambda z, t: t > z,
)


@pytest.mark.filterwarnings("ignore:overflow")  # of 1 + exp(1e4), whose inverse is right
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", [Squared(), Pinball(), Poisson(), Logistic(), QUANTILE, Unweighted()])
def test_a_right_loss_passes_wherever_it_is_smallest(loss, dtype):
    check_loss(loss, Z.astype(dtype), T)


def test_cross_entropy_with_one_hot_targets_passes():
    check_loss(OneHot(), Z, np.eye(2), weights=WEIGHTS, shift_invariant=True)


@pytest.mark.parametrize(
    ("loss", "optimum"), [(Squared(), lambda t: t), (Pinball(), lambda t: t), (QUANTILE, lambda t: t)]
)
def test_an_optimum_can_be_given(loss, optimum):
    check_loss(loss, Z, T, optimum=optimum)
    with pytest.raises(PropertyError) as caught:
        check_loss(loss, Z, T, optimum=lambda t: optimum(t) + 1)
    assert caught.value.property == "zero_at_optimum"
    assert "optimum=optimum, only=['zero_at_optimum'])" in caught.value.code


def test_the_optimum_of_a_count_is_the_logarithm():
    check_loss(Poisson(), Z, T + 1, optimum=np.log)


def test_an_undeclared_kink_is_recognised():
    plain = ScalarLoss("absolute", lambda z, t: abs(z - t), lambda z, t: 1.0 if z >= t else -1.0)
    check_loss(plain, T, T, optimum=lambda t: t)


class Rippled(Unweighted):
    """So steep that no difference of its values says anything."""

    def value(self, z, t):
        return super().value(z, t) + np.mean(np.sin(1e18 * z))


class Endless(Unweighted):
    def value(self, z, t):
        return super().value(z, t) + np.inf


@pytest.mark.parametrize(("loss", "said"), [(Rippled(), "can be told from a wrong one"), (Endless(), "finite numbers")])
def test_a_gradient_of_which_nothing_is_known_is_no_pass(loss, said):
    with pytest.raises(PropertyError, match=said) as caught:
        check_loss(loss, np.array([[0.5]]), np.array([[0.0]]), only=["gradient_is_derivative"])
    assert "check_loss(loss, np.array([[0.5]])" in str(caught.value)
    assert "layer" not in str(caught.value)


def test_a_naive_formula_overflows_and_a_loss_that_grows_without_bound_does_not():
    class Naive(Logistic):
        def each(self, z, t):
            return np.log(1 + np.exp(z)) - t * z

    check_loss(Poisson(), Z, T, only=["finite_at_extremes"])
    with pytest.raises(PropertyError, match="logits of ±1e4 give finite numbers"):
        check_loss(Naive(), Z, T, only=["finite_at_extremes"])


def test_functions_of_math_that_overflow_are_named():
    loss = ScalarLoss("log_cosh", lambda z, t: math.log(math.cosh(z - t)), lambda z, t: math.tanh(z - t))
    with pytest.raises(PropertyError, match="raised by  value") as caught:
        check_loss(loss, Z, T)
    assert caught.value.property == "finite_at_extremes"


@pytest.mark.parametrize("name", ["t", "weights"])
@pytest.mark.parametrize("method", ["value", "gradient"])
def test_what_a_loss_writes_to_is_named(name, method):
    class Writes(Squared):
        pass

    def writing(self, z, t, weights=None):
        array = {"t": t, "weights": weights}[name]
        if array is not None:
            array *= 0.5
        return getattr(Squared, method)(self, z, t, weights)

    setattr(Writes, method, writing)
    with pytest.raises(PropertyError) as caught:
        check_loss(Writes(), Z, T, weights=WEIGHTS)
    assert caught.value.property == "purity"
    assert (caught.value.facts["written by"], caught.value.facts["changed"]) == (method, name)


def test_a_write_that_changes_nothing_is_named():
    class Writes(Squared):
        def value(self, z, t, weights=None):
            np.maximum(t, 0, out=t)
            return super().value(z, t, weights)

    with pytest.raises(PropertyError, match="read-only"):
        check_loss(Writes(), Z, T)


def test_a_loss_that_forgets_float32_is_named():
    class Double(Squared):
        def value(self, z, t, weights=None):
            return np.float64(super().value(z, t, weights))

    check_loss(Double(), Z, T)
    with pytest.raises(PropertyError) as caught:
        check_loss(Double(), Z.astype("float32"), T)
    assert caught.value.property == "dtype"
    assert "dtype='float32'" in caught.value.code


def test_a_value_may_be_a_float_of_python():
    class Plain(Squared):
        def value(self, z, t, weights=None):
            return float(super().value(z, t, weights))

    check_loss(Plain(), Z.astype("float32"), T)


@pytest.mark.parametrize(
    ("method", "wrong", "claim"),
    [
        ("value", lambda z, t: ((z - t) ** 2).mean(axis=1), "the value of a batch is one number"),
        ("gradient", lambda z, t: (z - t).sum(axis=1), "a gradient has the shape of what it is the gradient of"),
    ],
)
def test_a_wrong_shape_is_named_and_shows_again(method, wrong, claim):
    class Wrong(Unweighted):
        def __repr__(self):
            return "Wrong()"

    setattr(Wrong, method, lambda self, z, t: wrong(z, t))
    with pytest.raises(PropertyError, match=f"^shapes: {claim}") as caught:
        check_loss(Wrong(), Z, T)
    with pytest.raises(PropertyError, match=f"^shapes: {claim}"):
        exec(caught.value.code, {"Wrong": Wrong})


def test_the_printed_lines_keep_the_options():
    with pytest.raises(PropertyError) as caught:
        check_loss(Unweighted(), Z, T, shift_invariant=True)
    assert "shift_invariant=True, only=['shift_invariance'])" in caught.value.code
    with pytest.raises(PropertyError) as caught:
        check_loss(CrossEntropy(0.5), Z, [0, 1], optimum=lambda t: np.zeros((2, 2)))
    assert "from mlp_scratch.losses import CrossEntropy\nloss = CrossEntropy(label_smoothing=0.5)" in caught.value.code


def test_where_a_gradient_is_wrong_is_said_of_the_logits():
    class Wrong(Unweighted):
        def gradient(self, z, t):
            return super().gradient(z, t) * np.array([1.0, 1.0005])

    with pytest.raises(PropertyError, match=r"of +z\[0, 1\]"):
        check_loss(Wrong(), Z, T, only=["gradient_is_derivative"])


REFUSED = {
    "forgotten targets": (lambda: check_loss(Squared(), Z), ArgumentTypeError,
        r"t: got None \(NoneType\), expected the targets of z, as the loss takes them; check_loss\(loss, z, t\)"),
    "a vector of logits": (lambda: check_loss(Squared(), Z[0], T[0]), ArgumentError,
        r"z: got shape \(2,\), expected logits of shape \(N, K\); for one output a sample, z\[:, np\.newaxis\]"),
    "targets of other samples": (lambda: check_loss(Squared(), Z, T[:1]), ArgumentError,
        r"t: got shape \(1, 2\), expected targets of 2 samples, as z has"),
    "weights of other samples": (lambda: check_loss(Squared(), Z, T, weights=[1.0]), ArgumentError,
        r"weights: got shape \(1,\), expected one weight a sample, shape \(2,\)"),
    "weights nobody takes": (lambda: check_loss(Unweighted(), Z, T, weights=WEIGHTS), ArgumentError,
        r"weights: got weights for a loss that takes none, expected None, or a loss with value\(z, t, weights\) .*"),
    "a NaN among the weights": (lambda: check_loss(Squared(), Z, T, weights=[1.0, np.nan]), ArgumentError,
        r"weights: got nan at position \(1,\), expected finite numbers that fit float64; .*"),
    "a weight below 0": (lambda: check_loss(Squared(), Z, T, weights=[1.0, -0.5]), ArgumentError,
        r"weights: got -0\.5 at position 1, expected weights that are not negative"),
    "a NaN among the targets": (lambda: check_loss(Squared(), Z, T * np.nan), ArgumentError,
        r"t: got nan at position \(0, 0\), expected finite numbers that fit float64; .*"),
    "no samples": (lambda: check_loss(CrossEntropy(), np.zeros((0, 3)), np.zeros(0, int)), ArgumentError,
        r"z: got shape \(0, 3\), expected at least one sample and one logit"),
    "an optimum of another shape": (lambda: check_loss(Squared(), Z, T, optimum=lambda t: t[0]), ArgumentError,
        r"optimum: got a function whose answer has shape \(2,\), expected one .* of shape \(2, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistakes(mistake):
    assert_refused(*REFUSED[mistake])
