"""Agreement with somebody else's derivative: another implementation of the same function."""

import numpy as np

from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError
from mlp_scratch.testing.function import Function
from mlp_scratch.testing.point import Point
from mlp_scratch.testing.roundings import scale_of_y


def agreement(point: Point, reference: Function) -> None:
    """The same y and the same gradients as `reference`, at the same inputs."""
    try:
        _agree(point, reference)
    except PropertyError as error:
        # The lines that make a function make it as `layer`.
        call = error.code.removesuffix(", only=['agreement'])") + ", reference=reference, only=['agreement'])"
        code = f"import numpy as np\n{reference.code.rstrip()}\nreference = layer\n{call}"
        raise PropertyError(error.property, error.claim, error.facts, code) from None


def _agree(point: Point, reference: Function) -> None:
    y, pullback = reference.vjp(point.copy())
    grads = pullback(point.u.copy())
    labels = ("checked", reference.name)
    claim = f"agrees with {reference.name}"
    # Two formulas for one function may differ by the rounding of every intermediate result.
    size = max(tolerances.largest(np.asarray(y)), scale_of_y(point))
    allowed = 16 * tolerances.rounding(point.u.size, size, np.float64)
    point.compare("agreement", claim, "y", np.asarray(point.y), np.asarray(y), allowed, labels)
    for name, gradient in point.grads.items():
        allowed = 16 * tolerances.rounding(point.u.size, max(point.scales[name], size), np.float64)
        point.compare("agreement", claim, f"the gradient of {name}", gradient, grads[name], allowed, labels)
