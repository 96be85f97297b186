"""Data of any type and size: on the GPU for the whole fit, streamed, or refused."""

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.backends import cuda, cuda_data, cuda_fleet
from mlp_scratch.errors import ArgumentError
from tests.backends.simulated_cuda.networks import trained

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NaN and infinity are ordinary numbers on a GPU


@pytest.mark.parametrize("dtype", ["float16", "float64", "bool", ">f4", "uint8", "int64"])
def test_any_number_type_and_layout_of_the_data(dtype, rng):
    X, y = rng.integers(0, 100, (10, 3)).astype(dtype), rng.integers(0, 3, 10)
    expected = trained(X.astype("float32"), y).flat
    for data in (X, np.asfortranarray(X), X[::-1].copy()[::-1]):
        assert np.array_equal(trained(data, y).flat, expected)


def test_a_data_set_that_does_not_fit_is_streamed(each_way, monkeypatch, rng):
    X, y = rng.normal(size=(11, 3)), rng.integers(0, 3, 11)
    options = {"epochs": 3, "sample_weight": rng.uniform(0.5, 1, 11), "batch_size": 2}
    expected = trained(X, y, layers=[ms.Dense(3, 3)], **options)
    # Half of this is room for 9 samples of 4 numbers, and thus for two pieces of 2 batches.
    monkeypatch.setattr(cuda, "free_memory", lambda: 2 * 9 * 4 * 4.0)
    streamed = trained(X, y, layers=[ms.Dense(3, 3)], **options)
    assert np.array_equal(streamed.flat, expected.flat)
    assert np.array_equal(streamed.history.losses, expected.history.losses)


def test_what_does_not_fit_is_refused_with_the_numbers(monkeypatch, rng):
    X, y = rng.normal(size=(4, 3)), rng.integers(0, 3, 4)
    monkeypatch.setattr(cuda_fleet, "free_memory", lambda: 100.0)
    with pytest.raises(ArgumentError, match=r"'cuda' for this model, .* MB, expected at most 90% of the .* MB"):
        trained(X, y)
    monkeypatch.setattr(cuda_data, "free_memory", lambda: 100.0)
    monkeypatch.setattr(cuda_fleet, "free_memory", lambda: 1e9)
    monkeypatch.setattr(cuda, "free_memory", lambda: 100.0)
    with pytest.raises(ArgumentError, match="'cuda' for two batches of this size"):
        trained(X, y)
