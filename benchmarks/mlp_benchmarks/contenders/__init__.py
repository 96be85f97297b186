"""The contenders by name. A new one is a file and a row."""

import math

from mlp_benchmarks.contenders.base import Contender as Contender
from mlp_benchmarks.contenders.base import Entry as Entry
from mlp_benchmarks.contenders.base import UnsuitableError as UnsuitableError

_HERE = "mlp_benchmarks.contenders"
_TORCH, _JAX = "pip install torch", "pip install jax"

CONTENDERS: dict[str, Entry] = {
    "numpy": Entry(f"{_HERE}.ours:Numpy"),
    "numba": Entry(f"{_HERE}.ours:Numba", many_steps=True),
    "control": Entry(f"{_HERE}.ours:Numba", many_steps=True),
    "cuda": Entry(f"{_HERE}.ours:Cuda", many_steps=True, device="gpu"),
    "torch": Entry(f"{_HERE}.torch:Torch", "torch", _TORCH),
    "torch-compile": Entry(f"{_HERE}.torch_compile:TorchCompile", "torch", _TORCH),
    "torch-cuda": Entry(f"{_HERE}.torch_cuda:TorchCuda", "torch", _TORCH, device="gpu"),
    "torch-cudagraph": Entry(f"{_HERE}.torch_cuda:TorchCudaGraph", "torch", _TORCH, device="gpu"),
    "jax": Entry(f"{_HERE}.jax:Jax", "jax", _JAX),
    "jax-scan": Entry(f"{_HERE}.jax_scan:JaxScan", "jax", _JAX, many_steps=True),
    "jax-cuda": Entry(f"{_HERE}.jax_cuda:JaxCuda", "jax", "pip install 'jax[cuda13]'", device="gpu"),
    "keras": Entry(f"{_HERE}.keras:Keras", "keras jax", "pip install keras jax", adam_form="keras-float32"),
    "sklearn": Entry(
        f"{_HERE}.sklearn:Sklearn",
        "sklearn",
        "pip install scikit-learn",
        adam_form="keras",
        most_loss=23 * math.log(2),
    ),
}
"""`control` is `numba` once more: where the two differ, the machine was too noisy to tell."""

CONTROL, BASELINE = "control", "numba"
OURS = ("numpy", "numba", "cuda", "control")
"""All others are peers."""

ONE_THREAD = ("numpy",)
"""Who takes one thread of however many there are: the specification keeps its BLAS to one, so that its bits are the
same everywhere. Its times on several threads are shown, and no conclusion is drawn from them."""
