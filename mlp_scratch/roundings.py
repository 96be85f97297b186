"""How large the numbers are that a gradient is made of, measured by what rounding costs in float32.

A gradient that nearly cancels doesn't tell: that of a bias in front of batch normalisation is 0, and made of numbers
γ / σ times as large as what comes back to the normalisation. Their error in float32 does tell: in roundings it is as
large as in float64, and there it shows.
"""

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.backends import Samples, State
from mlp_scratch.backends.numpy import forward
from mlp_scratch.losses import Loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import SGD
from mlp_scratch.program import lower

PLACES = 8
"""Places to look at, the model's own and some nearby: at one alone, an error may be small by luck."""

SHIFT = 2.0**-20
"""How far these are apart, relatively: a few roundings of float32."""

EPS_SINGLE = float(np.finfo(np.float32).eps)


def sizes_before_cancelling(model: Model, loss: Loss, samples: Samples, *, seed: int, step: int) -> dict[str, float]:
    """By how many eps the gradient of each parameter is off in float32: its worst element's error, at the worst.

    What comes back to each layer gets random signs first, lest errors cancel with it. Those of N samples then add up to
    √N of them, and to N where all have one sign, which is √N times as much. What is not finite in float32 doesn't
    count; nor does anything where a layer or a loss takes float64 alone.

    Args:
        model: in float64; it is not changed.
        loss: what is differentiated.
        samples: one batch.
        seed: of dropout masks.
        step: the same.
    """
    rng, sizes = np.random.default_rng(0), np.zeros(model.n_parameters)
    narrow, wide = (Model(model.layers, dtype=dtype) for dtype in ("float32", "float64"))
    for place in range(PLACES):
        shift = 1 - place * SHIFT * rng.uniform(size=model.n_parameters)
        with np.errstate(all="ignore"):
            narrow.flat[...], narrow.buffer_vector[...] = model.flat * shift, model.buffer_vector
            # The same numbers, those that float32 can hold.
            wide.flat[...], wide.buffer_vector[...] = narrow.flat, narrow.buffer_vector
            try:
                single, double = (_with_signs(own, loss, samples, seed, step, place) for own in (narrow, wide))
            except Exception:  # whatever a layer raises that was written for float64 alone
                break
            sizes = np.fmax(sizes, np.abs(single - double) / EPS_SINGLE)
    sizes[~np.isfinite(sizes)] = 0.0
    return {name: float(np.sqrt(len(samples.X)) * view.max()) for name, view in model.named(sizes).items()}


def _with_signs(model: Model, loss: Loss, samples: Samples, seed: int, step: int, place: int) -> Array:
    """What the layers make of their dy with random signs, (P,), dy itself coming back as it is."""
    X, targets, weights = samples.X.astype(np.float32).astype(model.dtype), samples.targets, samples.weights
    if targets.dtype.kind == "f":
        targets = targets.astype(np.float32).astype(model.dtype)
    if weights is not None:
        weights = weights.astype(np.float32).astype(model.dtype)
    program, rng = lower(model, loss, SGD()), np.random.default_rng(place)
    state = State(model.flat, model.buffer_vector, np.empty((0, model.n_parameters), model.dtype))
    z, caches, _ = forward(program, state, X, training=True, seed=seed, step=step)
    dy, g = loss.gradient(z, targets, weights), np.empty(model.n_parameters)
    for op, cache in zip(reversed(program.operations), reversed(caches), strict=True):
        parameters = {field.name: field.view(model.flat) for field in op.parameters}
        signs = rng.choice([-1.0, 1.0], dy.shape).astype(dy.dtype)
        _, grads = op.layer.backward(parameters, cache, signs * dy)
        for field in op.parameters:
            field.view(g)[...] = grads[field.name]
        dy, _ = op.layer.backward(parameters, cache, dy)
    return g
