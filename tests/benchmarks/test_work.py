import sys

import numpy as np
import pytest

from mlp_benchmarks.cases import CASES
from mlp_benchmarks.samples import load_samples
from mlp_benchmarks.work import SEED, Work, make_work
from mlp_scratch import MLP
from mlp_scratch.random import permutation


def test_file_keeps_every_bit(digits, tmp_path):
    digits.save(tmp_path / "work.npz")
    read = Work.load(tmp_path / "work.npz")
    for name in ("X", "y", "parameters", "order"):
        ours, theirs = getattr(digits, name), getattr(read, name)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert (read.case, read.optimizer, read.threads, read.data) == (digits.case, "sgd", 1, "digits")


def test_weights_are_those_of_our_model(digits):
    model = MLP(digits.case.widths, seed=SEED)
    for (weight, bias), position in zip(digits.layers, (0, 2), strict=True):
        np.testing.assert_array_equal(weight, model.parameters[f"{position}.weight"])
        np.testing.assert_array_equal(bias, model.parameters[f"{position}.bias"])


def test_order_is_our_shuffle_without_short_batches(digits):
    n, batch = len(digits.X), digits.case.batch
    full = n // batch
    for epoch in (0, 1):
        expected = permutation(SEED, epoch, n)[: full * batch].reshape(full, batch)
        np.testing.assert_array_equal(digits.order[epoch * full : (epoch + 1) * full], expected)


def test_rows_go_round(digits):
    steps = len(digits.order)
    np.testing.assert_array_equal(digits.batches(steps + 2)[steps:], digits.order[:2])


@pytest.mark.parametrize("name", ["xy-1x24", "digits"])
def test_samples_are_float32_and_contiguous(name):
    samples = load_samples(CASES[name])
    assert samples.X.dtype == np.float32
    assert samples.X.flags.c_contiguous
    assert np.abs(samples.X).max() == pytest.approx(1, abs=1e-2)  # scaled


@pytest.mark.parametrize("folder", ["without", "with other data"])
def test_random_pixels_are_called_random(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("MLP_SCRATCH_CACHE", str(tmp_path / "empty"))
    if folder == "without":
        monkeypatch.delenv("MLP_SCRATCH_DATA", raising=False)
    else:
        monkeypatch.setenv("MLP_SCRATCH_DATA", str(tmp_path))
    work = make_work(CASES["d2l"], "sgd", threads=1)
    assert work.data == "random"
    assert work.X.shape[1] == 784
    assert set(np.unique(work.y)) == set(range(10))


@pytest.mark.parametrize("variable", ["MLP_SCRATCH_CACHE", "MLP_SCRATCH_DATA"])
def test_a_folder_that_is_named_takes_no_package_that_downloads(monkeypatch, tmp_path, variable):
    for name in ("MLP_SCRATCH_CACHE", "MLP_SCRATCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setitem(sys.modules, "pooch", None)  # which can't be imported then
    assert load_samples(CASES["d2l"]).name == "random"
