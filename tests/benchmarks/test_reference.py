from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mlp_benchmarks import reference as reference_module
from mlp_benchmarks.cases import CASES, OPTIMIZERS, Case
from mlp_benchmarks.reference import (
    NOISY_RUNS,
    Reference,
    ReferenceMaker,
    exact_curve,
    loss_curve,
    noisy_curve,
    rounding_bound,
)
from mlp_benchmarks.work import STEPS_CHECKED, STEPS_CHECKED_OF_HUGE, make_work

SMALL = [(name, optimizer) for name in ("xy-1x24", "xy-4x6", "digits") for optimizer in OPTIMIZERS]


@pytest.fixture(params=SMALL, ids="-".join, scope="module")
def work(request):
    name, optimizer = request.param
    return make_work(CASES[name], optimizer, threads=1)


@pytest.fixture(scope="module")
def reference(work):
    return ReferenceMaker(work).get("torch")


def test_training_gets_somewhere(reference):
    assert reference.losses[-1] < 0.95 * reference.losses[0]


def test_float32_is_well_inside(work, reference):
    curve = loss_curve(work, work.rule, dtype="float32")
    assert reference.first_refused(curve) is None
    assert np.all(np.abs(curve / reference.losses - 1) <= reference.bound / 2)


@pytest.mark.parametrize("factor", [1.0005, 0.9995])
def test_a_small_lie_is_refused(work, reference, factor):
    assert reference.first_refused(loss_curve(work, replace(work.rule, lr=work.rule.lr * factor))) is not None


@pytest.mark.parametrize("factor", [1.0005, 0.9995])
def test_a_small_lie_is_refused_within_the_steps_of_huge_cases(work, reference, factor):
    curve = loss_curve(work, replace(work.rule, lr=work.rule.lr * factor))
    assert reference.first_refused(curve) <= STEPS_CHECKED_OF_HUGE


@pytest.mark.parametrize("factor", [1.0005, 0.9995])
def test_a_small_lie_is_refused_of_keras_too(factor):
    work = make_work(CASES["digits"], "adam", threads=1)
    reference = ReferenceMaker(work).get("keras-float32")
    honest = replace(work.rule, eps_mode="keras")
    assert reference.first_refused(loss_curve(work, honest)) is None
    lie = loss_curve(work, replace(honest, lr=honest.lr * factor))
    assert reference.first_refused(lie) <= STEPS_CHECKED_OF_HUGE


def test_a_coarse_correction_is_allowed_more_at_first(digits):
    work = make_work(digits.case, "adam", threads=1)
    exact = loss_curve(work, work.rule)
    fine, coarse = (
        rounding_bound(work, exact, [noisy_curve(work, work.rule, run, coarse_correction=each) for run in range(4)])
        for each in (False, True)
    )
    assert coarse[2] > 1.2 * fine[2]


def test_the_step_that_leaves_the_curve_is_named(work, reference):
    curve = loss_curve(work, work.rule)
    late = np.concatenate([curve[:40], loss_curve(work, replace(work.rule, lr=work.rule.lr * 0.9))[40:]])
    assert reference.first_refused(curve) is None
    assert reference.first_refused(late) == 41


def test_bound_leaves_no_room_for_another_method(reference):
    # A thousandth of the loss: what another data order or another initialisation changes at every step.
    assert reference.bound.shape == (STEPS_CHECKED,)
    assert np.all(np.diff(reference.bound) >= 0)
    assert reference.bound.max() < 1e-3


def test_gap_is_relative_and_nan_is_refused():
    reference = Reference(losses=np.array([2.0, 4.0]), bound=np.array([0.1, 0.1]))
    assert reference.gap(np.array([2.0, 5.0])) == 0.25
    assert reference.first_refused(np.array([2.0, 5.0])) == 2
    assert reference.first_refused(np.array([2.0, 4.2])) is None
    assert reference.first_refused(np.array([2.0])) is None
    assert reference.first_refused(np.array([2.0, np.nan])) == 2
    assert np.isnan(reference.gap(np.array([2.0, np.nan])))


def test_a_cut_loss_is_that_of_samples_and_changes_no_training(digits):
    exact = exact_curve(digits, digits.rule)
    assert np.all(exact.losses == loss_curve(digits, digits.rule))
    cut = exact.cut_off(2.0)
    assert np.all(cut < exact.losses)
    assert cut[0] < 2.0 < exact.losses[0]
    assert exact.cut_off(None) is exact.losses
    np.testing.assert_allclose(exact.cut_off(1e3), exact.losses, rtol=1e-12)


def test_forms_share_what_they_have_in_common_and_any_thread_may_ask(digits, monkeypatch):
    work = make_work(digits.case, "adam", threads=1)
    curves = []
    monkeypatch.setattr(
        reference_module, "loss_curve", lambda *a, **k: (curves.append(a[1].eps_mode), loss_curve(*a, **k))[1]
    )
    maker = ReferenceMaker(work)
    forms = [("torch", None), ("keras", 2.0), ("keras-float32", None), ("torch", None), ("keras", 2.0)]
    with ThreadPoolExecutor(len(forms)) as pool:
        made = list(pool.map(lambda form: maker.get(*form), forms))
    # A float64 curve each, and the runs that are shaken: of one form for all that round alike, and of Keras'.
    assert sorted(curves) == ["keras"] * (1 + NOISY_RUNS) + ["torch"] * (1 + NOISY_RUNS)
    for once, again in [(0, 3), (1, 4)]:
        assert made[once].bound is made[again].bound
        assert np.all(made[once].losses == made[again].losses)
    assert np.all(made[1].bound == made[0].bound)
    # Whoever asks first, the reference is the same.
    assert np.all(ReferenceMaker(work).get("keras", 2.0).bound == made[1].bound)


def test_only_the_largest_case_is_checked_for_fewer_steps():
    checked = {name: make_work(case, "sgd", threads=1).steps_checked for name, case in CASES.items()}
    assert {name for name, steps in checked.items() if steps != STEPS_CHECKED} == {"wide-4096"}
    many_parameters = Case("", (2048, 2048, 2048), 1, "cross_entropy", "random")
    assert make_work(many_parameters, "sgd", threads=1).steps_checked == STEPS_CHECKED_OF_HUGE


def test_keras_form_of_adam_has_its_own_curve(digits):
    maker = ReferenceMaker(make_work(digits.case, "adam", threads=1))
    assert np.any(maker.get("torch").losses != maker.get("keras").losses)
