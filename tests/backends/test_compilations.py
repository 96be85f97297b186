"""What a fit of another kind compiles: hardly anything, as docs/cpu-backend.md lists it.

Counted in a process of its own, where no test before has brought code into memory: each kernel that is looked for on
disk is one that would have to be compiled.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = """
import json
from contextlib import suppress
import numpy as np
import mlp_scratch as ms
from mlp_kernels.cpu import caching
from mlp_scratch.backends import numba_tables

looked_for, load = [], caching.KernelCache._load_overload

def look(cache, *key):
    looked_for.append(cache._py_func.__name__)
    return load(cache, *key)

caching.KernelCache._load_overload = look
rng = np.random.default_rng(0)

def fit(widths=(5, 40, 3), X=None, batch=32, optimizer=ms.Adam(), loss="cross_entropy"):
    X = rng.normal(size=(50, widths[0])).astype("float32") if X is None else X
    with suppress(ms.DivergedError):
        ms.MLP(widths).fit(X, rng.integers(0, 3, 50), loss=loss, optimizer=optimizer, batch_size=batch, epochs=1,
                           backend="numba", progress=False)
    names = sorted(set(looked_for))
    del looked_for[:]
    return names

fit()
X = rng.normal(size=(50, 10)).astype("float32")
found = {
    "architecture": fit((7, 33, 20, 65, 3)),
    "batch": fit(batch=33),
    "layout": fit(X=np.asfortranarray(X[:, ::2])),
    "hyper-parameters": fit(optimizer=ms.Adam(0.1, beta1=0.5, eps=1e-3)),
    "smoothing": fit(loss=ms.CrossEntropy(label_smoothing=0.1)),
    "one output": fit((5, 1, 3)),
    "one sample": fit(batch=1),
    "decay": fit(optimizer=ms.Adam(weight_decay=0.1)),
    "another decay": fit(optimizer=ms.Adam(weight_decay=0.2, decoupled=True)),
    "no eps": fit(optimizer=ms.Adam(eps=0.0)),
    "float64": fit(X=X[:, :5].astype("float64")),
    "uint8": fit(X=rng.integers(0, 9, (50, 5)).astype("uint8")),
}
numba_tables.MOST_COPIED = 0
found["wide"] = fit()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found():
    """The names of the kernels that a fit looks for which differs from those before in one respect."""
    done = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "respect", ["architecture", "batch", "layout", "hyper-parameters", "another decay", "smoothing"]
)
def test_nothing_is_compiled(respect, found):
    assert found[respect] == []


@pytest.mark.parametrize(
    ("respect", "kernels"),
    [
        ("one output", ["column_update"]),
        ("one sample", ["cross_entropy_of_labels"]),
        ("decay", ["vector_update", "weights_update"]),
        ("no eps", ["vector_update", "weights_update"]),
        ("float64", ["gather"]),
        ("uint8", ["gather"]),
        ("wide", ["judge", "largest", "note", "turn", "update_in_place"]),
    ],
)
def test_a_few_small_kernels_are(respect, kernels, found):
    assert found[respect] == kernels
