# mypy: disable-error-code="no-untyped-call"
"""What predicts, for `mlp-bench costs`: each the shortest public call from a batch that lies in memory to logits.

PyTorch runs under `inference_mode`; onnxruntime has its session's threads set and gets the network as three operator
kinds (Gemm, Relu); scikit-learn's `predict_proba` is the only one that has to apply the softmax as well.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from mlp_benchmarks.predictions import PredictJob
from mlp_benchmarks.work import Work
from mlp_scratch import MLP
from mlp_scratch._types import Array


class Numba:
    """`Sequential.logits` on the compiled backend."""

    backend = "numba"

    def __init__(self, job: PredictJob) -> None:
        self._work, self._X = job.make()
        self._predict = self.make(self._work)

    def make(self, work: Work) -> Any:
        """The function from X to logits."""
        model = MLP(work.case.widths, dtype="float32")
        model.flat[...] = work.parameters
        return lambda X: model.logits(X, backend=self.backend)

    def reset(self) -> None:
        pass  # a prediction leaves nothing behind

    def prepare(self, steps: int) -> int:
        return steps

    def run(self, steps: int) -> Any:
        predict, X = self._predict, self._X
        for _ in range(steps):
            outcome = predict(X)
        return outcome

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        x = self._X.astype(float)
        for i, (weight, bias) in enumerate(self._work.layers):
            x = np.maximum(x, 0) if i else x
            x = x @ weight.T.astype(float) + bias
        return np.array([np.max(np.abs(self.probabilities(np.asarray(outcome)) - softmax(x, axis=1)))])

    def probabilities(self, outcome: Array) -> Array:
        return np.asarray(softmax(outcome.astype(float), axis=1))


class Numpy(Numba):
    """The same on the specification."""

    backend = "numpy"


class Torch(Numba):
    """`nn.Sequential` under `inference_mode`."""

    def make(self, work: Work) -> Any:
        import torch

        torch.set_num_threads(work.threads)
        layers: list[Any] = []
        for weight, bias in work.layers:
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
            linear.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            layers += [linear, torch.nn.ReLU()]
        model = torch.nn.Sequential(*layers[:-1]).eval()
        X = torch.from_numpy(self._X)
        return lambda _: model(X)

    def run(self, steps: int) -> Any:
        import torch

        with torch.inference_mode():  # entered once: doing so for each sample would be a tenth of its time
            return super().run(steps)


class OnnxRuntime(Numba):
    """One session, its input a NumPy array."""

    def make(self, work: Work) -> Any:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        nodes, constants, name = [], [], "x"
        for i, (weight, bias) in enumerate(work.layers):
            if i:
                nodes.append(helper.make_node("Relu", [name], [f"a{i}"]))
                name = f"a{i}"
            constants += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
            nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"], transB=1))
            name = f"z{i}"
        widths = work.case.widths
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", widths[0]])]
        out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", widths[-1]])]
        graph = helper.make_graph(nodes, "mlp", ends, out, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = work.threads, 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return lambda X: session.run(None, {"x": X})[0]


class Sklearn(Numba):
    """`MLPClassifier.predict_proba`."""

    def make(self, work: Work) -> Any:
        from mlp_benchmarks.contenders.sklearn import Sklearn as Trained

        return Trained(work)._model.predict_proba

    def probabilities(self, outcome: Array) -> Array:
        return outcome
