"""A user's own layers, losses, optimisers and initialisers: a file holds their names and fields, not their code.

The code is the class, or the object itself where that is made of functions. Whoever reads the file gives it again,
so a name must stand for one piece of code: neither for two, nor for another class than the table would build.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.initializers import KINDS as INITIALIZERS
from mlp_scratch.initializers import Initializer
from mlp_scratch.layers import LAYERS, Layer, ScalarActivation
from mlp_scratch.losses import LOSSES, Loss, ScalarLoss
from mlp_scratch.optimizers import KINDS as OPTIMIZERS
from mlp_scratch.optimizers import Optimizer

FAMILIES: tuple[type, ...] = (Layer, Loss, Optimizer, Initializer)

MADE_OF_FUNCTIONS = (ScalarActivation, ScalarLoss)

Codes = dict[tuple[type, str], Any]
"""Classes, and objects made of functions, by family and kind."""


def table(family: type) -> Mapping[str, Any]:
    """The package's own classes of a family, by kind."""
    losses = {kind: type(row) for kind, row in LOSSES.items()}
    tables: dict[type, Mapping[str, Any]]
    tables = {Layer: LAYERS, Loss: losses, Optimizer: OPTIMIZERS, Initializer: INITIALIZERS}
    return tables[family]


def family_of(cls: type) -> type:
    """Which of the `FAMILIES` a class belongs to."""
    return next(family for family in FAMILIES if issubclass(cls, family))


def is_own(cls: type) -> bool:
    """Whether a class is a user's own: this very class is in no table, though one that it is derived from may be.

    >>> from mlp_scratch.layers import ReLU
    >>> is_own(ReLU), is_own(type("Shifted", (ReLU,), {}))
    (False, True)
    """
    return cls not in table(family_of(cls)).values()


def note(argument: str, thing: Any, codes: Codes) -> None:
    """Add the code of `thing`, an object or a class of a user's own, to `codes`.

    Raises:
        ArgumentError: for a class without a kind of its own, and where another code has its name already.
    """
    cls = thing if isinstance(thing, type) else type(thing)
    family = family_of(cls)
    code: Any = thing if isinstance(thing, MADE_OF_FUNCTIONS) else cls
    if code is cls:
        _check_kind(argument, cls, family)
    if codes.setdefault((family, code.kind), code) != code:
        raise ArgumentError(
            argument,
            given=f"two different ones of the name {code.kind!r}",
            expected="a name for each, by which a model file finds it",
            mend="rename one of them",
        )


def _check_kind(argument: str, cls: type, family: type) -> None:
    """Raise unless the class states a kind, which no other class has."""
    kind = getattr(cls, "kind", None)
    if not isinstance(kind, str):
        given = f"{cls.__name__} without a kind"
    else:
        owner = table(family).get(kind) or next(base for base in cls.__mro__ if "kind" in vars(base))
        if owner is cls:
            return
        given = f"{cls.__name__} of the kind {kind!r}, which is that of {owner.__name__}"
    raise ArgumentError(
        argument,
        given=given,
        expected="a kind of its own, by which a model file finds it",
        mend=f"write kind = {cls.__name__.lower()!r} in the class",
    )


def given_again(custom: object) -> Codes:
    """What the argument `custom` of `load` holds.

    Raises:
        ArgumentError: for anything that no model file would ask for, and for two of one name.
    """
    expected = "a list of ScalarActivation and ScalarLoss objects, and of classes of your own or objects of them"
    if not isinstance(custom, Sequence) or isinstance(custom, str):
        raise ArgumentTypeError("custom", given=checks.describe(custom), expected=expected)
    codes: Codes = {}
    for thing in custom:
        cls = thing if isinstance(thing, type) else type(thing)
        nameless = cls is thing and issubclass(cls, MADE_OF_FUNCTIONS)  # the name is an object's
        if nameless or not issubclass(cls, FAMILIES) or not is_own(cls):
            raise ArgumentTypeError("custom", given=checks.describe(thing), expected=expected)
        note("custom", thing, codes)
    return codes
