"""The contenders by name. A new one is a file and a row."""

from mlp_benchmarks.contenders.base import Contender as Contender
from mlp_benchmarks.contenders.base import Entry as Entry
from mlp_benchmarks.contenders.base import UnsuitableError as UnsuitableError

_HERE = "mlp_benchmarks.contenders"

CONTENDERS: dict[str, Entry] = {
    "numpy": Entry(f"{_HERE}.ours:Numpy"),
    "numba": Entry(f"{_HERE}.ours:Numba"),
    "torch": Entry(f"{_HERE}.torch:Torch", "torch", "pip install torch"),
    "jax": Entry(f"{_HERE}.jax:Jax", "jax", "pip install jax"),
    "jax-scan": Entry(f"{_HERE}.jax_scan:JaxScan", "jax", "pip install jax"),
    "sklearn": Entry(f"{_HERE}.sklearn:Sklearn", "sklearn", "pip install scikit-learn", adam_form="keras"),
}
