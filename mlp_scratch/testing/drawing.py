"""One check, at a value or at every value that a Hypothesis strategy draws."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlp_scratch.testing.failure import PropertyError


def at_each(value: Any, check: Callable[[Any], None], names: Sequence[str]) -> None:
    """Call `check` with `value`, or, where that is a Hypothesis strategy, with what it draws.

    A failure is shrunk to the smallest value that still fails. That may violate a later one only of the properties that
    `check` looks at in turn, `names`: at a zero, a wrong derivative may show in the second derivatives alone. So values
    are drawn again until none is found that violates an earlier one. How many are drawn, and from which seed, is the
    Hypothesis profile's to say; only the deadline is lifted, for no check depends on the machine's speed.
    """
    if not hasattr(value, "example"):  # Hypothesis is optional, and not needed to look at one value
        check(value)
        return
    error = _smallest_failure(value, check)
    while error is not None:
        earlier = names[: names.index(error.property)] if error.property in names else ()
        better = _smallest_failure(value, check, earlier) if earlier else None
        if better is None:
            raise error
        error = better


def _smallest_failure(
    strategy: Any, check: Callable[[Any], None], names: Collection[str] | None = None
) -> PropertyError | None:
    """How the smallest value fails that violates a property among `names`, or any; None where none is found."""
    from hypothesis import Phase, given, settings

    # Explaining runs a hundred more examples, to say which parts of a value don't matter: our messages show the whole.
    phases = [phase for phase in settings().phases if phase is not Phase.explain]

    # One failure, the smallest: several at once hide the message behind a group of tracebacks.
    @settings(deadline=None, report_multiple_bugs=False, phases=phases)
    @given(strategy)
    def at(drawn: Any) -> None:
        try:
            check(drawn)
        except PropertyError as error:
            if names is None or error.property in names:
                raise

    try:
        at()
    except PropertyError as error:
        return error
    return None
