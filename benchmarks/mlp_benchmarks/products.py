"""One matrix product as a job: its operands, and how exact its result must be."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Verdict
from mlp_scratch._types import Array

LAYOUTS = ("NN", "NT", "TN")
"""Which operand is stored transposed. The three products of training: dX = dY W, Y = X Wᵀ, dW = dYᵀ X."""
ALIGNMENT = 64
UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}

_HERE = "mlp_benchmarks.contenders.products"
PRODUCT_CONTENDERS: dict[str, Entry] = {
    "numba": Entry(f"{_HERE}:Numba"),
    "cuda": Entry(f"{_HERE}:Cuda", device="gpu"),
    "openblas": Entry(f"{_HERE}:OpenBlas"),
    "torch": Entry(f"{_HERE}:Torch", "torch", "pip install torch"),
    "cublas": Entry(f"{_HERE}:CuBlas", "torch", "pip install torch", device="gpu"),
}


@dataclass(frozen=True, kw_only=True)
class Product:
    """C (M, N) = A (M, K) B (K, N).

    Attributes:
        layout: "NN", "NT" (B is stored as its transpose, (N, K)) or "TN" (A is, (K, M)).
        pad: how many elements a stored row of A, B and C is longer than what is used of it: leading dimension less
            columns.
        offset: how many bytes A, B and C begin behind a multiple of 64.
    """

    kind: ClassVar[str] = "mlp_benchmarks.products:LoadedProduct"
    least_seconds: ClassVar[float] = 0.0
    m: int
    n: int
    k: int
    dtype: str = "float32"
    layout: str = "NN"
    pad: int = 0
    offset: int = 0
    threads: int = 1

    @property
    def flops(self) -> int:
        """A multiplication and an addition are two."""
        return 2 * self.m * self.n * self.k

    @property
    def name(self) -> str:
        return f"{self.m}x{self.n}x{self.k} {self.layout} on {self.threads}"

    @property
    def bound(self) -> float:
        """How far an element of C may be from the float64 product, as a part of (|A| |B|) there.

        A sum of K products, in any order, is within K u (|A| |B|) of the exact one (N. Higham, "Accuracy and
        Stability of Numerical Algorithms", 2002, equation 3.13, to first order). In float64 the reference may be as
        far off.
        """
        unit = UNIT_ROUNDOFF[self.dtype]
        return self.k * unit * (1 + 2 * self.k * unit) + self.k * UNIT_ROUNDOFF["float64"]

    def save(self, path: Path) -> None:
        """Write the operands, the float64 product, and |A| |B|."""
        rng = np.random.default_rng([self.m, self.n, self.k])
        a, b = (rng.standard_normal(shape).astype(self.dtype) for shape in ((self.m, self.k), (self.k, self.n)))
        exact, size = a.astype(float) @ b.astype(float), np.abs(a).astype(float) @ np.abs(b).astype(float)
        np.savez(path, product=json.dumps(asdict(self)), a=a, b=b, exact=exact, size=size)

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        gap = float(evidence[0])
        fault = "" if gap <= self.bound else "the product differs from the float64 one by more than rounding explains"
        return Verdict(gap, self.bound, fault)


class LoadedProduct:
    """The operands in memory as the product wants them: the worker's side.

    Attributes:
        product: what it is.
        a, b: as stored: (M, K) or for "TN" (K, M); (K, N) or for "NT" (N, K).
        out: where the result goes, (M, N).
    """

    steps_checked = evidence_kept = 1

    def __init__(self, product: Product, a: Array, b: Array, exact: Array, size: Array) -> None:
        self.product = product
        self.a = self._place(a.T if product.layout == "TN" else a)
        self.b = self._place(b.T if product.layout == "NT" else b)
        self.out = self._place(np.zeros_like(exact, product.dtype))
        self._exact, self._size = exact, size

    @classmethod
    def load(cls, path: Path) -> "LoadedProduct":
        """What `Product.save` wrote."""
        with np.load(path) as file:
            product = Product(**json.loads(str(file["product"])))
            return cls(product, *(file[name] for name in ("a", "b", "exact", "size")))

    def batches(self, steps: int) -> int:
        return steps

    def error(self, result: Array) -> npt.NDArray[np.float64]:
        """The largest |C − exact| / (|A| |B|), as evidence; NaN if there is one in C."""
        with np.errstate(invalid="ignore"):
            return np.array([np.max(np.abs(result - self._exact) / self._size)])

    def _place(self, values: Array) -> Array:
        """A copy with the product's leading dimension and offset."""
        rows, columns = values.shape
        leading, item = columns + self.product.pad, values.itemsize
        buffer = np.zeros(rows * leading * item + 2 * ALIGNMENT + self.product.offset, np.uint8)
        start = -buffer.ctypes.data % ALIGNMENT + self.product.offset
        placed: Any = buffer[start : start + rows * leading * item].view(values.dtype).reshape(rows, leading)
        placed[:, :columns] = values
        return placed[:, :columns]
