"""Predicting as a job: a trained network's outputs for a batch, one call after another."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from mlp_benchmarks.cases import Case
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Verdict
from mlp_benchmarks.work import Work, make_work
from mlp_scratch._types import Array

UNIT_ROUNDOFF = 2.0**-24

_HERE = "mlp_benchmarks.contenders.predictors"
PREDICTORS: dict[str, Entry] = {
    "numba": Entry(f"{_HERE}:Numba"),
    "numpy": Entry(f"{_HERE}:Numpy"),
    "torch": Entry(f"{_HERE}:Torch", "torch", "pip install torch"),
    "onnxruntime": Entry(f"{_HERE}:OnnxRuntime", "onnxruntime onnx", "pip install onnx onnxruntime"),
    "sklearn": Entry(f"{_HERE}:Sklearn", "sklearn", "pip install scikit-learn"),
}


@dataclass(frozen=True, eq=False)
class PredictJob:
    """The network of a case, as initialised, and the first `batch` samples, repeated where there are fewer.

    The evidence is the largest distance of a class's probability from the float64 one.
    """

    kind: ClassVar[str] = "mlp_benchmarks.predictions:PredictJob"
    least_seconds: ClassVar[float] = 0.0
    steps_checked: ClassVar[int] = 1
    evidence_kept: ClassVar[int] = 1
    case: Case
    batch: int
    threads: int = 1

    @property
    def name(self) -> str:
        return f"predict {self.batch} on {self.threads}"

    def save(self, path: Path) -> None:
        np.savez(path, job=json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "PredictJob":
        with np.load(path) as file:
            fields = json.loads(str(file["job"]))
        case = fields.pop("case")
        return cls(Case(**case | {"widths": tuple(case["widths"])}), **fields)

    def make(self) -> tuple[Work, Array]:
        """The network with its weights, and the inputs, float32 (batch, D)."""
        work = make_work(self.case, "sgd", threads=self.threads)
        return work, np.ascontiguousarray(np.resize(work.X, (self.batch, self.case.widths[0])))

    def batches(self, steps: int) -> int:
        return steps

    def judge(self, entry: Entry, evidence: npt.NDArray[np.float64]) -> Verdict:
        """Outputs are off by at most Σ D u times what |weights| make of |inputs|, a probability by half of that."""
        work, X = self.make()
        size, terms = np.abs(X[:1000]).astype(float), 0
        for weight, bias in work.layers:
            size = size @ np.abs(weight.T) + np.abs(bias)
            terms += weight.shape[1] + 1
        gap, bound = float(evidence[0]), terms * UNIT_ROUNDOFF * float(size.max()) / 2
        return Verdict(gap, bound, "" if gap <= bound else "the probabilities differ by more than rounding explains")
