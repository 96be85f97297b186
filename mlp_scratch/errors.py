"""Every error the package raises on purpose.

All of them derive from `MlpScratchError`, so that the command line can turn each into one line, and from the
builtin that a caller would expect to catch (`ValueError`, `TypeError`, `OSError`, ...). A message names the
argument, what was given, what was expected, and the mend.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MlpScratchError(Exception):
    """Base class of the package's errors."""


class ArgumentError(MlpScratchError, ValueError):
    """An argument has a value that the function can't use.

    >>> raise ArgumentError("batch_size", given=0, expected="an integer of at least 1", mend="try 32")
    Traceback (most recent call last):
    mlp_scratch.errors.ArgumentError: batch_size: got 0, expected an integer of at least 1; try 32
    """

    def __init__(self, argument: str, *, given: object, expected: str, mend: str = "") -> None:
        self.argument, self.given, self.expected, self.mend = argument, given, expected, mend
        super().__init__(f"{argument}: got {given}, expected {expected}" + (f"; {mend}" if mend else ""))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments: the default of BaseException would lose them between processes.
        return (_rebuild, (type(self), self.argument, self.given, self.expected, self.mend))


def _rebuild(kind: type[ArgumentError], argument: str, given: object, expected: str, mend: str) -> ArgumentError:
    return kind(argument, given=given, expected=expected, mend=mend)


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument has a type, or an array a dtype, that the function can't use."""


class UnknownNameError(ArgumentError, KeyError):
    """A name that is in none of the tables; the nearest valid one is offered."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class DataFileError(MlpScratchError, ValueError):
    """A file of data can't be read as what it should be: truncated, ragged, of another format."""


class ModelFileError(MlpScratchError, ValueError):
    """A model file is truncated, corrupt, or was written by something else."""


class DownloadError(MlpScratchError, OSError):
    """A data set could not be fetched or kept: no network, wrong checksum, a folder that can't be written."""


class MissingDependencyError(MlpScratchError, ImportError):
    """An optional package is needed and not installed; the message says what to install."""


class BackendUnavailableError(MlpScratchError, RuntimeError):
    """The backend asked for can't run on this machine; the message says why."""


class DivergedError(MlpScratchError, ArithmeticError):
    """Training met a NaN or an infinity.

    The model keeps the last finite parameters: those before the step named by `step` (counted from 1).
    `layer` names where the first number was that is not finite: a layer, the loss, the optimiser or a function of the
    user's own; `quantity` is "output", "running statistic", "gradient", "value" or "update".
    """

    def __init__(self, step: int, layer: str, quantity: str) -> None:
        self.step, self.layer, self.quantity = step, layer, quantity
        super().__init__(
            f"training diverged: the {quantity} of {layer} is not finite at step {step}; the model keeps the "
            "parameters from before that step; try a smaller learning rate or scaled features"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.step, self.layer, self.quantity))


def unknown_name(argument: str, given: object, valid: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not in `valid`, with the nearest valid one as the mend.

    >>> raise unknown_name("activation", "rleu", ["relu", "gelu", "tanh"])
    Traceback (most recent call last):
    mlp_scratch.errors.UnknownNameError: activation: got 'rleu', expected one of gelu, relu, tanh; did you mean 'relu'?
    """
    names = sorted(valid)
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    return UnknownNameError(
        argument,
        given=repr(given),
        expected="one of " + ", ".join(names),
        mend=f"did you mean {near[0]!r}?" if near else "",
    )
