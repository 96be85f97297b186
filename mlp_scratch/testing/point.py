"""One point at which properties are checked: a function, its inputs, and a dy to pull back."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.testing import tolerances
from mlp_scratch.testing.failure import PropertyError, literal
from mlp_scratch.testing.function import Arrays, Function
from mlp_scratch.testing.narrow import in_single

CHECKED_SEED = 20_150_527
"""Of directions and of dy: the same in every run, so that a failure shows again."""

ALWAYS = ("shapes", "finite", "double_precision")
"""What is checked of every point, whatever `only=` says."""


@dataclass
class Counts:
    """What the derivatives of a check came to.

    Attributes:
        derivatives: how many were compared.
        kinks: how many of them lie on a kink.
        unresolved: how many are known too badly to tell a wrong one from a right one.
        unknown: by name of an input, what to say if nothing is known of its gradient; None where something is.
    """

    derivatives: int = 0
    kinks: int = 0
    unresolved: int = 0
    unknown: dict[str, PropertyError | None] = field(default_factory=dict, repr=False, compare=False)


class Point:
    """A function at one place.

    Attributes:
        function: what is checked.
        inputs: by name, float64.
        y, pullback: from one forward pass at `inputs`.
        u: the dy that is pulled back, random, shaped like y, no element 0.
        weights: what each element of every dy is multiplied by; 1 leaves them alike.
        grads: the gradient of Σ u · y with respect to each input.
    """

    def __init__(
        self, function: Function, x: object, counts: Counts | None = None, weights: Array | float = 1.0
    ) -> None:
        self.function, self.weights = function, weights
        self.counts = counts or Counts()
        given = checks.numeric("x", x)
        if given.ndim == 0:
            expected, mend = "an array with an axis of samples", "one sample of one feature is [[1.0]]"
            raise ArgumentError("x", given=f"the number {given}", expected=expected, mend=mend)
        if given.size == 0:
            expected, mend = "at least one number", "of none nothing can be checked"
            raise ArgumentError("x", given=f"shape {given.shape}", expected=expected, mend=mend)
        checks.finite("x", given, np.dtype(np.float64))
        # A copy: no property can spoil the caller's array or the next property's input.
        self.inputs: Arrays = {
            "x": given.astype(np.float64),
            **{k: np.array(v, dtype=np.float64) for k, v in function.parameters.items()},
        }
        self.rng = np.random.default_rng(CHECKED_SEED)
        y, self.pullback = function.vjp(self.copy())
        self.y = self.numbers("forward returns one array of numbers", "y", y)
        self.check_precision()
        self.check_finite()
        self.u = self.cotangent()
        self.grads = self.pullback(self.u.copy())
        self.check_gradients()

    def copy(self) -> Arrays:
        """The inputs, in arrays of their own."""
        return {name: value.copy() for name, value in self.inputs.items()}

    def cotangent(self) -> Array:
        """A random dy: elements between 1/2 and 1 in magnitude, so that no sign or size hides an error."""
        signs = self.rng.choice([-1.0, 1.0], np.shape(self.y))
        return np.asarray(self.weights * signs * self.rng.uniform(0.5, 1.0, np.shape(self.y)))

    @cached_property
    def sizes(self) -> dict[str, float]:
        """The largest element of the gradient of each input under several dy."""
        several = [self.grads, *(self.pullback(self.cotangent()) for _ in range(4))]
        return {name: tolerances.largest(*(grads[name] for grads in several)) for name in self.inputs}

    @cached_property
    def scales(self) -> dict[str, float]:
        """How large the numbers are that the gradient of each input is made of, before they cancel.

        At least the largest element under several dy. Cancellation inside the layer (a batch of two, normalised, has
        hardly any gradient left) can't be seen from outside, but measured: in float32 it costs as many roundings as
        in float64, and there they show. Where float32 loses it altogether (1 - sigmoid of 30 is 0) nothing shows but
        that, and the numbers are taken to be as large as dy; so they are where float64 may have lost it as well.
        """
        sizes, dy = dict(self.sizes), tolerances.largest(self.u)
        for name, measured in self._roundings_in_single().items():
            lost = measured * tolerances.eps(np.float32) > tolerances.half_the_digits(sizes[name], np.float32)
            lost |= sizes[name] < tolerances.eps(np.float64) * dy
            sizes[name] = max(sizes[name], measured, dy if lost else 0.0)
        return sizes

    def _roundings_in_single(self) -> dict[str, float]:
        """How many eps the float32 gradient of each input is off; 0 where the function takes float64 alone."""
        narrow = in_single(self.inputs)
        if narrow is None:
            return dict.fromkeys(self.inputs, 0.0)
        wide = {name: value.astype(np.float64) for name, value in narrow.items()}
        u = self.u.astype(np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                grads = self.function.vjp(narrow)[1](u)
            except Exception:  # whatever it raises, it is for `single_precision` to say
                return dict.fromkeys(self.inputs, 0.0)
            exact = self.function.vjp(wide)[1](u.astype(np.float64))
            off = {name: tolerances.largest(np.asarray(grads[name]) - exact[name]) for name in self.inputs}
        return {name: size / tolerances.eps(np.float32) for name, size in off.items()}

    def numbers(self, claim: str, what: str, value: object) -> Array:
        """`value`, which a pass returned, as an array; a list or a tuple is none."""
        try:
            return checks.numeric(what, None if isinstance(value, list | tuple) else value)
        except ArgumentTypeError:
            raise self.error("shapes", claim, {"of": what, "got": checks.describe(value)}) from None

    def check_precision(self) -> None:
        """y has float64's digits: differences of fewer are 0, or noise."""
        dtype = np.asarray(self.y).dtype
        if dtype.kind == "f" and dtype.itemsize < np.dtype(np.float64).itemsize:
            raise self.error("double_precision", "float64 in gives float64 out", {"of": "y", "its dtype": dtype})

    def check_finite(self) -> None:
        """No element of y is NaN or infinite."""
        for where in np.argwhere(~np.isfinite(self.y))[:1]:
            place = f"y[{', '.join(map(str, where))}]"
            value = float(self.y[tuple(where)])
            raise self.error("finite", "forward returns finite numbers", {"of": place, "forward says": value})

    def check_gradients(self) -> None:
        """Every input has a gradient of its shape."""
        for name, value in self.inputs.items():
            if self.grads.get(name) is None:
                raise self.error("shapes", "backward returns no gradient of an input", {"input": name})
            claim = "a gradient is one array of numbers"
            shape = self.numbers(claim, f"the gradient of {name}", self.grads[name]).shape
            if shape != value.shape:
                facts: dict[str, object] = {"input": name, "its shape": value.shape, "the gradient's": shape}
                raise self.error("shapes", "a gradient has the shape of what it is the gradient of", facts)

    def compare(
        self, name: str, claim: str, what: str, actual: Array, expected: Array, allowed: float, labels: tuple[str, str]
    ) -> None:
        """Raise a `PropertyError` unless the two arrays agree within `allowed`."""
        if np.shape(actual) != np.shape(expected):
            facts: dict[str, object] = {"of": what, labels[0]: np.shape(actual), labels[1]: np.shape(expected)}
            raise self.error(name, claim, facts)
        where = tolerances.worst(actual, expected, allowed)
        if where is None:
            return
        a, b = float(np.asarray(actual)[where]), float(np.asarray(expected)[where])
        place = f"{what}[{', '.join(map(str, where))}]" if where else what
        raise self.error(
            name, claim, {"of": place, labels[0]: a, labels[1]: b, "off by": abs(a - b), "allowed": allowed}
        )

    def error(self, name: str, claim: str, facts: dict[str, object]) -> PropertyError:
        """The error for a violated property at this point."""
        only = "" if name in ALWAYS else f", only=[{name!r}]"
        code = (
            "import numpy as np\nfrom mlp_scratch.testing import check_layer\n"
            f"{self.function.code.rstrip()}\n"
            f"check_layer(layer, {literal(self.inputs['x'])}{only})"
        )
        return PropertyError(name, claim, {"layer": self.function.name, **facts, "x": self.inputs["x"]}, code)
