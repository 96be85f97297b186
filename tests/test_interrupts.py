"""Ctrl-C: the step under way is finished, nothing is lost, and a further fit goes on as if nothing had happened."""

import json
import os
import signal
import threading

import numpy as np
import pytest

from mlp_scratch import MLP, SGD, Callback, Dense, DivergedError, Sequential, training
from mlp_scratch.backends import BACKENDS, numba_cores, numba_inference
from mlp_scratch.backends import numba as compiled
from mlp_scratch.backends.numba_run import CompiledRun
from mlp_scratch.backends.numpy import NumpyBackend
from mlp_scratch.interrupts import deferred_interrupts

X = np.random.default_rng(0).normal(size=(33, 4))
Y = np.random.default_rng(1).integers(0, 3, 33)
STEPS_AN_EPOCH = 7  # 33 samples in batches of 5


def build():
    return MLP([4, 8, 3], dropout=0.3, batch_norm=True, seed=2)


@pytest.fixture
def interrupt_after(monkeypatch):
    """A function that registers a backend "interrupted" which receives SIGINT just after its n-th step."""
    for faster in ("numba", "cuda"):  # "auto" is the same arithmetic then, so that bits can be compared
        monkeypatch.delitem(BACKENDS, faster)

    def register(n):
        taken = [0]

        class Interrupted(NumpyBackend):
            def train(self, program, state, samples, plan, records, stop):
                def count():
                    if stop():
                        return True
                    if taken[0] == n:
                        os.kill(os.getpid(), signal.SIGINT)
                    taken[0] += 1
                    return stop()

                result = super().train(program, state, samples, plan, records, count)
                if taken[0] == n:
                    taken[0] += 1
                    os.kill(os.getpid(), signal.SIGINT)
                return result

        monkeypatch.setitem(BACKENDS, "interrupted", Interrupted)

    return register


@pytest.mark.parametrize("step", [1, 3, STEPS_AN_EPOCH - 1, STEPS_AN_EPOCH, STEPS_AN_EPOCH + 4, 2 * STEPS_AN_EPOCH])
def test_interrupted_and_resumed_gives_the_same_bits(step, interrupt_after):
    whole, model = build(), build()
    whole.fit(X, Y, batch_size=5, epochs=4)
    interrupt_after(step)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=4, backend="interrupted")
    assert model.training.step == step
    assert model.history.stopped == "interrupted"
    first = model.history.losses
    assert np.array_equal(first, whole.history.losses[:step])
    model.fit(X, Y, batch_size=5, epochs=4 - model.training.epoch)
    assert model.training.step == whole.training.step
    assert np.array_equal(model.flat, whole.flat)
    assert np.array_equal(model.buffer_vector, whole.buffer_vector)
    assert np.array_equal(model.training.slots, whole.training.slots)
    assert np.array_equal(np.concatenate([first, model.history.losses]), whole.history.losses)


@pytest.mark.parametrize("step", [3, STEPS_AN_EPOCH])
def test_the_record_of_the_resumed_fit_has_no_hole(step, interrupt_after):
    """Also where Ctrl-C came with the last step of an epoch."""
    model = build()
    interrupt_after(step)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=3, backend="interrupted")
    history = model.fit(X, Y, batch_size=5, epochs=3 - model.training.epoch)
    assert np.isfinite(history.column("loss")).all()
    json.loads(history.to_json(), parse_constant=lambda text: pytest.fail(f"{text} is not JSON"))


def test_interrupted_training_survives_a_file(interrupt_after, tmp_path):
    from mlp_scratch import load

    whole, model = build(), build()
    whole.fit(X, Y, batch_size=5, epochs=2)
    interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=2, backend="interrupted")
    model.save(tmp_path / "m")
    resumed = load(tmp_path / "m")
    resumed.fit(X, Y, batch_size=5, epochs=2)
    assert np.array_equal(resumed.flat, whole.flat)


def test_other_data_begin_the_epoch_anew(interrupt_after):
    model = build()
    interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=1, backend="interrupted")
    history = model.fit(X[:20], Y[:20], batch_size=5, epochs=1)
    assert len(history.losses) == 4


@pytest.mark.parametrize("change", [{"seed": 9}, {"shuffle": False}], ids=str)
def test_another_order_begins_the_epoch_anew(change, interrupt_after):
    """The rest of one order and the start of another would meet some samples twice and others never."""
    model = build()
    interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=1, backend="interrupted")
    assert len(model.fit(X, Y, batch_size=5, epochs=1, **change).losses) == STEPS_AN_EPOCH


def test_ctrl_c_in_a_callback_ends_the_fit_after_that_epoch():
    class Press(Callback):
        def on_epoch_end(self, run):
            if len(run.history.epochs) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    whole, model = build(), build()
    whole.fit(X, Y, batch_size=5, epochs=5)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=5, callbacks=[Press()])
    assert model.training.epoch == 2
    model.fit(X, Y, batch_size=5, epochs=3)
    assert np.array_equal(model.flat, whole.flat)


def test_ctrl_c_is_answered_while_a_large_validation_set_is_scored(monkeypatch):
    """As soon as some of its samples are."""
    scored, logits = [], NumpyBackend.logits

    def press(backend, program, state, samples):
        os.kill(os.getpid(), signal.SIGINT)
        scored.append(len(samples))
        return logits(backend, program, state, samples)

    monkeypatch.setattr(NumpyBackend, "logits", press)
    monkeypatch.setattr(training, "SCORED_AT_ONCE", 3)
    model = build()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=5, epochs=5, backend="numpy", validation=(X, Y))
    assert scored == [3]
    assert model.training.epoch == 1
    assert model.history.stopped == "interrupted"
    assert model.history.epochs[0].val_loss is None


def press_at_call(monkeypatch, module, name, number):
    """Let Ctrl-C be pressed when a function of `module` is called for the n-th time; returns the list of its calls."""
    calls, function = [], getattr(module, name)

    def press(*arguments, **options):
        calls.append(arguments)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGINT)
        return function(*arguments, **options)

    monkeypatch.setattr(module, name, press)
    return calls


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["logits", "predict", "predict_proba"])
def test_ctrl_c_is_answered_while_many_samples_are_predicted(method, threads, monkeypatch):
    """As soon as the batches of a call are."""
    model, samples = build(), np.random.default_rng(3).normal(size=(5000, 4))
    whole = model.logits(samples, backend="numba")
    monkeypatch.setattr(numba_inference, "WORK_A_CALL", 0)
    monkeypatch.setattr(numba_cores, "usable_cores", lambda: threads)
    monkeypatch.setattr(compiled, "FLOPS_FOR_THREADS", 0)
    assert np.array_equal(model.logits(samples, backend="numba"), whole)
    calls = press_at_call(monkeypatch, numba_inference, "on_threads", 3)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, method)(samples, backend="numba")
    assert len(calls) == 3
    assert np.array_equal(model.logits(samples, backend="numba"), whole)


def diverging(steps):
    """A model whose loss overflows after about so many steps, and the options of that fit."""
    model = Sequential([Dense(1, 1, bias=False)], seed=0)
    model.flat[:] = 1
    lr = (1 + 10 ** (19 / steps)) / 2  # the weight is multiplied by 1 - 2 lr at each step
    return model, {"loss": "mse", "optimizer": SGD(lr), "batch_size": 4, "backend": "numba", "progress": False}


def test_ctrl_c_is_answered_on_the_way_back_from_a_step_that_diverged(monkeypatch):
    """Then the steps of that call count as not taken, and who goes on comes to the same end."""
    (model, options), (whole, _) = diverging(1000), diverging(1000)
    samples, targets = np.ones((4000, 1), "float32"), np.zeros(4000)
    with pytest.raises(DivergedError) as expected:
        whole.fit(samples, targets, epochs=3, **options)
    press_at_call(monkeypatch, CompiledRun, "return_to_last_good_step", 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(samples, targets, epochs=3, **options)
    assert model.history.stopped == "interrupted"
    assert len(model.history.losses) == model.training.step < whole.training.step
    with pytest.raises(DivergedError) as caught:
        model.fit(samples, targets, epochs=3, **options)
    assert caught.value.step == expected.value.step
    assert np.array_equal(model.flat, whole.flat)


def test_the_handler_before_is_put_back_and_called():
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with deferred_interrupts() as interrupted:
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted()
            assert calls == []
        assert calls == [signal.SIGINT]
        os.kill(os.getpid(), signal.SIGINT)
        assert calls == [signal.SIGINT] * 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_handler_is_put_back_after_an_error():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), deferred_interrupts():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_not_lost_where_the_block_ends_with_an_error():
    def fail():
        with deferred_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            _ = 1 / 0

    with pytest.raises(KeyboardInterrupt) as raised:
        fail()
    assert isinstance(raised.value.__context__, ZeroDivisionError)


def test_where_ctrl_c_is_ignored_a_fit_ignores_it_too():
    """As in a job that a shell started in the background: the terminal's Ctrl-C is meant for others."""

    class Press(Callback):
        def on_epoch_end(self, run):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        history = build().fit(X, Y, batch_size=5, epochs=3, callbacks=[Press()])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(history.epochs) == 3
    assert history.stopped == ""


def test_outside_the_main_thread_nothing_is_held():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with deferred_interrupts() as interrupted:
            seen.append((interrupted(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]
