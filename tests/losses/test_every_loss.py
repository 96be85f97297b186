"""What every loss promises, row by row: its derivative, its weights, its stability far from zero."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlp_scratch import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber
from mlp_scratch.losses import LOSSES, default_loss
from tests import examples
from tests.tolerances import assert_close, assert_parity, difference_bound

ROWS = pytest.mark.parametrize("row", list(examples.losses()), ids=examples.loss_name)
FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
F64 = np.dtype("float64")
STEP = 2.0**-14


def batch(row, n=6, k=3, seed=0, dtype=F64):
    loss, targets = row
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, k)).astype(dtype)
    t = loss.prepare(targets(rng, n, k), k, F64)
    return loss, z, t.astype(dtype) if t.dtype.kind == "f" else t


@ROWS
@pytest.mark.parametrize("weighted", [False, True])
@given(seed=st.integers(0, 10_000), n=st.integers(1, 6), k=st.integers(2, 5))
def test_the_gradient_is_the_derivative_of_the_value(row, weighted, seed, n, k):
    loss, z, t = batch(row, n, k, seed)
    rng = np.random.default_rng(seed + 1)
    weights = rng.uniform(0, 2, n) if weighted else None
    gradient = loss.gradient(z, t, weights)
    v = rng.choice([-1.0, 1.0], z.shape) / np.sqrt(z.size)
    pieces = [loss.pieces(z + d * v, t) for d in (-STEP, 0, STEP)]
    if pieces[0] is not None and not (np.array_equal(pieces[0], pieces[1]) and np.array_equal(pieces[1], pieces[2])):
        return  # a kink inside the step: at normally distributed logits, one example in some thousands
    numeric = float(loss.value(z + STEP * v, t, weights) - loss.value(z - STEP * v, t, weights)) / (2 * STEP)
    slope = float((gradient * v).sum())
    scale = float(np.abs(z).max() + 1) ** 2 * k
    assert_close(numeric, slope, difference_bound(STEP, 1.0, scale, slope))


@ROWS
def test_complex_step_where_the_loss_is_analytic(row):
    loss, z, t = batch(row)
    weights = np.linspace(0.2, 1.0, len(z))
    if loss.analytic:
        gradient = loss.gradient(z, t, weights)
        for index in np.ndindex(z.shape):
            moved = z.astype(complex)
            moved[index] += 1e-100j
            assert_close(loss.value(moved, t, weights).imag / 1e-100, gradient[index], 1e-15)
    else:
        assert loss.pieces(z, t) is not None


@ROWS
def test_weights_of_one_are_no_weights(row):
    loss, z, t = batch(row, n=8)  # 1/8 is exact
    assert loss.value(z, t, np.ones(8)) == loss.value(z, t)
    assert np.array_equal(loss.gradient(z, t, np.ones(8)), loss.gradient(z, t))


@ROWS
@given(seed=st.integers(0, 10_000))
def test_weight_2_is_the_sample_twice(row, seed):
    loss, z, t = batch(row, seed=seed)
    counts = np.random.default_rng(seed).integers(0, 4, len(z))
    if counts.sum() == 0:
        return
    rows = np.repeat(np.arange(len(z)), counts)
    weighted, repeated = loss.value(z, t, counts.astype(float)), loss.value(z[rows], t[rows])
    assert_parity(weighted, repeated, tolerance=1e-14)
    summed = np.zeros_like(z)
    np.add.at(summed, rows, loss.gradient(z[rows], t[rows]))
    assert_close(loss.gradient(z, t, counts.astype(float)), summed, 1e-14 * (1 + np.abs(z).max()))


@ROWS
def test_a_common_factor_of_the_weights_changes_nothing(row):
    loss, z, t = batch(row)
    weights = np.linspace(0.1, 1.0, len(z))
    for factor in (4.0, 2.0**-30, 2.0**600, 2.0**-600):
        assert loss.value(z, t, weights * factor) == loss.value(z, t, weights)
        assert np.array_equal(loss.gradient(z, t, weights * factor), loss.gradient(z, t, weights))


def test_weights_whose_sum_overflows_are_not_lost():
    """Each weight is a number of the model's dtype; that their sum is none must not turn the loss into 0."""
    loss, z, t = batch((CrossEntropy(), examples.TARGETS["cross_entropy"][0]))
    huge = np.full(len(z), np.finfo(np.float64).max)
    with np.errstate(over="ignore"):
        assert_parity(loss.value(z, t, huge), loss.value(z, t), tolerance=1e-14)


@ROWS
def test_a_batch_of_zero_weight_has_no_loss_and_no_gradient(row):
    loss, z, t = batch(row)
    assert loss.value(z, t, np.zeros(len(z))) == 0
    assert not loss.gradient(z, t, np.zeros(len(z))).any()


@ROWS
def test_a_sample_of_zero_weight_does_not_count(row):
    loss, z, t = batch(row)
    weights = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert_parity(loss.value(z, t, weights), loss.value(z[:4], t[:4]), tolerance=1e-15)
    assert not loss.gradient(z, t, weights)[4:].any()


@ROWS
@pytest.mark.parametrize("dtype", FLOATS)
def test_dtype_is_kept(row, dtype):
    loss, z, t = batch(row, dtype=dtype)
    weights = np.linspace(0.1, 1.0, len(z)).astype(dtype)
    for w in (None, weights):
        assert loss.value(z, t, w).dtype == dtype
        assert loss.gradient(z, t, w).dtype == dtype


@ROWS
def test_nothing_is_modified(row):
    loss, z, t = batch(row)
    weights = np.linspace(0.1, 1.0, len(z))
    kept = z.copy(), t.copy(), weights.copy()
    for array in (z, t, weights):
        array.flags.writeable = False
    loss.value(z, t, weights)
    loss.gradient(z, t, weights)
    loss.predictions(z)
    loss.probabilities(z)
    loss.accuracies(z, t)
    loss.pieces(z, t)
    assert all(np.array_equal(a, b) for a, b in zip((z, t, weights), kept, strict=True))


@ROWS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_at_logits_of_1e4(row, dtype):
    loss, _, t = batch(row, n=8, dtype=dtype)
    z = 1e4 * np.random.default_rng(0).choice([-1.0, 1.0], (8, 3)).astype(dtype)
    with np.errstate(under="ignore"):
        assert np.isfinite(loss.value(z, t))
        assert np.isfinite(loss.gradient(z, t)).all()
    probabilities = loss.probabilities(z)
    assert probabilities is None or ((probabilities >= 0) & (probabilities <= 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_values_of_cross_entropy_far_out(dtype):
    z = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]], dtype)
    loss = CrossEntropy()
    values = [loss.sample_values(z, np.full(3, c)) for c in range(3)]
    log2, log3 = np.log(2), np.log(3)
    expected = [[0, 2e4 + log2, log3], [2e4, log2, log3], [1e4, log2, log3]]
    assert_close(values, np.array(expected), 2 * np.finfo(dtype).eps * (1 + np.array(expected)))
    gradient = loss.sample_gradients(z, np.array([1, 0, 2]))
    third = 1 / 3
    assert_close(gradient, [[1, -1, 0], [-1, 0.5, 0.5], [third, third, third - 1]], 2 * np.finfo(dtype).eps)


def test_a_class_that_is_ruled_out_and_not_wanted_costs_nothing():
    largest = np.finfo(np.float32).max
    z = np.array([[largest, -largest], [0, -np.inf]], np.float32)  # apart by more than there is a number for
    with np.errstate(over="ignore"):
        assert np.array_equal(CrossEntropy().sample_values(z, np.array([0, 0])), [0.0, 0.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_values_of_binary_cross_entropy_far_out(dtype):
    z = np.array([[1e4], [-1e4], [1e4], [-1e4], [0]], dtype)
    t = np.array([[1], [0], [0], [1], [1]], dtype)
    loss = BinaryCrossEntropy()
    assert_close(loss.sample_values(z, t), [0, 0, 1e4, 1e4, np.log(2)], np.finfo(dtype).eps * 2)
    assert_close(loss.sample_gradients(z, t), [[0], [0], [1], [-1], [-0.5]], 0.0)


def test_small_probabilities_keep_their_digits():
    """e^-40 is far below eps: a loss computed as -log(1 - p) would be 0."""
    assert_parity(BinaryCrossEntropy().sample_values(np.array([[-40.0]]), np.zeros((1, 1))), [np.exp(-40)])
    assert_parity(CrossEntropy().sample_gradients(np.array([[0.0, -40.0]]), np.array([0]))[0, 1], np.exp(-40.0))


@given(shift=st.floats(-1e4, 1e4), seed=st.integers(0, 999))
def test_cross_entropy_does_not_change_with_a_common_shift(shift, seed):
    for row in examples.losses():
        if row[0].kind == "cross_entropy":
            loss, z, t = batch(row, seed=seed)
            moved = z + shift
            rounding = 4 * np.finfo(float).eps * (abs(shift) + np.abs(z).max())  # of the shifted logits themselves
            assert_close(loss.sample_values(moved, t), loss.sample_values(z, t), rounding + 1e-15)
            assert_close(loss.sample_gradients(moved, t), loss.sample_gradients(z, t), rounding + 1e-15)


def test_the_gradient_of_cross_entropy_sums_to_zero():
    for row in examples.losses():
        if row[0].kind == "cross_entropy":
            loss, z, t = batch(row)
            assert_close(loss.sample_gradients(z, t).sum(axis=1), np.zeros(len(z)), 1e-15)


def test_class_indices_one_hot_rows_and_certain_probabilities_are_one():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    for loss in (CrossEntropy(), CrossEntropy(label_smoothing=0.2)):
        rows = loss.prepare(np.eye(4)[labels], 4, F64)
        assert np.array_equal(loss.sample_values(z, labels), loss.sample_values(z, rows))
        assert np.array_equal(loss.sample_gradients(z, labels), loss.sample_gradients(z, rows))
        assert np.array_equal(loss.accuracies(z, labels), loss.accuracies(z, rows))


def test_label_smoothing_mixes_with_the_uniform_distribution():
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    hard = CrossEntropy().sample_values(z, labels)
    uniform = CrossEntropy().sample_values(z, np.full((7, 4), 0.25))
    assert_parity(CrossEntropy(0.3).sample_values(z, labels), 0.7 * hard + 0.3 * uniform, tolerance=1e-14)
    assert_parity(CrossEntropy(1.0).sample_values(z, labels), uniform, tolerance=1e-14)


def test_derivatives_at_the_kinks():
    zero = np.zeros((1, 1))
    assert MAE().sample_gradients(zero, zero) == 0
    assert MSE().sample_gradients(zero, zero) == 0
    assert Huber(0.5).sample_gradients(np.array([[0.5]]), zero) == 0.5
    assert Huber(0.5).sample_values(np.array([[0.5]]), zero) == 0.125


@given(delta=st.floats(1e-3, 1e3), r=st.floats(-1e4, 1e4))
def test_huber_is_quadratic_inside_and_linear_outside(delta, r):
    value = float(Huber(delta).sample_values(np.array([[r]]), np.zeros((1, 1)))[0])
    expected = 0.5 * r * r if abs(r) <= delta else delta * (abs(r) - 0.5 * delta)
    assert_close(value, expected, 1e-15 * abs(expected) * 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_real_losses_do_not_overflow_on_the_branch_not_taken(dtype):
    far = np.array([[np.finfo(dtype).max / 4]], dtype)
    assert np.isfinite(Huber().sample_values(far, np.zeros((1, 1), dtype))).all()
    assert np.isfinite(MAE().sample_values(far, np.zeros((1, 1), dtype))).all()


def test_the_mean_is_over_all_elements():
    z, t = np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2))
    assert MSE().value(z, t) == 30 / 4
    assert MAE().value(z, t) == 10 / 4


def test_predictions_and_accuracies():
    z = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 5.0]])
    loss = LOSSES["cross_entropy"]
    assert loss.predictions(z).tolist() == [0, 2]
    assert loss.accuracies(z, np.array([0, 1])).tolist() == [True, False]
    assert loss.accuracies(z, np.array([[0.6, 0.4, 0], [0.1, 0.2, 0.7]])).tolist() == [True, True]
    binary = LOSSES["binary_cross_entropy"]
    assert binary.predictions(z - 0.5).tolist() == [[1, 1, 0], [0, 1, 1]]
    assert_close(binary.accuracies(z - 0.5, np.array([[1, 0, 0], [0, 0, 0]])), [2 / 3, 1 / 3], 1e-15)
    for kind in ("mse", "mae", "huber"):
        assert LOSSES[kind].predictions(z) is z
        assert LOSSES[kind].probabilities(z) is None
        assert LOSSES[kind].accuracies(z, z) is None


@pytest.mark.parametrize("cls", [np.float64, np.float32])
@pytest.mark.parametrize(
    "make", [lambda c: Huber(c(0.25)), lambda c: CrossEntropy(c(0.25))], ids=["huber", "cross_entropy"]
)
def test_a_constant_that_is_a_numpy_float_changes_no_dtype(make, cls):
    """NumPy's scalars are strong: unlike a Python float, np.float64(0.25) turns a float32 array into float64."""
    loss, plain = make(cls), make(float)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(4, 3)).astype(np.float16)
    t = loss.prepare(rng.dirichlet(np.ones(3), 4).astype(np.float16), 3, np.dtype(np.float16))
    assert loss.value(z, t).dtype == np.float16
    assert loss.gradient(z, t).dtype == np.float16
    assert loss.value(z, t) == plain.value(z, t)


@pytest.mark.parametrize(("n_outputs", "kind"), [(1, "mse"), (2, "cross_entropy"), (3, "cross_entropy")])
def test_what_a_model_is_taken_for_until_it_is_told(n_outputs, kind):
    assert default_loss(n_outputs) == LOSSES[kind]
