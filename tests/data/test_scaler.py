import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlp_scratch.data import Scaler
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, UnknownNameError

EPS = np.finfo(np.float64).eps

tables = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False),
)


@settings(deadline=None)
@given(tables)
def test_standard_gives_mean_0_and_variance_1(X):
    # The deviation is rounded to within a few ulp of the largest |x|; where it is not well above that, nothing holds.
    Z = Scaler.fit(X, kind="standard").transform(X, "float64")
    constant = X.max(axis=0) == X.min(axis=0)
    assert (Z[:, constant] == 0).all()
    rounding = 8 * len(X) * EPS * np.abs(X).max(axis=0)
    told_apart = ~constant & (X.std(axis=0) > 1e6 * rounding)
    tolerance = 1e-5  # rounding / deviation, at most 1e-6, times a few for the square
    np.testing.assert_allclose(Z[:, told_apart].mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose((Z[:, told_apart] ** 2).mean(axis=0), 1, atol=tolerance)


@settings(deadline=None)
@given(tables)
def test_minmax_gives_0_to_1(X):
    Z = Scaler.fit(X, kind="minmax").transform(X, "float64")
    assert (Z.min(axis=0) == 0).all()
    constant = X.max(axis=0) == X.min(axis=0)
    assert (Z.max(axis=0) == np.where(constant, 0, 1)).all()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", ">f8", "bool"])
def test_integers_and_other_dtypes_are_scaled_in_float64(dtype):
    X = (np.arange(12).reshape(4, 3) % 5).astype(dtype)
    expected = (X.astype(float) - X.astype(float).mean(axis=0)) / X.astype(float).std(axis=0)
    Z = Scaler.fit(X).transform(X, "float64")
    np.testing.assert_allclose(Z, expected, rtol=8 * EPS, atol=8 * EPS)


def test_none_and_float32():
    X = np.array([[0.1, -2.0], [3.0, 4.0]])
    Z = Scaler.fit(X, kind="none").transform(X, "float32")
    assert Z.dtype == np.float32
    np.testing.assert_array_equal(Z, X.astype(np.float32))


def test_a_large_offset_is_taken_off_before_rounding_to_float32():
    X = 1.7e9 + np.arange(100.0)[:, np.newaxis]  # seconds since 1970: float32 knows them to 128
    Z = Scaler.fit(X, kind="minmax").transform(X, "float32")
    np.testing.assert_array_equal(Z[:, 0], (np.arange(100) / 99).astype(np.float32))


def test_the_fit_looks_at_the_training_part_alone():
    X_train = np.array([[0.0], [10.0]])
    scaler = Scaler.fit(X_train, kind="minmax")
    np.testing.assert_array_equal(scaler.transform([[20.0], [-10.0]], "float64"), [[2.0], [-1.0]])


@pytest.mark.parametrize("size", [1e-300, 1e-190, 1e150, 1e300])
def test_tiny_and_huge_features_have_squares_beyond_float64(size):
    X = np.array([[0.0], [2.0], [4.0]])
    expected = Scaler.fit(X).transform(X, "float64")
    scaled = Scaler.fit(X * size).transform(X * size, "float64")
    np.testing.assert_allclose(scaled, expected, rtol=8 * EPS, atol=8 * EPS)


def test_blocks_cover_every_row():
    X = np.arange(2_300_000.0).reshape(-1, 2)  # three blocks
    np.testing.assert_array_equal(Scaler.by_range(0, 2).transform(X, "float64"), X / 2)
    scaler = Scaler.fit(X)
    rounding = len(X) * EPS  # the bound on a sum of so many positive numbers, one after another
    np.testing.assert_allclose(scaler.shift, X.mean(axis=0), rtol=rounding)
    np.testing.assert_allclose(scaler.scale, X.std(axis=0), rtol=rounding)


def test_the_input_is_left_as_it_is():
    X = np.array([[1.0, 2.0], [3.0, 5.0]])
    before = X.copy()
    scaler = Scaler.fit(X, kind="none")
    Z = scaler.transform(X, "float64")
    Z += 1
    np.testing.assert_array_equal(X, before)


def test_by_range_serves_any_number_of_features():
    pixels = Scaler.by_range(0, 16)
    for width in (1, 64):
        assert pixels.transform(np.full((2, width), 8, np.uint8)).tolist() == [[0.5] * width] * 2


@settings(deadline=None)
@given(tables)
def test_json_keeps_every_bit(X):
    scaler = Scaler.fit(X)
    back = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(back.shift, scaler.shift)
    np.testing.assert_array_equal(back.scale, scaler.scale)
    assert back.shift.shape == scaler.shift.shape


def test_json_keeps_a_single_pair_single():
    back = Scaler.from_dict(json.loads(json.dumps(Scaler.by_range(-1, 3).to_dict())))
    assert back.shift.shape == ()
    assert back.transform([[0.0, 3.0]], "float64").tolist() == [[0.25, 1.0]]


def test_it_is_frozen_all_the_way():
    scaler = Scaler.fit([[0.0], [1.0]])
    with pytest.raises(AttributeError):
        scaler.shift = np.zeros(1)
    with pytest.raises(ValueError, match="read-only"):
        scaler.shift[0] = 1


FITTED = Scaler.fit([[0.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Scaler.fit([[1.0]], kind="standart"), UnknownNameError, "kind: got 'standart', .*'standard'"),
        (lambda: Scaler.fit(np.empty((0, 3))), ArgumentError, r"X_train: got shape \(0, 3\), expected at least one"),
        (lambda: Scaler.fit([1.0, 2.0]), ArgumentError, r"X_train: got shape \(2,\), .*reshape"),
        (lambda: Scaler.fit([["a"]]), ArgumentTypeError, "X_train: got dtype <U1, expected a float or integer"),
        (lambda: Scaler.fit([[1.0], [np.nan]]), ArgumentError, r"X_train: got nan at position \(1, 0\)"),
        (lambda: Scaler.fit([[1.0], [-np.inf]]), ArgumentError, r"X_train: got -inf at position \(1, 0\)"),
        (lambda: Scaler.fit([[-1.7e308], [1.7e308]]), ArgumentError, "X_train: got -1.7e.308 to 1.7e.308 in column 0"),
        (lambda: FITTED.transform([[1.0]]), ArgumentError, r"X: got shape \(1, 1\), expected shape \(N, 2\)"),
        (lambda: FITTED.transform([[1.0, np.nan]]), ArgumentError, r"X: got nan at position \(0, 1\)"),
        (lambda: FITTED.transform([[1.0, 2.0]], "int8"), ArgumentError, "dtype: got 'int8', expected 'float32' or"),
        (lambda: FITTED.transform([[1e300, 0.0]]), ArgumentError, r"the scaled X: got inf at position \(0, 0\)"),
        (lambda: Scaler.by_range(1, 1), ArgumentError, "high: got 1.0, expected a finite number above 1"),
        (lambda: Scaler.by_range(0, float("nan")), ArgumentError, "high: got nan, expected a finite"),
        (lambda: Scaler(shift=[0.0], scale=[0.0]), ArgumentError, "scale: got 0.0, expected positive"),
        (lambda: Scaler(shift=[0.0], scale=[1.0, 1.0]), ArgumentError, r"scale: got shape \(2,\), expected shape"),
        (lambda: Scaler(shift=[float("nan")], scale=[1.0]), ArgumentError, r"shift: got \[nan\].*one finite number"),
        (lambda: Scaler.from_dict({"shift": 0.0}), ArgumentError, "saved: got {'shift': 0.0}.*keys shift and scale"),
        (lambda: Scaler.from_dict(None), ArgumentError, "saved: got None"),
        (
            lambda: Scaler.from_dict({"shift": "x", "scale": 1}),
            ArgumentError,
            r"shift: got 'x' \(str\), expected an array",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, words):
    with pytest.raises(error, match=f"^{words}") as caught:
        call()
    assert "\n" not in str(caught.value)
