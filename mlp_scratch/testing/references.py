"""Each layer and loss once more, forward only, in a handful of functions that three frameworks share by name.

PyTorch, JAX and HIPS autograd differentiate it by their own rules: three derivatives that owe nothing to ours, of
formulas written from the definitions. Inference of batch normalisation and dropout are left to the other checks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from math import pi, sqrt
from typing import Any

import numpy as np

from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError
from mlp_scratch.layers import (
    ELU,
    GELU,
    SELU,
    BatchNorm,
    Dense,
    Identity,
    Layer,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    Softplus,
    Tanh,
)
from mlp_scratch.layers.elu import SELU_ALPHA, SELU_SCALE
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss
from mlp_scratch.model import Model


@dataclass(frozen=True)
class Framework:
    """One framework's arrays.

    Attributes:
        name: of the package.
        xp: its namespace with exp, log1p, expm1, tanh, sqrt, where.
        erf: the error function, which lives elsewhere.
        gradient: from (function of a list of arrays, arrays) to its value and its gradients.
    """

    name: str
    xp: Any
    erf: Callable[[Any], Any]
    gradient: Callable[[Callable[[list[Any]], Any], list[Array]], tuple[float, list[Array]]]


def frameworks() -> list[str]:
    """Which of torch, jax and autograd are installed."""
    return [name for name in ("torch", "jax", "autograd") if find_spec(name) is not None]


def framework(name: str) -> Framework:
    """The framework of that name, imported."""
    return {"torch": _torch, "jax": _jax, "autograd": _autograd}[name]()


def reference_gradients(
    name: str, model: Model, loss: Loss, X: Array, targets: Array, weights: Array | None
) -> tuple[float, dict[str, Array]]:
    """Loss and gradients by parameter name, float64, of the training-mode step, differentiated by framework `name`.

    Args:
        name: "torch", "jax" or "autograd".
        model: without dropout.
        loss: any of this package's.
        X: (N, D).
        targets: as `loss.prepare` made them.
        weights: of the samples, (N,), or None.

    Raises:
        ArgumentError: for a layer or loss that has no formula here.
    """
    fw = framework(name)
    names = list(model.parameters)
    x = X.astype(np.float64)
    w = np.ones(len(x)) if weights is None else weights
    shares = w / w.sum()

    def value(arrays: list[Any]) -> Any:
        parameters = dict(zip(names, arrays[:-1], strict=True))
        z = arrays[-1]  # the samples, last, so that every array is one of the framework's
        for placed in model.placed:
            own = {field.name: parameters[f"{placed.index}.{field.name}"] for field in placed.parameters}
            own |= {f.name: fw.xp.asarray(model.buffers[f"{placed.index}.{f.name}"]) for f in placed.buffers}
            z = layer_output(fw, placed.layer, own, z)
        return sum(float(share) * sample_loss(fw, loss, z[n], targets[n]) for n, share in enumerate(shares))

    total, grads = fw.gradient(value, [*(np.array(model.parameters[k]) for k in names), x])
    return total, dict(zip(names, grads[:-1], strict=True))


def layer_output(fw: Framework, layer: Layer, parameters: Mapping[str, Any], x: Any) -> Any:
    """What `layer` computes while training, by its definition; `parameters` has its buffers, too."""
    xp, zero = fw.xp, x * 0
    match layer:
        case Dense():
            y = x @ parameters["weight"].T
            return y + parameters["bias"] if layer.bias else y
        case BatchNorm(trainable=False):
            deviation = xp.sqrt(parameters["running_var"] + layer.eps)
            return parameters["weight"] * (x - parameters["running_mean"]) / deviation + parameters["bias"]
        case BatchNorm():
            centred = x - x.mean(0)
            return parameters["weight"] * centred / xp.sqrt((centred**2).mean(0) + layer.eps) + parameters["bias"]
        case Identity():
            return x
        case ReLU():
            return xp.where(x > 0, x, zero)
        case LeakyReLU():
            return xp.where(x > 0, x, layer.slope * x)
        case PReLU():
            return xp.where(x > 0, x, parameters["weight"] * x)
        case ELU():
            return xp.where(x > 0, x, layer.alpha * xp.expm1(xp.where(x > 0, zero, x)))
        case SELU():
            return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.where(x > 0, zero, x)))
        case GELU(approximate="none"):
            return 0.5 * x * (1 + fw.erf(x / sqrt(2)))
        case GELU():
            return 0.5 * x * (1 + xp.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
        case Tanh():
            return xp.tanh(x)
        case Sigmoid():
            return 0.5 * (1 + xp.tanh(0.5 * x))
        case Softplus():
            return xp.where(layer.beta * x > layer.threshold, x, _log1p_exp(xp, layer.beta * x) / layer.beta)
    raise ArgumentError("layers", given=layer.kind, expected="a layer with a formula in mlp_scratch.testing.references")


def sample_loss(fw: Framework, loss: Loss, z: Any, t: Any) -> Any:
    """ℓ of one sample's logits z, (K,), by its definition; t as `loss.prepare` left it."""
    xp, k = fw.xp, len(z)
    match loss:
        case MSE():
            return sum((z[i] - float(t[i])) ** 2 for i in range(k)) / k
        case MAE():
            return sum(_absolute(xp, z[i] - float(t[i])) for i in range(k)) / k
        case Huber():
            return sum(_huber(xp, z[i] - float(t[i]), loss.delta) for i in range(k)) / k
        case BinaryCrossEntropy():
            terms = (float(t[i]) * _log1p_exp(xp, -z[i]) + (1 - float(t[i])) * _log1p_exp(xp, z[i]) for i in range(k))
            return sum(terms) / k
        case CrossEntropy():
            p = np.eye(k)[int(t)] if np.ndim(t) == 0 else np.asarray(t)
            p = (1 - loss.label_smoothing) * p + loss.label_smoothing / k
            log_sum = xp.log(sum(xp.exp(z[i]) for i in range(k)))
            return sum(float(p[i]) * (log_sum - z[i]) for i in range(k))
    raise ArgumentError("loss", given=loss.kind, expected="a loss with a formula in mlp_scratch.testing.references")


def _log1p_exp(xp: Any, x: Any) -> Any:
    """log(1 + e^x) for the x that tests draw; beyond 30 it is x to the last digit."""
    return xp.where(x > 30, x, xp.log1p(xp.exp(xp.where(x > 30, x * 0, x))))


def _absolute(xp: Any, r: Any) -> Any:
    return xp.where(r > 0, r, xp.where(r < 0, -r, r * 0))  # three pieces, so that the derivative at 0 is 0


def _huber(xp: Any, r: Any, delta: float) -> Any:
    return xp.where(_absolute(xp, r) > delta, delta * (_absolute(xp, r) - delta / 2), r * r / 2)


def _torch() -> Framework:
    import torch

    def gradient(f: Callable[[list[Any]], Any], arrays: list[Array]) -> tuple[float, list[Array]]:
        tensors = [torch.from_numpy(array.astype(np.float64)).requires_grad_() for array in arrays]
        value = f(tensors)
        grads = torch.autograd.grad(value, tensors, allow_unused=True)
        zero = [np.zeros_like(array) for array in arrays]
        return float(value.detach()), [z if g is None else g.numpy() for g, z in zip(grads, zero, strict=True)]

    return Framework("torch", torch, torch.erf, gradient)


def _jax() -> Framework:
    import jax

    def gradient(f: Callable[[list[Any]], Any], arrays: list[Array]) -> tuple[float, list[Array]]:
        with jax.enable_x64(True):
            value, grads = jax.value_and_grad(f)([jax.numpy.asarray(a, dtype="float64") for a in arrays])
            return float(value), [np.asarray(g) for g in grads]

    return Framework("jax", jax.numpy, jax.scipy.special.erf, gradient)


def _autograd() -> Framework:
    # By name: the package has no type information, and is not one of those that this one depends on.
    autograd, anp = import_module("autograd"), import_module("autograd.numpy")

    def gradient(f: Callable[[list[Any]], Any], arrays: list[Array]) -> tuple[float, list[Array]]:
        value, grads = autograd.value_and_grad(f)([array.astype(np.float64) for array in arrays])
        return float(value), [np.asarray(g) for g in grads]

    return Framework("autograd", anp, import_module("autograd.scipy.special").erf, gradient)
