"""Update rules that users write: right ones pass, with decay of their own too; wrong ones are named."""

from dataclasses import dataclass

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.optimizers import Adam
from mlp_scratch.testing import PropertyError, check_optimizer
from tests.refusals import assert_refused


class Plain:
    slots = ()

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - lr * g, slots


class Decays(Plain):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - lr * (g + 0.125 * decayed * p), slots


class Momentum:
    """With its slots in a list."""

    slots = ("velocity",)

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        v = 0.875 * slots[0] + g
        return p - lr * v, [v]


class Lion:
    slots = ("m",)

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        u = np.sign(0.9 * slots[0] + 0.1 * g)
        return p - lr * u, (0.99 * slots[0] + 0.01 * g)[np.newaxis]


class OwnAdam:
    slots = ("m", "v")

    def __init__(self, decay=0.0, *, late=0, corrected=True):
        self.decay, self.late, self.corrected = decay, late, corrected

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        m, v = 0.9 * slots[0] + 0.1 * g, 0.999 * slots[1] + 0.001 * g * g
        t = step + self.late
        corrections = (1 - 0.9**t, 1 - 0.999**t) if self.corrected else (1, 1)
        step_taken = m / corrections[0] / (np.sqrt(v / corrections[1]) + 1e-8)
        return p - lr * (step_taken + self.decay * decayed * p), np.stack([m, v])


RIGHT = [Plain(), Decays(), Momentum(), Lion(), OwnAdam(), OwnAdam(0.125)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("rule", RIGHT)
def test_a_right_rule_passes(rule, dtype):
    check_optimizer(rule, np.array([0.5, -2.0, 0.0], dtype))


def test_decay_that_minds_no_mask_is_named():
    class DecaysAll(Decays):
        def update(self, p, g, slots, *, step, lr, decayed=1.0):
            return super().update(p, g, slots, step=step, lr=lr)

    with pytest.raises(PropertyError, match="where `decayed` is 0, "):
        check_optimizer(DecaysAll())


def test_a_rule_agrees_with_a_reference():
    check_optimizer(OwnAdam(), reference=Adam())
    check_optimizer(OwnAdam(0.125), reference=Adam(weight_decay=0.125, decoupled=True))


@pytest.mark.parametrize("wrong", [OwnAdam(late=1), OwnAdam(corrected=False), OwnAdam(0.125)])
def test_only_a_reference_knows_what_a_rule_of_ones_own_should_be(wrong):
    check_optimizer(wrong)
    with pytest.raises(PropertyError) as caught:
        check_optimizer(wrong, reference=Adam())
    assert caught.value.property == "agreement"
    assert "reference = Adam(" in caught.value.code
    with pytest.raises(PropertyError, match=r"^agreement"):
        exec(caught.value.code.replace("optimizer = ...", "optimizer = wrong"), {"wrong": wrong})


@dataclass(frozen=True)
class Late(Adam):
    """Adam, one step late."""

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return super().update(p, g, slots, step=step + 1, lr=lr, decayed=decayed)


def test_the_printed_lines_import_nothing_that_is_not_there():
    with pytest.raises(PropertyError) as caught:
        check_optimizer(Late())
    with pytest.raises(PropertyError, match=r"^constant_gradient"):
        exec(caught.value.code, {"Late": Late})


@pytest.mark.parametrize("at", ["float64", "float32"])
def test_a_lost_dtype_is_named(at):
    class Other(Plain):
        def update(self, p, g, slots, *, step, lr, decayed=1.0):
            return (p - lr * g).astype("float32" if at == "float64" else "float64"), slots

    with pytest.raises(PropertyError, match="keep the dtype of the parameters"):
        check_optimizer(Other(), np.ones(2, at), only=["dtype"])


def test_a_lost_shape_is_named():
    class Column(Plain):
        def update(self, p, g, slots, *, step, lr, decayed=1.0):
            return (p - lr * g)[:, np.newaxis], slots

    with pytest.raises(PropertyError, match=r"^shapes: parameters and slots keep their shapes"):
        check_optimizer(Column())


class NoSlots(Plain):
    slots = None


class ReturnsParametersOnly(Plain):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - lr * g


class KnowsNoMask:
    slots = ()

    def update(self, p, g, slots, *, step, lr):
        return p - lr * g, slots


REFUSED = {
    "no slots": (lambda: check_optimizer(NoSlots()), ArgumentTypeError,
        r"optimizer: got slots None \(NoneType\), expected the names of the vectors .*; .* slots = \(\)"),
    "parameters only": (lambda: check_optimizer(ReturnsParametersOnly(), np.ones(2)), ArgumentTypeError,
        r"optimizer: got an update that returns an array of shape \(2,\) .*, expected .*; return p, slots"),
    "no mask": (lambda: check_optimizer(KnowsNoMask()), ArgumentTypeError,
        r"optimizer: got update\(p, g, slots, \*, step, lr\), expected update\(.*\); decayed is 0 where .*"),
    "a reference that is none": (lambda: check_optimizer(Plain(), reference="adam"), ArgumentTypeError,
        r"reference: got 'adam' \(str\), expected an object with slots and update; .*"),
    "gradients of other parameters": (lambda: check_optimizer(Plain(), np.ones(3), np.ones(2)), ArgumentError,
        r"g: got shape \(1, 2\), expected p of shape \(P,\) and g of shape \(T, P\), .*; p has shape \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistakes(mistake):
    assert_refused(*REFUSED[mistake])
