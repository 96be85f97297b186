"""Averages: noise must not move them, and running statistics must not underestimate them."""

from itertools import product

import numpy as np

from mlp_scratch.layers import BatchNorm, Context
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError
from mlp_scratch.testing.point import Point

COPIES = 4096
SIGMAS = 6.0
"""A mean of random numbers may be this many standard deviations off: by chance once in 5e8."""


def unbiased(point: Point) -> None:
    """Dropout: the mean over many copies of a row is what inference makes of that row, in y and in dx."""
    expectation = point.function.expectation
    if expectation is None:
        return
    row = np.where(point.inputs["x"][:1] == 0, 1.0, point.inputs["x"][:1])
    inputs = {**point.copy(), "x": np.repeat(row, COPIES, axis=0)}
    y, pullback = point.function.vjp(inputs)
    dx = pullback(np.ones_like(y))["x"]
    claim = "noise leaves the mean as inference has it"
    for what, sample, mean in (("y", y, expectation({**inputs, "x": row})[0]), ("dx", dx, np.ones(row.shape[1]))):
        # One column at a time: each has a spread of its own.
        for column, (drawn, expected) in enumerate(zip(sample.T, mean, strict=True)):
            spread = SIGMAS * float(drawn.std()) / np.sqrt(COPIES)
            allowed = spread + tolerances.rounding(COPIES, abs(float(expected)), np.float64)
            label = f"the mean of {what}[:, {column}]"
            point.compare(
                "unbiased", claim, label, np.asarray(drawn.mean()), np.asarray(expected), allowed, ("mean", "expected")
            )


def check_running_statistics(layer: BatchNorm) -> None:
    """Hold a batch normalisation to running statistics that are right on average, by enumeration.

    Over all batches of n samples that can be drawn from a small population with replacement, the batch's mean
    averages to the population's mean, and Σ (x - mean)² / (n - 1), the unbiased variance, to the population's variance.

    Raises:
        PropertyError: where one of them does not.

    >>> check_running_statistics(BatchNorm())
    """
    population, n = np.array([-1.0, 0.5, 2.0]), 2
    ready = layer.bind(1)
    parameters, buffers = {"weight": np.ones(1), "bias": np.zeros(1)}, ready.initial_buffers()
    after = []
    for batch in product(population, repeat=n):
        _, cache = ready.forward(parameters, np.array(batch)[:, np.newaxis], Context(training=True, buffers=buffers))
        after.append(ready.next_buffers(buffers, cache))
    moved = {"running_mean": population.mean(), "running_var": population.var()}
    for name, value in moved.items():
        mean = float(np.mean([buffers_after[name] for buffers_after in after]))
        expected = float((1 - ready.momentum) * buffers[name][0] + ready.momentum * value)
        if not abs(mean - expected) <= tolerances.rounding(len(after), abs(expected) + 1, np.float64):
            claim = "running statistics are those of the population on average"
            facts: dict[str, object] = {"layer": repr(layer), "of": name, "average": mean, "expected": expected}
            kind = type(layer).__name__
            code = (
                f"from mlp_scratch.layers import {kind}\nfrom mlp_scratch.testing import check_running_statistics\n"
                f"check_running_statistics({layer!r})"
            )
            raise PropertyError("running_statistics", claim, facts, code)
