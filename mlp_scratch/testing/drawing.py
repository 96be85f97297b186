"""One check, at a value or at every value that a Hypothesis strategy draws."""

from collections.abc import Callable
from typing import Any


def at_each(value: Any, check: Callable[[Any], None]) -> None:
    """Call `check` with `value`, or, where that is a Hypothesis strategy, with what it draws.

    A failure is shrunk to the smallest value that still fails. How many are drawn, and from which seed, is the
    Hypothesis profile's to say; only the deadline is lifted, for no check depends on the machine's speed.
    """
    if not hasattr(value, "example"):  # Hypothesis is optional, and not needed to look at one value
        check(value)
        return
    from hypothesis import Phase, given, settings

    # Explaining runs a hundred more examples, to say which parts of a value don't matter: our messages show the whole.
    phases = [phase for phase in settings().phases if phase is not Phase.explain]

    # One failure, the smallest: several at once hide the message behind a group of tracebacks.
    @settings(deadline=None, report_multiple_bugs=False, phases=phases)
    @given(value)
    def at(drawn: Any) -> None:
        check(drawn)

    at()
