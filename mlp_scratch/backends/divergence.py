"""What a compiled backend does when training met a NaN or an infinity: find the step, and name the layer."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mlp_scratch.backends.base import Plan, Records, Samples, State
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.errors import ArgumentError, DivergedError
from mlp_scratch.program import Program


def last_good_step(is_good_after: Callable[[int], bool], losses: npt.NDArray[np.float64]) -> int:
    """How many steps end in finite numbers, given the losses of the steps that were taken, which as a whole don't.

    Once a parameter is not finite it stays so, hence bisection finds the step that made the first one so. Hardly ever
    are these many steps before the first loss that shows it, so the search begins there and goes back in strides that
    double.

    Args:
        is_good_after: whether everything is finite after so many steps from the start, which it takes again.
        losses: of the steps that were taken.

    >>> last_good_step(lambda steps: steps <= 5, np.array([1.0] * 8 + [np.nan]))
    5
    """
    bad = np.flatnonzero(~np.isfinite(losses))
    high = int(bad[0]) if len(bad) else max(0, len(losses) - 1)  # the most that may be good
    low, stride = high, 1
    while low > 0 and not is_good_after(low):
        low, high, stride = max(0, low - stride), low - 1, 2 * stride
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_good_after(middle) else (low, middle - 1)
    return low


def divergence(program: Program, state: State, samples: Samples, plan: Plan, step: int) -> DivergedError:
    """The error for the step that follows `state`: taken again by the specification, which names the layer."""
    one = plan.part(step, 1)
    copy = State(state.flat.copy(), state.buffers.copy(), state.slots.copy(), state.step)
    try:
        NumpyBackend().train(program, copy, samples, one, Records(np.empty(1), np.empty(1)), lambda: False)
    except DivergedError as error:
        return error
    except ArgumentError as error:  # a user's function raises where the compiled one gave NaN or infinity
        diverged = DivergedError(state.step + 1, error.argument, "value")
        diverged.__cause__ = error
        return diverged
    # A sum in another order, or of operands that are not rounded, can stay just below the largest number.
    return DivergedError(state.step + 1, f"the loss ({program.loss.kind})", "value")
