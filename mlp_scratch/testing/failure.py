"""What a violated property says: its name, where, the two numbers, and lines to paste that show it again."""

import numpy as np

from mlp_scratch._types import Array


class PropertyError(AssertionError):
    """A property does not hold.

    Attributes:
        property: its name, one of those that `only=` and `skip=` take.
    """

    def __init__(self, name: str, claim: str, facts: dict[str, object], code: str = "") -> None:
        self.property, self.claim, self.facts, self.code = name, claim, facts, code
        width = max((len(label) for label in facts), default=0)
        lines = [f"{name}: {claim}", *(f"  {label:<{width}}  {_shown(fact)}" for label, fact in facts.items())]
        if code:
            lines += ["To see it again:", *(f"    {line}" for line in code.splitlines())]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        # Four arguments, not one message: the default of BaseException would not survive a trip between processes.
        return type(self), (self.property, self.claim, self.facts, self.code)


def literal(array: Array) -> str:
    """`array` as Python that makes it again, to the last bit.

    >>> literal(np.array([[0.1, -2.0]]))
    'np.array([[0.1, -2.0]])'
    >>> literal(np.zeros(2, "float32"))
    "np.array([0.0, 0.0], dtype='float32')"
    """
    text = repr(array.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
    return f"np.array({text})" if array.dtype in (np.float64, np.int64) else f"np.array({text}, dtype='{array.dtype}')"


def made(name: str, thing: object, module: str) -> str:
    """Lines of Python that make `thing` as `name`, as far as its repr tells how; `module` has those of this package.

    >>> from mlp_scratch.losses import Huber
    >>> print(made("loss", Huber(0.5), "mlp_scratch.losses"), end="")
    from mlp_scratch.losses import Huber
    loss = Huber(delta=0.5)
    >>> print(made("loss", object(), "mlp_scratch.losses"), end="")
    loss = ...  # your object
    """
    kind, text = type(thing).__name__, repr(thing)
    if "<" in text:  # a function's repr, say
        return f"{name} = ...  # your {kind}\n"
    own = type(thing).__module__.startswith("mlp_scratch.")
    return (f"from {module} import {kind}\n" if own else "") + f"{name} = {text}\n"


def options(**given: tuple[object, object]) -> str:
    """Arguments that are not their defaults, each given as a pair of value and default, as a call has them.

    >>> options(at_kink=("left", "any"), batch=("independent", "independent"))
    ", at_kink='left'"
    """
    return "".join(f", {name}={value!r}" for name, (value, default) in given.items() if repr(value) != repr(default))


def _shown(fact: object) -> str:
    if isinstance(fact, np.ndarray):
        return literal(fact) if fact.size <= 64 else f"an array of shape {fact.shape}"
    return f"{fact:.17g}" if isinstance(fact, float) else str(fact)
