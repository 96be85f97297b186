"""Every optimiser of the engine, with any hyper-parameters, held to every property of the kit."""

import numpy as np
import pytest

from mlp_scratch.optimizers import OPTIMIZERS, SGD, Adam
from mlp_scratch.testing import check_optimizer, strategies


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_has_every_property(name):
    check_optimizer(OPTIMIZERS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_row_keeps_float32(name):
    check_optimizer(OPTIMIZERS[name], np.ones(3, np.float32))


def test_any_hyper_parameters():
    check_optimizer(strategies.optimizers())


@pytest.mark.parametrize("rule", [SGD(momentum=0.9, nesterov=True), Adam(beta1=0.0, beta2=0.75, eps=1e-3)])
def test_extreme_gradients(rule):
    g = np.array([[1e-200, -1e-200, 1e100, 0.0]] * 12)
    check_optimizer(rule, np.zeros(4), g, skip=["scale_invariance"])
