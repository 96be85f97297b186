"""What a fit on the compiled backend needs beyond the data: parameters, optimiser state, two batches, 32 MB.

Measured in a process of its own, which has trained before so that all code is loaded: the peak of its resident memory
during a fit, less what was resident just before it, the data among that. The peak is reset by the kernel on request
(`man 5 proc`, clear_refs). Memory is no clock: the figure is the same on a busy machine.

    parameters P         n elements of the model's dtype
    optimiser state S    2 n with Adam
    activations A        batch x (inputs + outputs of every layer)
    orders O             24 bytes a sample: its number, its place in an epoch, and one more to draw that
    allowed              P + S + 2 A + O + 32 MB

The panels that training works on are a second copy of P and S, beside those that the model keeps until a call ends,
lest a step that diverges leave nothing; in a network of the usual size the 32 MB hold them, and the last test sees to
it that there is no third copy of any part. Very wide ones are trained where their parameters lie.

Class labels of another type than int64 are brought into that, which takes 8 bytes a sample more.

In the first test the data set is 6 times what is allowed, so that even a copy of it in float32, or of a sixth of it,
would be seen.
"""

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import mlp_scratch as ms

ROOT = Path(__file__).parents[2]
ALLOWANCE = 32e6
MEASURE = """
import json, sys
import numpy as np
import mlp_scratch as ms
layout, N, D, width, BATCH, held_out = sys.argv[1], *map(int, sys.argv[2:6]), float(sys.argv[6]) or None
widths = [D, width, width, 10]

def resident(row):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(row))

def fit(X, y):
    model = ms.MLP(widths, dropout=0.1, seed=0)
    model.fit(X, y, optimizer="adam", batch_size=BATCH, epochs=1, validation=held_out, backend="numba", progress=False)
    return model

rng = np.random.default_rng(0)
fit(rng.normal(size=(600, D)), np.arange(600) % 10).predict(rng.normal(size=(1, D)), backend="numba")
shape = {"C": (N, D), "F": (D, N), "strided": (N, D + 3)}[layout]
X = rng.standard_normal(shape)
X = {"C": X, "F": X.T, "strided": X[:, 1 : D + 1]}[layout]
y = np.arange(N) % 10
before = resident("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
model = fit(X, y)
peak = resident("VmHWM") - before
n = model.n_parameters
activations = BATCH * sum(op.n_out for op in model.placed) + BATCH * D
print(json.dumps({"peak": peak, "data": X.nbytes, "state": 12 * n, "allowed": 4 * (3 * n + 2 * activations) + 24 * N}))
"""


def measured(layout, samples, width, held_out=0, features=784, batch=256):
    """What such a fit needs beyond the data, what the data are, and what is allowed beside the 32 MB."""
    command = [sys.executable, "-c", MEASURE, layout, *map(str, (samples, features, width, batch, held_out))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_a_peak = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory cannot be reset here"
)


@needs_a_peak
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_a_fit_needs_two_batches_and_no_copy_of_the_data(layout):
    found = measured(layout, 65_000, 512)
    allowed = found["allowed"] + ALLOWANCE
    assert found["data"] > 6 * allowed
    assert 0 < found["peak"] <= allowed, found


@needs_a_peak
def test_many_samples_of_few_features():
    """Each number that is kept for a sample would be seen: 8 bytes are 24 MB here."""
    found = measured("C", 3_000_000, 16, features=8, batch=4096)
    assert 0 < found["peak"] <= found["allowed"] + ALLOWANCE / 4, found


@needs_a_peak
@pytest.mark.parametrize(("width", "held_out"), [(3072, 0.3), (3001, 0)])
def test_a_network_too_large_to_be_copied(width, held_out):
    """Also where no size is a multiple of anything."""
    found = measured("C", 1_000, width, held_out)
    assert 0 < found["peak"] <= found["allowed"] + ALLOWANCE < 2 * found["state"], found


@pytest.mark.parametrize("optimizer", [ms.SGD(0.1), ms.Adam()])
def test_a_fit_holds_parameters_and_state_twice_and_never_a_third_time(optimizer, rng):
    """Arrays that NumPy allocates, data and the model itself apart: its optimiser's state, the panels, activations."""
    batch, widths = 64, [784, 1000, 1000, 10]
    X, y = rng.normal(size=(700, 784)).astype("float32"), np.arange(700) % 10

    def peak_of_fit(model):
        options = {"optimizer": optimizer, "batch_size": batch, "epochs": 2, "validation": (X[:batch], y[:batch])}
        tracemalloc.start()
        try:
            model.fit(X, y, backend="numba", progress=False, **options)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_of_fit(ms.MLP([784, 3, 10]))  # compiling takes memory of its own
    model = ms.MLP(widths)
    P = model.flat.nbytes
    S = len(optimizer.slots) * P
    A = 4 * batch * (784 + sum(op.n_out for op in model.placed))
    padding = 0.02 * (P + S)  # 10 outputs take the room of 32, 1000 that of 1024
    batches = 2 * A + A  # two in training, and one that is scored in between
    assert P + S < peak_of_fit(model) - S <= P + S + padding + batches < P + S + P
