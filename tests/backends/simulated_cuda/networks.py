"""Networks for the tests of this folder, and how to have them run in a way of one's choice."""

import mlp_scratch as ms
from mlp_scratch.backends import cuda_fleet, cuda_ways
from mlp_scratch.backends.cuda_runners import LaunchRunner
from mlp_scratch.backends.cuda_ways import Way

WAYS = ("block in shared memory", "block", "grid", "launches", "graph")


def way_of(name, update, side):
    return Way(name if update != "infer" or name == "matrices" else "launches", side)


def use(monkeypatch, way, side=2, threads=3):
    """Run all networks in this way, with blocks of a size that divides nothing.

    What a graph records are the launches of "launches" here: matrix kernels, which are slow to simulate, have tests of
    their own.
    """
    if way == "graph":
        monkeypatch.setattr(cuda_fleet, "MatrixRunner", lambda lowered, chosen, _at: LaunchRunner(lowered, chosen))
    choose = lambda _program, _size, update, **_: way_of(way, update, side)  # noqa: E731
    monkeypatch.setattr(cuda_ways, "way_for", choose)
    monkeypatch.setattr(cuda_ways, "THREADS", threads)
    return way


def trained(X, y, *, backend="cuda", dtype="float32", layers=None, **options):
    chosen = layers or [ms.Dense(X.shape[1], 5), ms.BatchNorm(), ms.ReLU(), ms.Dropout(0.2), ms.Dense(5, 3)]
    model = ms.Sequential(chosen, dtype=dtype, seed=3)
    options = {"loss": "cross_entropy", "batch_size": 4, "epochs": 2} | options
    model.fit(X, y, backend=backend, progress=False, **options)
    return model
