"""Each real contender, where it is installed, does the same work as the float64 NumPy backend."""

import os
from importlib import import_module

import numpy as np
import pytest

from mlp_benchmarks.cases import CASES, OPTIMIZERS
from mlp_benchmarks.contenders import CONTENDERS, UnsuitableError
from mlp_benchmarks.populations import POPULATION_CONTENDERS
from mlp_benchmarks.predictions import PREDICTORS
from mlp_benchmarks.products import PRODUCT_CONTENDERS
from mlp_benchmarks.reference import ReferenceMaker
from mlp_benchmarks.work import STEPS_CHECKED, make_work

# What a framework's own code is deprecated for is its makers' to mend.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
os.environ["KERAS_BACKEND"] = "jax"  # as the contender sets it: Keras looks once, when it is first imported

SMALL = [(name, optimizer) for name in ("xy-4x6", "digits") for optimizer in OPTIMIZERS]


@pytest.fixture(params=SMALL, ids="-".join, scope="module")
def maker(request):
    name, optimizer = request.param
    work = make_work(CASES[name], optimizer, threads=1)
    return work, ReferenceMaker(work)


@pytest.fixture(params=CONTENDERS)
def contender(request, maker):
    entry = CONTENDERS[request.param]
    if request.param == "control":
        pytest.skip("is numba")
    if not entry.installed:
        pytest.skip(entry.install)
    module, _, name = entry.path.partition(":")
    try:
        made = getattr(import_module(module), name)(maker[0])
    except UnsuitableError as reason:
        pytest.skip(str(reason))
    return made, maker[1].get(entry.adam_form)


def test_loss_curve(contender, maker):
    made, reference = contender
    losses = made.evidence(made.run(made.prepare(maker[0].batches(STEPS_CHECKED))))
    assert losses.shape == (STEPS_CHECKED,)
    assert losses.dtype == np.float64
    assert reference.first_refused(losses) is None


def test_reset_takes_everything_back(contender, maker):
    made, _ = contender
    batches = made.prepare(maker[0].batches(STEPS_CHECKED))
    first = made.evidence(made.run(batches))
    made.reset()
    np.testing.assert_array_equal(made.evidence(made.run(batches)), first)


def test_run_goes_on_where_it_stopped(contender, maker):
    made, reference = contender
    rows = maker[0].batches(STEPS_CHECKED)
    parts = [made.evidence(made.run(made.prepare(part))) for part in (rows[:20], rows[20:])]
    assert reference.first_refused(np.concatenate(parts)) is None


@pytest.mark.parametrize("table", [CONTENDERS, PREDICTORS, PRODUCT_CONTENDERS, POPULATION_CONTENDERS])
def test_all_that_a_contender_has_to_be_installed_is_looked_for(table):
    for name, entry in table.items():
        assert len(entry.packages.split()) == len(entry.install.split()[2:]), name  # behind "pip install"


def test_sklearn_has_no_mae():
    pytest.importorskip("sklearn")
    from mlp_benchmarks.contenders.sklearn import Sklearn

    with pytest.raises(UnsuitableError, match="has no mae loss"):
        Sklearn(make_work(CASES["xy-1x24"], "sgd", threads=1))


def test_sklearn_adds_eps_as_keras_does():
    pytest.importorskip("sklearn")
    from mlp_benchmarks.contenders.sklearn import Sklearn

    work = make_work(CASES["digits"], "adam", threads=1)
    made, maker = Sklearn(work), ReferenceMaker(work)
    losses = made.evidence(made.run(made.prepare(work.batches(STEPS_CHECKED))))
    assert CONTENDERS["sklearn"].adam_form == "keras"
    assert maker.get("keras").gap(losses) < maker.get("torch").gap(losses) / 5
