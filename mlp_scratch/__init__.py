"""Multi-layer perceptrons from scratch: manual backpropagation that can be read, run, measured and proven.

    >>> import numpy as np, mlp_scratch as ms
    >>> X, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> model = ms.MLP([4, 16, 2], activation="relu", seed=0)
    >>> history = model.fit(X, y, loss="cross_entropy", optimizer=ms.Adam(1e-2), batch_size=4, epochs=50)
    >>> model.evaluate(X, y)["accuracy"]
    1.0

This module is the table of contents: every public name, and nothing that takes long to import.
"""

from mlp_scratch.callbacks import Callback as Callback
from mlp_scratch.callbacks import Checkpoint as Checkpoint
from mlp_scratch.callbacks import EarlyStopping as EarlyStopping
from mlp_scratch.errors import ArgumentError as ArgumentError
from mlp_scratch.errors import DivergedError as DivergedError
from mlp_scratch.errors import MlpScratchError as MlpScratchError
from mlp_scratch.errors import ModelFileError as ModelFileError
from mlp_scratch.gradcheck import gradcheck as gradcheck
from mlp_scratch.history import History as History
from mlp_scratch.initializers import Constant as Constant
from mlp_scratch.initializers import Glorot as Glorot
from mlp_scratch.initializers import He as He
from mlp_scratch.initializers import LeCun as LeCun
from mlp_scratch.initializers import Normal as Normal
from mlp_scratch.initializers import TorchDefault as TorchDefault
from mlp_scratch.initializers import Uniform as Uniform
from mlp_scratch.layers import ELU as ELU
from mlp_scratch.layers import GELU as GELU
from mlp_scratch.layers import SELU as SELU
from mlp_scratch.layers import BatchNorm as BatchNorm
from mlp_scratch.layers import Dense as Dense
from mlp_scratch.layers import Dropout as Dropout
from mlp_scratch.layers import Identity as Identity
from mlp_scratch.layers import LeakyReLU as LeakyReLU
from mlp_scratch.layers import PReLU as PReLU
from mlp_scratch.layers import ReLU as ReLU
from mlp_scratch.layers import ScalarActivation as ScalarActivation
from mlp_scratch.layers import Sigmoid as Sigmoid
from mlp_scratch.layers import Softplus as Softplus
from mlp_scratch.layers import Tanh as Tanh
from mlp_scratch.losses import MAE as MAE
from mlp_scratch.losses import MSE as MSE
from mlp_scratch.losses import BinaryCrossEntropy as BinaryCrossEntropy
from mlp_scratch.losses import CrossEntropy as CrossEntropy
from mlp_scratch.losses import Huber as Huber
from mlp_scratch.losses import ScalarLoss as ScalarLoss
from mlp_scratch.mlp import MLP as MLP
from mlp_scratch.optimizers import SGD as SGD
from mlp_scratch.optimizers import Adam as Adam
from mlp_scratch.population import Population as Population
from mlp_scratch.sequential import Sequential as Sequential
from mlp_scratch.sequential import load as load

__version__ = "0.1.0"
