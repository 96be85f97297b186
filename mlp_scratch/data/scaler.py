"""Putting features on one scale: shift and divide, with numbers learnt from the training part only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlp_scratch import checks
from mlp_scratch._types import Array, FloatArray
from mlp_scratch.errors import ArgumentError, unknown_name

_KINDS = ("standard", "minmax", "none")


@dataclass(frozen=True, eq=False)
class Scaler:
    """An affine map of each feature: (x − shift) / scale.

    Args:
        shift, scale: float64 arrays of shape (D,), or of shape () for one pair of numbers that serves all features.
            `scale` is positive.

    Numbers learnt from a training part serve the test part and every later prediction unchanged, so keep the scaler
    with the model: `to_dict` and `from_dict` carry it through JSON without losing a bit.

    >>> scaler = Scaler.fit([[0.0, 7.0], [4.0, 7.0]], kind="minmax")
    >>> scaler.transform([[1, 7], [8, 9]], "float32")
    array([[0.25, 0. ], [2. , 2. ]], dtype=float32)
    """

    shift: FloatArray
    scale: FloatArray

    def __post_init__(self) -> None:
        for name in ("shift", "scale"):
            array = np.array(checks.numeric(name, getattr(self, name)), dtype=np.float64)
            if array.ndim > 1 or not np.isfinite(array).all():
                raise ArgumentError(
                    name, given=checks.describe(getattr(self, name)), expected="one finite number a feature"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.shift.shape != self.scale.shape:
            raise ArgumentError(
                "scale", given=f"shape {self.scale.shape}", expected=f"shape {self.shift.shape}, that of shift"
            )
        if not (self.scale > 0).all():
            raise ArgumentError("scale", given=f"{self.scale.min()}", expected="positive numbers")

    @classmethod
    def fit(cls, X_train: npt.ArrayLike, *, kind: str = "standard") -> "Scaler":
        """The scaler that fits the features of `X_train`, (N, D): pass the training part, never the test part.

        Args:
            X_train: features of any float or integer dtype.
            kind: "standard" gives each feature mean 0 and (population) variance 1 over `X_train`; "minmax" maps its
                range to [0, 1]; "none" leaves all as it is.

        A feature that is constant in `X_train` says nothing: it is mapped to 0 by a scale of 1.
        Raises `ArgumentError` for empty arrays, and for NaN and infinities with their place.
        """
        if kind not in _KINDS:
            raise unknown_name("kind", kind, _KINDS)
        X = checks.features("X_train", X_train)
        checks.finite("X_train", X, np.dtype(np.float64))
        n_features = X.shape[1]
        if kind == "none":
            return cls(np.zeros(n_features), np.ones(n_features))
        low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
        # Asked of the values: rounding leaves a constant feature a deviation of a few ulp, not always of 0.
        constant = low == high
        with np.errstate(over="ignore"):
            width = np.where(constant, 1.0, high - low)
        if not np.isfinite(width).all():
            column = int(np.argmin(np.isfinite(width)))
            raise ArgumentError(
                "X_train", given=f"{low[column]} to {high[column]} in column {column}", expected="a range of float64"
            )
        if kind == "minmax":
            return cls(low, width)
        # Mean and deviation in units of the range, so that no sum or square overflows or vanishes.
        mean = sum(((rows - low) / width).sum(axis=0) for rows in _blocks(X)) / len(X)
        squares = sum((((rows - low) / width - mean) ** 2).sum(axis=0) for rows in _blocks(X))
        return cls(low + width * mean, np.where(constant, 1.0, width * np.sqrt(squares / len(X))))

    @classmethod
    def by_range(cls, low: float, high: float) -> "Scaler":
        """The scaler that maps [low, high] to [0, 1] in every feature: what pixels of a known range need.

        >>> Scaler.by_range(0, 255).transform([[0, 51, 255]], "float64")
        array([[0. , 0.2, 1. ]])
        """
        low = checks.real("low", low)
        high = checks.real("high", high, above=low)
        return cls(np.float64(low), np.float64(high) - low)  # type: ignore[arg-type]  # __post_init__ makes arrays

    def transform(self, X: npt.ArrayLike, dtype: npt.DTypeLike = "float32") -> FloatArray:
        """(X − shift) / scale as a new (N, D) array of `dtype`, "float32" or "float64"; `X` is left as it is.

        The arithmetic is float64, whatever `dtype`: a feature such as a time stamp is large against its spread, and
        rounding it before the shift would lose the spread. Rows are done in blocks, so the only large array made is
        the result.
        Raises `ArgumentError` for another number of features and for NaN and infinities with their place.
        """
        result_dtype = checks.float_dtype("dtype", dtype)
        X = checks.features("X", X, n_features=len(self.shift) if self.shift.ndim else None)
        checks.finite("X", X, np.dtype(np.float64))
        result: FloatArray = np.empty(X.shape, result_dtype)
        row = 0
        with np.errstate(over="ignore"):  # `finite` below says where
            for rows in _blocks(X):
                result[row : row + len(rows)] = (rows - self.shift) / self.scale
                row += len(rows)
        checks.finite("the scaled X", result, result_dtype)
        return result

    def to_dict(self) -> dict[str, Any]:
        """The scaler as plain lists (or numbers), ready for JSON.

        >>> Scaler.by_range(0, 16).to_dict()
        {'shift': 0.0, 'scale': 16.0}
        """
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, saved: object) -> "Scaler":
        """The scaler that `to_dict` described; raises `ArgumentError` for anything else."""
        if not isinstance(saved, Mapping) or set(saved) != {"shift", "scale"}:
            raise ArgumentError("saved", given=checks.describe(saved), expected="a mapping with keys shift and scale")
        return cls(shift=saved["shift"], scale=saved["scale"])


def _blocks(X: Array) -> Iterator[Array]:
    """The rows of `X` in pieces of about a million elements: temporaries stay in cache, whatever the size of X."""
    rows_at_once = max(1, 1_000_000 // X.shape[1])
    for start in range(0, len(X), rows_at_once):
        yield X[start : start + rows_at_once]
