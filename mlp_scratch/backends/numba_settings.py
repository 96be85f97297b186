"""What the environment may tell Numba: looked at before Numba is, which reads it once, when it is imported."""

import os
import re

from mlp_scratch.errors import ArgumentError

_SETTINGS = {
    "NUMBA_NUM_THREADS": (r"\+?0*[1-9][0-9]*", "an integer of at least 1"),
    "NUMBA_DISABLE_JIT": (r"0+", "0: the kernels are nothing but compiled code"),
}
"""By name of the environment variable: a pattern of the values that work, and what to say of others."""


def check_numba_settings(mend: str) -> None:
    """Raise `ArgumentError` where Numba can't be imported, or compiles nothing."""
    for name, (pattern, expected) in _SETTINGS.items():
        given = os.environ.get(name)
        if given is not None and not re.fullmatch(pattern, given.strip()):
            raise ArgumentError(name, given=repr(given), expected=expected, mend=mend)
