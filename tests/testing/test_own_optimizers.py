"""Update rules that users write: right ones pass, with decay of their own too; wrong ones are named."""

from dataclasses import dataclass

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.optimizers import SGD, Adam
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


class KeepsTheRate:
    """The velocity has the learning rate in it, which is the same as `Momentum` while that never changes."""

    slots = ("velocity",)

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        v = 0.875 * slots[0] + lr * g
        return p - v, v[np.newaxis]


class HasItsOwnRate(Plain):
    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - 0.125 * g, slots


@pytest.mark.parametrize(
    ("wrong", "right"), [(KeepsTheRate(), SGD(momentum=0.875)), (HasItsOwnRate(), SGD())], ids=["kept", "own"]
)
def test_a_reference_sees_what_a_rule_makes_of_another_learning_rate(wrong, right):
    check_optimizer(Momentum(), reference=SGD(momentum=0.875))
    with pytest.raises(PropertyError, match=r"^agreement"):
        check_optimizer(wrong, reference=right)


@pytest.mark.parametrize("written", [lambda step: step == 1, lambda step: step < 3, lambda step: step > 1])
def test_a_rule_that_writes_at_some_steps_only_is_named(written):
    class Writes(Momentum):
        def update(self, p, g, slots, *, step, lr, decayed=1.0):
            if written(step):
                g *= 2
            return super().update(p, g, slots, step=step, lr=lr)

    with pytest.raises(PropertyError, match=r"^pure: an update changes nothing in place"):
        check_optimizer(Writes())


@pytest.mark.parametrize("momentum", [0.9, 0.999, 0.99999, 1 - 1e-9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_a_momentum_near_one_is_known_in_closed_form(momentum, nesterov):
    class Forgets(SGD):
        def update(self, p, g, slots, *, step, lr, decayed=1.0):
            return super().update(p, g, slots * (1 - 1e-9), step=step, lr=lr, decayed=decayed)

    check_optimizer(SGD(momentum=momentum, nesterov=nesterov))
    with pytest.raises(PropertyError, match=r"^constant_gradient"):
        check_optimizer(Forgets(momentum=momentum, nesterov=nesterov))


def test_moments_that_fade_slowly_are_known_too():
    check_optimizer(Adam(beta1=0.99999, beta2=0.0))


def test_an_update_that_is_not_finite_is_named():
    with pytest.raises(PropertyError, match=r"^finite: an update gives finite numbers") as caught:
        check_optimizer(Adam(eps=0.0))
    assert (caught.value.facts["step"], caught.value.facts["parameter"], caught.value.facts["gradient"]) == (1, 0, 0)
    with pytest.raises(PropertyError, match=r"^finite"), np.errstate(invalid="ignore"):
        exec(caught.value.code)


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
    "no parameters": (lambda: check_optimizer(Plain(), []), ArgumentError,
        r"p: got shape \(0,\), expected at least one parameter, shape \(P,\)"),
    "a matrix of parameters": (lambda: check_optimizer(Plain(), np.ones((2, 2))), ArgumentError,
        r"p: got shape \(2, 2\), expected at least one parameter, shape \(P,\)"),
    "no gradients": (lambda: check_optimizer(Plain(), np.ones(3), np.ones((0, 3))), ArgumentError,
        r"g: got shape \(0, 3\), expected p of shape \(P,\) and g of shape \(T, P\), .*; p has shape \(3,\)"),
    "a NaN among the parameters": (lambda: check_optimizer(Plain(), [1.0, np.nan]), ArgumentError,
        r"p: got nan at position \(1,\), expected finite numbers that fit float64; .*"),
    "an infinite gradient": (lambda: check_optimizer(Plain(), [1.0], [[np.inf]]), ArgumentError,
        r"g: got inf at position \(0, 0\), expected finite numbers that fit float64; .*"),
    "a learning rate that is none": (lambda: check_optimizer(Plain(), lr="a"), ArgumentTypeError,
        r"lr: got 'a' \(str\), expected a real number"),
    "no learning": (lambda: check_optimizer(Plain(), lr=0.0), ArgumentError,
        r"lr: got 0\.0, expected a finite number above 0"),
    "a NaN for a learning rate": (lambda: check_optimizer(Plain(), lr=float("nan")), ArgumentError,
        r"lr: got nan, expected a finite number above 0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", REFUSED)
def test_mistakes(mistake):
    assert_refused(*REFUSED[mistake])
