"""Mistakes: each is one line that names the argument, what was given, what was expected and the mend.

And each is found before anything has changed: parameters, running statistics, training state and history of a
trained model are the same bits after the failed call.
"""

import numpy as np
import pytest
import scipy.sparse

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from tests.refusals import assert_refused

N = 8
X = np.random.default_rng(0).normal(size=(N, 3))
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1])
ROWS = np.eye(3)[Y]


def changed(array, index, value):
    array = np.array(array, dtype=float)
    array[index] = value
    return array


@pytest.fixture(scope="module")
def trained():
    model = ms.MLP([3, 4, 3], batch_norm=True, dropout=0.1, seed=0)
    model.fit(X, Y, epochs=2, batch_size=4)
    return model


@pytest.fixture(scope="module")
def one_output():
    model = ms.MLP([3, 4, 1], seed=0)
    model.fit(X, X[:, 0], loss="mse", epochs=2)
    return model


FEATURES = {
    "too few columns": (X[:, :2], ArgumentError,
        r"X: got shape \(8, 2\), expected shape \(N, 3\), the model's number of inputs"),
    "transposed": (X[:3].T[:, :2].repeat(4, axis=1)[:3], ArgumentError,
        r"X: got shape \(3, 8\), expected shape \(N, 3\), the model's number of inputs; check the order of the axes"),
    "one sample without its axis": (X[0], ArgumentError,
        r"X: got shape \(3,\), expected an array of shape \(N, D\); "
        r"reshape one sample to \(1, D\), one feature to \(N, 1\)"),
    "images": (X.reshape(N, 3, 1), ArgumentError, r"X: got shape \(8, 3, 1\), expected an array of shape \(N, D\)"),
    "a number": (1.0, ArgumentError, r"X: got shape \(\), expected an array of shape \(N, D\)"),
    "None": (None, ArgumentTypeError, r"X: got None \(NoneType\), expected an array of numbers"),
    "rows by and by": ((row for row in X), ArgumentTypeError,
        r"X: got <generator object .* \(generator\), expected an array of numbers"),
    "a path": ("digits.csv", ArgumentTypeError, r"X: got 'digits\.csv' \(str\), expected an array of numbers"),
    "a sparse matrix": (scipy.sparse.eye_array(N, 3), ArgumentTypeError,
        r"X: got <DIAgonal sparse array of dtype 'float64' with 3 stored e\.\.\. \(dia_array\), "
        r"expected an array of numbers; convert it with \.toarray\(\)"),
    "masked numbers": (np.ma.masked_greater(X, 0.5), ArgumentError,
        r"X: got masked numbers, expected an array without any; fill them in, e\.g\. with \.filled\(0\)"),
    "objects": (X.astype(object), ArgumentTypeError,
        r"X: got dtype object, expected a float or integer dtype; convert it with \.astype\(float\)"),
    "strings": (X.astype(str), ArgumentTypeError,
        r"X: got dtype <U32, expected a float or integer dtype; convert it with \.astype\(float\)"),
    "complex": (X.astype(complex), ArgumentTypeError, r"X: got dtype complex128, expected a float or integer dtype"),
    "dates": (np.zeros((N, 3), "datetime64[s]"), ArgumentTypeError,
        r"X: got dtype datetime64\[s\], expected a float or integer dtype"),
    "ragged": ([[1.0, 2.0], [1.0]], ArgumentTypeError, r"X: got rows of different lengths, expected an array"),
    "no samples": (np.empty((0, 3)), ArgumentError,
        r"X: got shape \(0, 3\), expected at least one sample and one feature"),
    "no features": (np.empty((8, 0)), ArgumentError,
        r"X: got shape \(8, 0\), expected at least one sample and one feature"),
    "NaN": (changed(X, (5, 1), np.nan), ArgumentError,
        r"X: got nan at position \(5, 1\), expected finite numbers that fit float32; "
        r"drop or fill such samples, e\.g\. with numpy\.nan_to_num"),
    "infinity": (changed(X, (0, 2), -np.inf), ArgumentError,
        r"X: got -inf at position \(0, 2\), expected finite numbers that fit float32; .*"),
    "too large for float32": (changed(X, (7, 0), 1e39), ArgumentError,
        r"X: got 1e\+39 at position \(7, 0\), expected finite numbers that fit float32; .*"),
}  # fmt: skip


@pytest.mark.parametrize("call", ["fit", "evaluate", "loss_and_gradients", "predict", "predict_proba"])
@pytest.mark.parametrize("mistake", FEATURES)
def test_features(mistake, call, trained):
    bad, kind, message = FEATURES[mistake]
    method = getattr(trained, call)
    given = (bad,) if call.startswith("predict") else (bad, Y)
    assert_refused(lambda: method(*given), kind, message, trained)


SOFTMAX_TARGETS = {
    "label too large": (np.where(Y == 2, 3, Y), ArgumentError,
        r"y: got label 3 at position 2, expected class indices from 0 to 2, the model's 3 outputs; "
        r"give the model one output a class, and number the classes from 0"),
    "negative label": (np.where(np.arange(N) == 4, -1, Y), ArgumentError,
        r"y: got label -1 at position 4, expected class indices from 0 to 2, the model's 3 outputs; .*"),
    "real labels": (Y.astype(float), ArgumentTypeError,
        r"y: got labels of dtype float64, expected integer class indices, \(N,\), or probability rows, \(N, C\); "
        r"convert whole-numbered labels with \.astype\(int\); for real targets use loss='mse'"),
    "NaN labels": (changed(Y, 3, np.nan), ArgumentError, r"y: got nan at position 3, expected no missing label; .*"),
    "names": (np.array(["cat", "dog", "eel"])[Y], ArgumentTypeError,
        r"y: got dtype <U3, expected a float or integer dtype; "
        r"number the classes with numpy\.unique\(y, return_inverse=True\)\[1\]"),
    "objects": (Y.astype(object), ArgumentTypeError, r"y: got dtype object, expected .*; number the classes with .*"),
    "None": (None, ArgumentTypeError, r"y: got None \(NoneType\), expected an array of numbers"),
    "a column": (Y[:, np.newaxis], ArgumentError,
        r"y: got shape \(8, 1\), expected class indices, \(N,\), or probability rows, \(N, 3\); "
        r"use y\.ravel\(\) for a column of labels"),
    "masked labels": (np.ma.masked_equal(Y, 1), ArgumentError, r"y: got masked numbers, expected .*"),
    "complex": (ROWS.astype(complex), ArgumentTypeError, r"y: got dtype complex128, expected .*"),
    "too few": (Y[:-1], ArgumentError, r"y: got length 7, expected as many as X has samples, 8"),
    "too many rows": (np.vstack([ROWS, ROWS]), ArgumentError,
        r"y: got length 16, expected as many as X has samples, 8"),
    "empty": (Y[:0], ArgumentError, r"y: got length 0, expected as many as X has samples, 8"),
    "rows of the wrong width": (ROWS[:, :2], ArgumentError,
        r"y: got shape \(8, 2\), expected shape \(N, 3\); the model has 3 outputs"),
    "a number": (0, ArgumentError, r"y: got shape \(\), expected shape \(N, 3\); the model has 3 outputs"),
    "three axes": (ROWS[:, :, np.newaxis], ArgumentError,
        r"y: got shape \(8, 3, 1\), expected shape \(N, 3\); the model has 3 outputs"),
    "rows that sum to 2": (2 * ROWS, ArgumentError,
        r"y: got row 0 with smallest value 0 and sum 2, expected rows of probabilities: none negative, each row "
        r"summing to 1; normalise the rows, or use binary_cross_entropy for several labels a sample"),
    "negative probability": (changed(ROWS, 6, [1.5, -0.5, 0.0]), ArgumentError,
        r"y: got row 6 with smallest value -0\.5 and sum 1, expected rows of probabilities: .*"),
    "NaN in rows": (changed(ROWS, (2, 1), np.nan), ArgumentError, r"y: got nan at position \(2, 1\), expected .*"),
    "infinity in rows": (changed(ROWS, (2, 1), np.inf), ArgumentError, r"y: got inf at position \(2, 1\), .*"),
    "ragged": ([[1, 0, 0], [1]], ArgumentTypeError, r"y: got rows of different lengths, expected an array"),
}  # fmt: skip


@pytest.mark.parametrize("call", ["fit", "evaluate", "loss_and_gradients"])
@pytest.mark.parametrize("mistake", SOFTMAX_TARGETS)
def test_targets_of_cross_entropy(mistake, call, trained):
    bad, kind, message = SOFTMAX_TARGETS[mistake]
    assert_refused(lambda: getattr(trained, call)(X, bad), kind, message, trained)


REAL_TARGETS = {
    "too wide": (ROWS, r"y: got shape \(8, 3\), expected shape \(N, 1\) or \(N,\); the model has 1 output"),
    "NaN": (changed(X[:, 0], 4, np.nan),
        r"y: got nan at position \(4, 0\), expected finite numbers that fit float32; .*"),
    "infinity": (changed(X[:, 0], 4, np.inf), r"y: got inf at position \(4, 0\), expected finite numbers .*"),
    "too few": (np.full(7, 0.5), r"y: got length 7, expected as many as X has samples, 8"),
    "empty": (X[:0, 0], r"y: got length 0, expected as many as X has samples, 8"),
}  # fmt: skip


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy"])
@pytest.mark.parametrize("mistake", REAL_TARGETS)
def test_targets_of_the_other_losses(mistake, loss, one_output):
    bad, message = REAL_TARGETS[mistake]
    assert_refused(lambda: one_output.fit(X, bad, loss=loss), ArgumentError, message, one_output)


def test_labels_of_binary_cross_entropy(one_output):
    message = (
        r"y: got 2 at position \(2, 0\), expected labels 0 or 1, or probabilities between them; "
        r"for class numbers use cross_entropy with one output a class"
    )
    assert_refused(lambda: one_output.fit(X, Y, loss="binary_cross_entropy"), ArgumentError, message, one_output)


def test_cross_entropy_of_one_output(one_output):
    message = (
        r"loss: got cross_entropy on a model of one output, expected a model of as many outputs as there are "
        r"classes; use binary_cross_entropy for one output"
    )
    assert_refused(lambda: one_output.fit(X, Y, loss="cross_entropy"), ArgumentError, message, one_output)


class Silent(ms.Callback):
    pass


OPTIONS = {
    "batch size 0": ({"batch_size": 0}, ArgumentError,
        r"batch_size: got 0, expected an integer of at least 1; try 32"),
    "batch size -4": ({"batch_size": -4}, ArgumentError,
        r"batch_size: got -4, expected an integer of at least 1; try 32"),
    "batch size 2.5": ({"batch_size": 2.5}, ArgumentTypeError,
        r"batch_size: got 2\.5 \(float\), expected an integer; try 32"),
    "batch size True": ({"batch_size": True}, ArgumentTypeError,
        r"batch_size: got True \(bool\), expected an integer; try 32"),
    "batch size None": ({"batch_size": None}, ArgumentTypeError,
        r"batch_size: got None \(NoneType\), expected an integer; try 32"),
    "a batch of one and batch norm": ({"batch_size": 7}, ArgumentError,
        r"batch_size: got 7, which cuts 8 samples so that a batch has one sample, expected batches of at least 2 "
        r"samples where the model has batch normalisation; one sample is its own mean: every feature would become 0; "
        r"choose another batch_size"),
    "batches of one and batch norm": ({"batch_size": 1}, ArgumentError, r"batch_size: got 1, which cuts 8 .*"),
    "no epochs": ({"epochs": 0}, ArgumentError, r"epochs: got 0, expected an integer of at least 1"),
    "negative epochs": ({"epochs": -1}, ArgumentError, r"epochs: got -1, expected an integer of at least 1"),
    "half an epoch": ({"epochs": 0.5}, ArgumentTypeError, r"epochs: got 0\.5 \(float\), expected an integer"),
    "unknown loss": ({"loss": "crossentropy"}, UnknownNameError,
        r"loss: got 'crossentropy', expected one of binary_cross_entropy, cross_entropy, huber, mae, mse; "
        r"did you mean 'cross_entropy'\?"),
    "a loss that is no loss": ({"loss": np.mean}, ArgumentTypeError,
        r"loss: got <function mean at 0x[0-9a-f]+> \(.*\), expected a Loss or one of the names .*"),
    "unknown optimiser": ({"optimizer": "adma"}, UnknownNameError,
        r"optimizer: got 'adma', expected one of adam, adamw, momentum, nesterov, sgd; did you mean 'adam'\?"),
    "an optimiser's class": ({"optimizer": ms.Adam}, ArgumentTypeError,
        r"optimizer: got <class 'mlp_scratch\.optimizers\.adam\.Adam'> \(type\), expected an Optimizer or one .*"),
    "unknown backend": ({"backend": "nunpy"}, UnknownNameError,
        r"backend: got 'nunpy', expected one of auto, .*numpy; did you mean 'numpy'\?"),
    "unknown precision": ({"precision": "tf23"}, UnknownNameError,
        r"precision: got 'tf23', expected one of 3xtf32, bf16, float32, float64, tf32; did you mean 'tf32'\?"),
    "a precision that is a dtype": ({"precision": np.float32}, ArgumentTypeError,
        r"precision: got <class 'numpy\.float32'> \(type\), expected a str or one of the names 3xtf32, bf16, .*"),
    "a precision of a GPU on numba": ({"precision": "tf32", "backend": "numba"}, ArgumentError,
        r"precision: got 'tf32' with backend 'numba', expected 'float32'; only a GPU has the others: "
        r"use backend='cuda'"),
    "a precision of a GPU on numpy": ({"precision": "bf16", "backend": "numpy"}, ArgumentError,
        r"precision: got 'bf16' with backend 'numpy', expected 'float32'; .*"),
    "a precision of other models": ({"precision": "float64"}, ArgumentError,
        r"precision: got 'float64' for a model in float32, expected 'float32' or '3xtf32' or 'tf32' or 'bf16'; "
        r"make the model with dtype='float64'"),
    "no threads": ({"threads": 0}, ArgumentError, r"threads: got 0, expected an integer of at least 1"),
    "negative seed": ({"seed": -1}, ArgumentError, r"seed: got -1, expected an integer of at least 0"),
    "fractional seed": ({"seed": 0.5}, ArgumentTypeError, r"seed: got 0\.5 \(float\), expected an integer"),
    "validation 0": ({"validation": 0.0}, ArgumentError,
        r"validation: got 0\.0, expected a finite number above 0 and below 1; or pass a pair \(X_val, y_val\)"),
    "validation 1": ({"validation": 1.0}, ArgumentError, r"validation: got 1\.0, expected a finite number above 0 .*"),
    "validation NaN": ({"validation": np.nan}, ArgumentError, r"validation: got nan, expected a finite number .*"),
    "validation of no sample": ({"validation": 0.01}, ArgumentError,
        r"validation: got 0\.01, 0 of 8 samples, expected a fraction that leaves samples on both sides"),
    "validation of one array": ({"validation": (X,)}, ArgumentError,
        r"validation: got 1 arrays, expected a pair \(X, y\) or a fraction"),
    "validation of a wrong type": ({"validation": "0.2"}, ArgumentTypeError,
        r"validation: got '0\.2' \(str\), expected a real number; or pass a pair \(X_val, y_val\)"),
    "validation features": ({"validation": (X[:, :2], Y)}, ArgumentError,
        r"validation.*: got shape \(8, 2\), expected shape \(N, 3\), the model's number of inputs"),
    "validation targets": ({"validation": (X, Y + 1)}, ArgumentError,
        r"validation.*: got label 3 at position 2, expected class indices from 0 to 2, .*"),
    "validation lengths": ({"validation": (X, Y[:5])}, ArgumentError,
        r"validation.*: got length 5, expected as many as .*X.* has samples, 8"),
    "weights too few": ({"sample_weight": np.ones(7)}, ArgumentError,
        r"sample_weight: got length 7, expected as many as X has samples, 8"),
    "weights of two axes": ({"sample_weight": np.ones((8, 1))}, ArgumentError,
        r"sample_weight: got shape \(8, 1\), expected one weight a sample, \(N,\)"),
    "negative weight": ({"sample_weight": changed(np.ones(8), 3, -0.5)}, ArgumentError,
        r"sample_weight: got -0\.5 at position 3, expected weights that are not negative, .*"),
    "weights of zeros": ({"sample_weight": np.zeros(8)}, ArgumentError,
        r"sample_weight: got only zeros, expected weights that are not negative, at least one of them above 0"),
    "NaN weight": ({"sample_weight": changed(np.ones(8), 3, np.nan)}, ArgumentError,
        r"sample_weight: got nan at position \(3,\), expected finite numbers that fit float32; .*"),
    "infinite weight": ({"sample_weight": changed(np.ones(8), 3, np.inf)}, ArgumentError,
        r"sample_weight: got inf at position \(3,\), expected finite numbers that fit float32; .*"),
    "complex weights": ({"sample_weight": np.ones(8, complex)}, ArgumentTypeError,
        r"sample_weight: got dtype complex128, expected a float or integer dtype"),
    "a callback's class": ({"callbacks": [Silent]}, ArgumentTypeError,
        r"callbacks: got <class '.*Silent'> \(type\), expected Callback objects"),
    "a callback without its list": ({"callbacks": Silent()}, ArgumentTypeError,
        r"callbacks: got <.*Silent object at .* \(Silent\), expected .*"),
    "shuffle as text": ({"shuffle": "no"}, ArgumentTypeError, r"shuffle: got 'no' \(str\), expected True or False"),
    "resume 0": ({"resume": 0}, ArgumentTypeError, r"resume: got 0 \(int\), expected True or False"),
    "progress as text": ({"progress": "off"}, ArgumentTypeError,
        r"progress: got 'off' \(str\), expected True or False"),
    "a monitor that is not there": ({"callbacks": [ms.EarlyStopping(monitor="val_loss")]}, ArgumentError,
        r"monitor: got 'val_loss', which this fit does not report, expected a figure of the fit; "
        r"give fit a validation set"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", OPTIONS)
def test_options_of_fit(mistake, trained):
    options, kind, message = OPTIONS[mistake]
    assert_refused(lambda: trained.fit(X, Y, **options), kind, message, trained)


def test_a_single_sample_in_a_gradient_with_batch_norm(trained):
    message = (
        r"X: got one sample, expected at least 2 samples where the model has batch normalisation; "
        r"one sample is its own mean: every feature would become 0; pass more samples"
    )
    assert_refused(lambda: trained.loss_and_gradients(X[:1], Y[:1]), ArgumentError, message, trained)
    assert_refused(lambda: ms.gradcheck(trained, X[:1], Y[:1]), ArgumentError, message, trained)


def test_training_mode_as_text(trained):
    message = r"training: got 'no' \(str\), expected True or False"
    assert_refused(lambda: trained.loss_and_gradients(X, Y, training="no"), ArgumentTypeError, message, trained)


def test_numpys_truth_values_are_truth_values():
    model = ms.MLP([3, 4, 3], batch_norm=np.True_)
    model.fit(X, Y, epochs=1, shuffle=np.False_, progress=np.False_)
    assert model.training.shuffle is False


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_an_output_that_is_no_number_is_no_class(loss, backend):
    model = ms.MLP([3, 4, 3], seed=0)
    model.fit(X, ROWS, loss=loss, epochs=1)
    model.parameters["2.bias"][1] = np.nan
    message = (
        r"X: got a sample, number 0, for which output 1 of the model is nan, expected outputs that are numbers; "
        r"look for NaN in model\.parameters, or scale the features"
    )
    assert_refused(lambda: model.predict(X, backend=backend), ArgumentError, message, model)
    assert np.isnan(model.predict_proba(X)).any(axis=1).all()


def test_probabilities_of_a_regression(one_output):
    message = (
        r"loss: got a model fitted with mse, expected one fitted with cross_entropy or binary_cross_entropy; "
        r"a regression has no probabilities: use predict"
    )
    assert_refused(lambda: one_output.predict_proba(X), ArgumentError, message, one_output)
