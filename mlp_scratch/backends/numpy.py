"""The NumPy backend: the specification. Plain, slow, obviously right; the others are held to it."""

from typing import Any

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.backends.base import Plan, Records, Samples, State, Stop
from mlp_scratch.backends.blas import single_blas_thread
from mlp_scratch.errors import ArgumentError, DivergedError
from mlp_scratch.layers import Context
from mlp_scratch.placing import Field, Placed
from mlp_scratch.program import Program

ROWS_AT_ONCE = 4096
"""Inference goes through the samples in blocks of so many rows, so that no activation is the size of the data."""


class NumpyBackend:
    """Walks the operations of a program one by one, calling each layer's own forward and backward.

    Args:
        threads: at most so many; it always uses one, so that the bits are the same everywhere.
    """

    name = "numpy"

    def __init__(self, threads: int | None = None) -> None:
        pass

    def refusal(self, program: Program) -> str:
        return ""

    def logits(self, program: Program, state: State, X: Array) -> Array:
        out = np.empty((len(X), program.operations[-1].n_out), dtype=program.dtype)
        with single_blas_thread():
            for start in range(0, len(X), ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                x = np.ascontiguousarray(X[rows], dtype=program.dtype)
                out[rows], _, _ = forward(program, state, x, training=False, seed=0, step=0)
        return out

    def loss_and_gradient(
        self, program: Program, state: State, samples: Samples, *, seed: int, step: int, training: bool
    ) -> tuple[float, Array]:
        batch = samples.batch(np.arange(len(samples.X)), program.dtype)
        with single_blas_thread():
            z, caches, _ = forward(program, state, batch.X, training=training, seed=seed, step=step)
            loss = program.loss.value(z, batch.targets, batch.weights)
            dz = program.loss.gradient(z, batch.targets, batch.weights)
            return float(loss), backward(program, state, caches, dz)

    def train(self, program: Program, state: State, samples: Samples, plan: Plan, records: Records, stop: Stop) -> int:
        with single_blas_thread():
            for i, rows in enumerate(plan.batches()):
                if stop():
                    return i
                batch, lr = samples.batch(rows, program.dtype), float(plan.lr[i])
                records.losses[i], records.accuracies[i] = _step(program, state, batch, lr, plan.seed)
        return len(plan.lr)


def _step(program: Program, state: State, batch: Samples, lr: float, seed: int) -> tuple[float, float]:
    """One training step: forward, loss, backward, update. Returns the loss and the accuracy before the update."""
    step = state.step + 1
    # Overflow is not hidden, it is looked for: see _diverged.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        z, caches, outputs = forward(program, state, batch.X, training=True, seed=seed, step=step)
        loss = program.loss.value(z, batch.targets, batch.weights)
        dz = program.loss.gradient(z, batch.targets, batch.weights)
        g = backward(program, state, caches, dz)
        for part in program.frozen:
            g[part] = 0  # nobody asks for it: where it is not finite, that is not what diverged
        p, slots = program.optimizer.update(state.flat, g, state.slots, step=step, lr=lr, decayed=program.decayed)
        for part in program.frozen:  # no decay, no momentum
            p[part], slots[:, part] = state.flat[part], state.slots[:, part]
        buffers = _next_buffers(program, state, caches)
    if not (np.isfinite(loss) and np.isfinite(p).all() and np.isfinite(slots).all() and np.isfinite(buffers).all()):
        raise _diverged(program, step, outputs, buffers, float(loss), g)
    state.flat[...], state.slots[...], state.buffers[...], state.step = p, slots, buffers, step
    accuracies = program.loss.accuracies(z, batch.targets)
    return float(loss), float("nan") if accuracies is None else float(accuracies.mean())


def forward(
    program: Program, state: State, x: Array, *, training: bool, seed: int, step: int
) -> tuple[Array, list[Any], list[Array]]:
    """Logits, (N, K), with the cache and the output of each layer."""
    caches: list[Any] = []
    outputs: list[Array] = []
    for op in program.operations:
        context = Context(training, seed, step, op.index, _views(op.buffers, state.buffers))
        x, cache = op.layer.forward(_views(op.parameters, state.flat), x, context)
        caches.append(cache)
        outputs.append(x)
    return x, caches, outputs


def backward(program: Program, state: State, caches: list[Any], dz: Array) -> Array:
    """The gradient of the loss with respect to all parameters, (P,), from its gradient with respect to the logits."""
    g = np.empty(program.n_parameters, dtype=dz.dtype)
    dy = dz
    for op, cache in zip(reversed(program.operations), reversed(caches), strict=True):
        dy, grads = op.layer.backward(_views(op.parameters, state.flat), cache, dy)
        for field in op.parameters:
            gradient: Any = grads.get(field.name)
            if getattr(gradient, "shape", None) != field.shape:  # one of another shape might be spread out, in silence
                _check_gradient(op, field, gradient)
            field.view(g)[...] = gradient
    return g


def _check_gradient(op: Placed, field: Field, given: Any) -> None:
    """Raise unless `given` are numbers of the parameter's shape, a list or a number for one."""
    if given is None or np.shape(given) != field.shape:
        said = f"no {field.name!r}" if given is None else f"{field.name!r} of shape {np.shape(given)}"
        raise ArgumentError(
            "layers",
            given=f"{said} from backward of {op.called}",
            expected=f"the gradient of each parameter, here of shape {field.shape}",
        )


def _next_buffers(program: Program, state: State, caches: list[Any]) -> Array:
    buffers = state.buffers.copy()
    for op, cache in zip(program.operations, caches, strict=True):
        if op.buffers and op.layer.trainable:
            views = _views(op.buffers, buffers)
            for name, value in op.layer.next_buffers(_views(op.buffers, state.buffers), cache).items():
                if name not in views or np.shape(value) != views[name].shape:
                    shapes = ", ".join(f"{field.name!r} of shape {field.shape}" for field in op.buffers)
                    said = f"{name!r} of shape {np.shape(value)} from next_buffers of {op.called}"
                    raise ArgumentError("layers", given=said, expected=f"its buffers: {shapes}")
                views[name][...] = value
    return buffers


def _views(fields: tuple[Field, ...], flat: Array) -> dict[str, Array]:
    return {field.name: field.view(flat) for field in fields}


def _diverged(
    program: Program, step: int, outputs: list[Array], buffers: Array, loss: float, g: Array
) -> DivergedError:
    """The error that names the first quantity of this step that was not finite."""
    for op, y in zip(program.operations, outputs, strict=True):
        if not np.isfinite(y).all():
            return DivergedError(step, op.called, "output")
        if any(not np.isfinite(field.view(buffers)).all() for field in op.buffers):
            return DivergedError(step, op.called, "running statistic")
    if not np.isfinite(loss):
        return DivergedError(step, f"the loss ({program.loss.kind})", "value")
    for op in reversed(program.operations):
        if any(not np.isfinite(field.view(g)).all() for field in op.parameters):
            return DivergedError(step, op.called, "gradient")
    return DivergedError(step, f"the optimiser ({program.optimizer.kind})", "update")
