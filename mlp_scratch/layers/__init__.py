"""The layers, one idea a file, and the tables that name them."""

from mlp_scratch.layers.base import Activation as Activation
from mlp_scratch.layers.base import Context as Context
from mlp_scratch.layers.base import Layer as Layer
from mlp_scratch.layers.batch_norm import BatchNorm as BatchNorm
from mlp_scratch.layers.dense import Dense as Dense
from mlp_scratch.layers.dropout import Dropout as Dropout
from mlp_scratch.layers.elu import ELU as ELU
from mlp_scratch.layers.elu import SELU as SELU
from mlp_scratch.layers.gelu import GELU as GELU
from mlp_scratch.layers.relu import LeakyReLU as LeakyReLU
from mlp_scratch.layers.relu import PReLU as PReLU
from mlp_scratch.layers.relu import ReLU as ReLU
from mlp_scratch.layers.scalar import ScalarActivation as ScalarActivation
from mlp_scratch.layers.sigmoidal import Identity as Identity
from mlp_scratch.layers.sigmoidal import Sigmoid as Sigmoid
from mlp_scratch.layers.sigmoidal import Softplus as Softplus
from mlp_scratch.layers.sigmoidal import Tanh as Tanh

LAYERS: dict[str, type[Layer]] = {
    row.kind: row
    for row in (
        Dense, Identity, ReLU, LeakyReLU, PReLU, ELU, SELU, GELU, Tanh, Sigmoid, Softplus, Dropout, BatchNorm,
    )
}  # fmt: skip
"""Every layer by its kind: a row here is all that model files and programs need to know a new one."""

ACTIVATIONS: dict[str, Layer] = {
    "identity": Identity(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "prelu": PReLU(),
    "elu": ELU(),
    "selu": SELU(),
    "gelu": GELU(),
    "gelu_tanh": GELU("tanh"),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "softplus": Softplus(),
}
"""The activations by the names that `MLP(activation=...)` and the command line take."""
