"""Rules, what optimisers do with a gradient, beside the optimisers."""

from functools import cache

import numpy as np
import pytest

from mlp_kernels.cpu import rules, updates
from mlp_kernels.cpu.lanes import Lanes
from mlp_scratch.optimizers import SGD, Adam
from tests.testing.kernel_calls import calling, inlining
from tests.tolerances import assert_close, eps

pytestmark = pytest.mark.filterwarnings("ignore:(over|under)flow encountered:RuntimeWarning")


OPTIMIZERS = {
    "sgd": SGD(0.1),
    "sgd, decay": SGD(0.1, weight_decay=0.5),
    "sgd, decoupled decay": SGD(0.1, weight_decay=0.5, decoupled=True),
    "momentum": SGD(0.1, momentum=0.75),
    "momentum, decay": SGD(0.1, momentum=0.75, weight_decay=0.5),
    "nesterov": SGD(0.1, momentum=0.75, nesterov=True),
    "adam": Adam(0.1, beta1=0.75, beta2=0.875, eps=0.25),
    "adam, keras": Adam(0.1, beta1=0.75, beta2=0.875, eps=0.25, eps_mode="keras"),
    "adam, no eps": Adam(0.1, eps=0.0),
    "adam, no memory": Adam(0.1, beta1=0.0, beta2=0.0),
    "adam, decay": Adam(0.1, weight_decay=0.5),
    "adam, decoupled decay": Adam(0.1, weight_decay=0.5, decoupled=True),
}


def rule_of(optimizer):
    if isinstance(optimizer, Adam):
        return rules.Rule("adam", optimizer.weight_decay > 0)
    name = "nesterov" if optimizer.nesterov else "momentum" if optimizer.momentum else "sgd"
    return rules.Rule(name, optimizer.weight_decay > 0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rule_is_the_optimizer(name):
    optimizer = OPTIMIZERS[name]
    own = optimizer.constants() if isinstance(optimizer, Adam) else (optimizer.constants()[0], 0.0)
    with np.errstate(divide="ignore"):
        logarithms = np.log([optimizer.beta1, optimizer.beta2]) if isinstance(optimizer, Adam) else (0.0, 0.0)
    constants = np.array([optimizer.weight_decay, optimizer.decoupled, *(*own, 0.0, 0.0)[:4], *logarithms])
    rule, rng = rule_of(optimizer), np.random.default_rng(0)
    assert rule.slots == len(optimizer.slots)
    p, q = (rng.normal(size=5),) * 2
    slots, rows = np.zeros((rule.slots, 5)), [np.zeros(5) for _ in range(rule.slots)]
    for step in range(1, 6):
        g, lr = rng.normal(size=5), 0.1 / step
        hyper, corrections = np.zeros(9), np.zeros(updates.CORRECTIONS)
        calling(hyper_parameters(), 3, 3)(constants, corrections, hyper, lr, step, step // 2)
        if not isinstance(optimizer, Adam):
            assert not corrections.any(), "no rule but Adam's has any"
            assert not hyper[rules.ONE_MINUS_BETA1 :].any(), "no rule but Adam's reads these"
        p, slots = optimizer.update(p, g, slots, step=step, lr=lr)
        q, rows = rule.apply(rules.Hyper(*hyper), q, g, rows)
        assert_close(q, p, 64 * eps("float64"), f"step {step}")
        assert_close(np.array(rows).reshape(slots.shape), slots, 64 * eps("float64"))


@cache
def hyper_parameters():
    of_some_steps, of_one = inlining(updates.set_corrections), inlining(updates.set_hyper_parameters)
    move = inlining(updates.shift)

    def call(constants, corrections, hyper, lr, step, ahead):
        of_some_steps(constants, step - ahead, corrections)
        of_one(constants, lr, move(corrections, ahead), hyper)

    return call


def test_a_gradient_that_is_stored():
    p, g = np.ones(2), np.array([3.0, 4.0])
    rule = rules.Rule("gradient")
    assert rule.slots == 1
    assert rule.decays is False
    assert rule.fast is False
    q, (stored,) = rule.apply(rules.Hyper(*[0.5] * 9), p, g, [np.zeros(2)])
    assert q is p
    assert stored is g


class Noted(Lanes):
    """Lanes that are a number, and note which of the two quotients made them."""

    def __init__(self, value, by=""):
        self.value, self.by = value, by

    def __add__(self, other):
        return Noted(self.value + other.value)

    def __sub__(self, other):
        return Noted(self.value - other.value, other.by)

    def __mul__(self, other):
        return Noted(self.value * other.value)

    def __truediv__(self, other):
        return Noted(self.value / other.value, "/")

    def sqrt(self):
        return Noted(self.value**0.5)

    def divided_by(self, other):
        return Noted(self.value / other.value, "estimate")


@pytest.mark.parametrize("fast", [False, True])
def test_a_rule_of_lanes_is_that_of_arrays(fast):
    numbers, p, g, m, v = [0.5, 0.0, 1.0, 0.75, 0.25, 0.5, 0.5, 0.125, 0.25], 2.0, 0.5, 0.25, 1.0
    rule = rules.Rule("adam", fast=fast)
    expected, slots = rule.apply(rules.Hyper(*numbers), np.float64(p), np.float64(g), [np.float64(m), np.float64(v)])
    q, rows = rule.apply(rules.Hyper(*map(Noted, numbers)), Noted(p), Noted(g), [Noted(m), Noted(v)])
    assert q.value == expected
    assert [row.value for row in rows] == slots
    assert q.by == ("estimate" if fast else "/")


def test_without_decay_a_parameter_does_not_shrink():
    h = rules.Hyper(1.0, 0.5, 0.5, *[0.0] * 6)
    assert rules.Rule("sgd").apply(h, 2.0, 0.25, []) == (1.75, [])
    assert rules.Rule("sgd", decays=True).apply(h, 2.0, 0.25, []) == (-0.25, [])


def test_where_hyper_parameters_lie():
    hyper = rules.Hyper(*range(9))
    assert hyper.lr == rules.LR
    assert hyper.l2 == rules.L2
    assert hyper.shrink == rules.SHRINK
    assert hyper.beta1 == rules.BETA1
    assert hyper.one_minus_beta1 == rules.ONE_MINUS_BETA1
    assert hyper.beta2 == rules.BETA2
    assert hyper.one_minus_beta2 == rules.ONE_MINUS_BETA2
    assert hyper.step_size == rules.STEP_SIZE
    assert hyper.eps == rules.EPS
