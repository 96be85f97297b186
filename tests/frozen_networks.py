"""A network with every kind of layer that learns, and what its layers hold, for tests of freezing them."""

import numpy as np

import mlp_scratch as ms


def network(dtype="float64", seed=0):
    """Everything that learns: matrices with a bias and without, normalisation, slopes that are shared or not."""
    model = ms.Sequential(
        [
            *(ms.Dense(3, 9, bias=False), ms.BatchNorm(), ms.PReLU(per_feature=True), ms.Dropout(0.2)),
            *(ms.Dense(9, 5), ms.PReLU(), ms.Dense(5, 2)),
        ],
        dtype=dtype,
        seed=seed,
    )
    model.buffer_vector[...] = np.random.default_rng(1).uniform(0.5, 1.5, model.buffer_vector.shape)
    return model


def held(model):
    """The bytes of every layer's parameters, of their slots, and of its running statistics, by position."""
    slots = [model.named(row) for row in model.training.slots] if model.training else []
    return [
        b"".join(
            views[name].tobytes()
            for views in (model.parameters, *slots, model.buffers)
            for name in views
            if int(name.split(".")[0]) == position
        )
        for position in range(len(model.layers))
    ]


def samples(rng):
    """X (20, 3) and two classes."""
    return rng.normal(size=(20, 3)), rng.integers(0, 2, 20)


def fit(model, data, backend="numpy", **options):
    options = {"optimizer": "adamw", "batch_size": 8, "epochs": 2, "progress": False} | options
    model.fit(*data, backend=backend, **options)
    return model
