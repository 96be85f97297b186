"""The losses of one sample: its logits and targets are rows, and the gradient becomes a row of the same width.

    dz = share · dℓ/dz,    share = w / Σ w

The loss of the sample times its share and its accuracy are put aside to be summed; accuracies of regressions are NaN.
All but the cross-entropy of a softmax are means over the outputs, and thus a pair of scalar functions.
"""

from functools import cache
from math import exp, log, nan
from typing import Any

from mlp_kernels.cuda.activations import smooth_functions_of
from mlp_kernels.cuda.device import ld1, st1
from mlp_kernels.cuda.network import LOSS, LOSS_CONSTANT, N_TARGETS, SMOOTHING, about, constant
from mlp_kernels.cuda.pure import pure

MSE, MAE, HUBER, BINARY_CROSS_ENTROPY, CROSS_ENTROPY = range(5)

KINDS = {
    "mse": MSE,
    "mae": MAE,
    "huber": HUBER,
    "binary_cross_entropy": BINARY_CROSS_ENTROPY,
    "cross_entropy": CROSS_ENTROPY,
}
"""Every loss by its name."""


@cache
def scalar_losses_of(element: Any) -> tuple[Any, Any]:
    """Value and derivative of the losses that are means over the outputs: functions of (kind, z, t, a)."""
    zero, half, one, two = element(0.0), element(0.5), element(1.0), element(2.0)
    sigmoid, softplus = smooth_functions_of(element)

    @pure
    def value(kind: int, z: Any, t: Any, a: Any) -> Any:
        """(z - t)², |z - t|, r²/2 up to r = |z - t| = a and a (r - a/2) beyond, or -log of a label's probability."""
        r = abs(z - t)
        if kind == MSE:
            return r * r
        if kind == MAE:
            return r
        if kind == HUBER:
            return a * (r - half * a) if r > a else half * r * r
        return t * softplus(-z) + (one - t) * softplus(z)

    @pure
    def derivative(kind: int, z: Any, t: Any, a: Any) -> Any:
        """2 (z - t), its sign, itself but at most a either way, or σ(z) - t."""
        r = z - t
        if kind == MSE:
            return two * r
        if kind == MAE:
            return one if r > zero else (-one if r < zero else r)  # r itself is 0 or NaN then
        if kind == HUBER:
            return a if r > a else (-a if r < -a else r)
        return sigmoid(z) - t

    return value, derivative


@cache
def losses_of(element: Any) -> Any:
    """The function (f, z, t, dz, outputs, share) -> (loss of the sample times its share, its accuracy)."""
    zero, half, one, no_accuracy = element(0.0), element(0.5), element(1.0), element(nan)
    value, derivative = scalar_losses_of(element)

    @pure
    def mean_over_outputs(f: Any, kind: int, z: int, t: int, dz: int, outputs: int, share: Any) -> Any:
        """ℓ = mean_k of value(z_k, t_k)."""
        a, k = constant(f, LOSS_CONSTANT), element(outputs)
        total = right = zero
        c = 0
        while c < outputs:
            logit, target = ld1(f.work, z + c), ld1(f.data, t + c)
            total += value(kind, logit, target, a)
            right += one if (logit > zero) == (target > half) else zero
            st1(f.work, dz + c, share * (derivative(kind, logit, target, a) / k))
            c += 1
        accuracy = right / k if kind == BINARY_CROSS_ENTROPY else no_accuracy
        return share * (total / k), accuracy

    @pure
    def given(f: Any, t: int, c: int) -> Any:
        """The target probability of class c: a number of the row, or 1 for the class that the target is."""
        if about(f, N_TARGETS) == 0:
            return one if ld1(f.data, t) == element(c) else zero
        return ld1(f.data, t + c)

    @pure
    def smoothed(f: Any, t: int, c: int, outputs: int) -> Any:
        """(1 - ε) p + ε / C."""
        smoothing = constant(f, SMOOTHING)
        return (one - smoothing) * given(f, t, c) + smoothing / element(outputs)

    @pure
    def cross_entropy(f: Any, z: int, t: int, dz: int, outputs: int, share: Any) -> Any:
        """ℓ = Σ_c p_c (log Σ e^(z - max) - (z_c - max)), dℓ/dz = softmax(z) Σ p - p."""
        largest, likeliest = ld1(f.work, z), given(f, t, 0)
        predicted = wanted = 0
        c = 1
        while c < outputs:
            logit, p = ld1(f.work, z + c), given(f, t, c)
            if logit > largest:
                largest, predicted = logit, c
            if p > likeliest:
                likeliest, wanted = p, c
            c += 1
        total = mass = zero
        c = 0
        while c < outputs:
            e = exp(ld1(f.work, z + c) - largest)
            st1(f.work, dz + c, e)
            total += e
            mass += smoothed(f, t, c, outputs)
            c += 1
        logarithm, loss = log(total), zero
        c = 0
        while c < outputs:
            p = smoothed(f, t, c, outputs)
            loss += p * (logarithm - (ld1(f.work, z + c) - largest))
            st1(f.work, dz + c, share * (ld1(f.work, dz + c) / total * mass - p))
            c += 1
        return share * loss, one if predicted == wanted else zero

    @pure
    def loss_of_sample(f: Any, z: int, t: int, dz: int, outputs: int, share: Any) -> Any:
        """Loss and accuracy of the logits at z with the targets at t; the gradient goes to dz."""
        kind = about(f, LOSS)
        if kind == CROSS_ENTROPY:
            return cross_entropy(f, z, t, dz, outputs, share)
        return mean_over_outputs(f, kind, z, t, dz, outputs, share)

    return loss_of_sample
