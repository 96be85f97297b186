"""Losses, the targets they take, and optimisers with their hyper-parameters."""

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.losses import LOSSES, MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss
from mlp_scratch.optimizers import SGD, Adam, Optimizer


@cache
def losses(n_outputs: int | None = None) -> st.SearchStrategy[Loss]:
    """A loss with constants of its own that a model of `n_outputs` outputs can have; None: of two and more."""
    regressions = st.one_of(
        st.just(MSE()), st.just(MAE()), st.sampled_from([1.0, 0.25]).map(Huber), st.just(BinaryCrossEntropy())
    )
    if n_outputs == 1:
        return regressions
    return st.one_of(st.sampled_from([0.0, 0.125]).map(CrossEntropy), regressions)


@st.composite
def targets(draw: st.DrawFn, loss: Loss, n: int, n_outputs: int) -> Array:
    """Valid targets of `n` samples: hard ones or soft ones where the loss takes both.

    Raises:
        ArgumentError: for a loss whose targets are not known here.
    """
    if loss.kind not in LOSSES:
        raise ArgumentError(
            "loss", given=loss.kind, expected=f"one of {', '.join(LOSSES)}", mend="draw targets yourself"
        )
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    soft = draw(st.booleans())
    if isinstance(loss, CrossEntropy):
        return rng.dirichlet(np.ones(n_outputs), n) if soft else rng.integers(0, n_outputs, n)
    if isinstance(loss, BinaryCrossEntropy):
        return rng.uniform(size=(n, n_outputs)) if soft else rng.integers(0, 2, (n, n_outputs)).astype(float)
    y = rng.integers(-32, 32, (n, n_outputs), endpoint=True) / 16
    return y[:, 0] if n_outputs == 1 and soft else y


@cache
def optimizers() -> st.SearchStrategy[Optimizer]:
    """An optimiser with its hyper-parameters, with and without weight decay."""
    shared: dict[str, st.SearchStrategy[Any]] = {
        "lr": st.sampled_from([0.125, 0.01, 1e-3]),
        "weight_decay": st.sampled_from([0.0, 0.125]),
        "decoupled": st.booleans(),
        "decay": st.sampled_from(["all", "weights"]),
    }
    momentum = st.sampled_from([0.5, 0.9])
    adam = {
        "beta1": st.sampled_from([0.9, 0.5, 0.0]),
        "beta2": st.sampled_from([0.999, 0.75]),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "eps_mode": st.sampled_from(["torch", "keras"]),
    }
    return st.one_of(
        st.builds(SGD, **shared),
        st.builds(SGD, **shared, momentum=momentum, nesterov=st.booleans()),
        st.builds(Adam, **shared, **adam),
    )
