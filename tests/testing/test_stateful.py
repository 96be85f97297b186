"""Any interleaving of what users do with a model keeps the invariants.

Two models live side by side: one is trained, interrupted, saved, loaded and moved between backends; its shadow takes
the same epochs in one go on the NumPy backend. After every rule the views alias the flat vector, both have the same
parameters, nothing that only reads has changed anything, and what is frozen is as it was, bit for bit.
"""

import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import mlp_scratch as ms
from mlp_scratch.backends import usable_backends
from mlp_scratch.testing import strategies, tolerances

backends = st.sampled_from(usable_backends())


class CtrlC(ms.Callback):
    """Ctrl-C at the end of the first epoch, or before its first step."""

    def __init__(self, at_start):
        self.at_start = at_start

    def on_fit_start(self, run):
        if self.at_start:
            raise KeyboardInterrupt

    def on_epoch_end(self, run):
        signal.raise_signal(signal.SIGINT)


class Training(RuleBasedStateMachine):
    """A model, its shadow, and the problem that both work on."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name) / "model.safetensors"
        self.saved = None

    def teardown(self):
        self.folder.cleanup()

    # Batches of two, for batch normalisation that comes frozen may learn later.
    @initialize(problem=strategies.problems(max_depth=2, max_width=6, max_samples=7, min_batch=2))
    def begin(self, problem):
        self.problem = problem
        self.optimizer = replace(problem.optimizer, lr=0.01)
        if isinstance(self.optimizer, ms.Adam):
            # A weight before batch normalisation has a gradient that can be rounding alone. Adam with a small eps
            # takes a full step along it, and then no two backends agree on that weight, though both are right.
            self.optimizer = replace(self.optimizer, eps=0.125)
        self.model, self.shadow = problem.model(), problem.model()
        self.saves = 0
        self.kept = {}  # what frozen layers held when this was last looked at

    def fit(self, model, epochs, backend="numpy", **options):
        """Whether the fit came to its end; where a problem diverges, it does so for both models, at the same step."""
        p = self.problem
        try:
            model.fit(
                p.X,
                p.y,
                loss=p.loss,
                optimizer=self.optimizer,
                sample_weight=p.sample_weight,
                batch_size=p.batch_size,
                epochs=epochs,
                backend=backend,
                seed=p.seed,
                **options,
            )
        except ms.DivergedError:
            return False
        return True

    @rule(epochs=st.integers(1, 3), backend=backends)
    def fit_in_parts(self, epochs, backend):
        """So many epochs in one go for the shadow, one by one for the model."""
        assert all(self.fit(self.model, 1, backend) for _ in range(epochs)) == self.fit(self.shadow, epochs)

    @rule(backend=backends, at_start=st.booleans())
    def fit_interrupted(self, backend, at_start):
        """An epoch that ends in Ctrl-C is an epoch taken; the next fit goes on from there."""
        if not at_start and not self.fit(self.shadow, 1):
            assert not self.fit(self.model, 1, backend)
            return
        with pytest.raises(KeyboardInterrupt):
            self.fit(self.model, 3, backend, callbacks=[CtrlC(at_start)])

    @rule(data=st.data(), backend=backends)
    def fit_diverges(self, data, backend):
        """A step that diverges is not taken: parameters, slots, statistics and counts are as before, every bit."""
        name = data.draw(st.sampled_from(sorted(self.model.parameters)))
        value, before = self.model.parameters[name].copy(), counts(self.model)
        self.model.parameters[name][...] = np.nan
        kept = [a.tobytes() for a in state(self.model, self.optimizer)]
        assert not self.fit(self.model, 1, backend)
        assert [a.tobytes() for a in state(self.model, self.optimizer)] == kept
        assert counts(self.model) == before
        self.model.parameters[name] = value

    @rule(lr=st.sampled_from([0.03125, 0.01, 1e-3]))
    def change_the_learning_rate(self, lr):
        self.optimizer = replace(self.optimizer, lr=lr)

    @rule()
    def save(self):
        before = self.model.flat.copy()
        self.saves += 1
        self.model.metadata = {"saves": self.saves}
        self.model.save(self.file)
        assert np.array_equal(self.model.flat, before)
        self.saved = (before, self.saves)

    @rule()
    def save_and_load(self):
        """What is loaded takes the model's place: training goes on as if nothing had happened."""
        self.save()
        self.model = ms.load(self.file)
        assert self.model.metadata == {"saves": self.saves}
        assert self.model.dtype == self.problem.dtype

    @precondition(lambda self: self.saved is not None)
    @rule()
    def load_an_older_file(self):
        """A file still holds what was saved, whatever happened since."""
        flat, saves = self.saved
        loaded = ms.load(self.file)
        assert np.array_equal(loaded.flat, flat)
        assert loaded.metadata == {"saves": saves}

    @rule(backend=backends)
    def read_only(self, backend):
        """predict, evaluate and loss_and_gradients change nothing, and backends agree."""
        p, model = self.problem, self.model
        before = [a.copy() for a in (model.flat, model.buffer_vector)]
        step = None if model.training is None else model.training.step
        predictions = model.predict(p.X, backend=backend)
        assert len(predictions) == len(p.X)
        scores = model.evaluate(p.X, p.y, loss=p.loss, sample_weight=p.sample_weight, backend=backend)
        model.loss_and_gradients(p.X, p.y, loss=p.loss, backend=backend)
        expected = model.evaluate(p.X, p.y, loss=p.loss, sample_weight=p.sample_weight, backend="numpy")
        allowed = tolerances.trajectory(p.dtype, abs(expected["loss"]) + 1, 1)
        assert abs(scores["loss"] - expected["loss"]) <= allowed
        assert all(np.array_equal(a, b) for a, b in zip(before, (model.flat, model.buffer_vector), strict=True))
        assert step == (None if model.training is None else model.training.step)

    @rule(data=st.data())
    def assign_a_parameter_by_name(self, data):
        name = data.draw(st.sampled_from(sorted(self.model.parameters)))
        value = np.full(self.model.parameters[name].shape, 0.125)
        self.model.parameters[name] = value
        self.shadow.parameters[name] = value
        self.kept = {}

    @rule(data=st.data())
    def freeze_a_layer(self, data):
        position = data.draw(st.sampled_from(learning(self.model)))
        self.model.freeze(position)
        self.shadow.freeze(position)

    @rule(data=st.data())
    def unfreeze_a_layer(self, data):
        position = data.draw(st.sampled_from(learning(self.model)))
        self.model.unfreeze(position)
        self.shadow.unfreeze(position)

    @rule()
    def freeze_or_unfreeze_all(self):
        anything_learns = any(self.model.layers[i].trainable for i in learning(self.model))
        for model in (self.model, self.shadow):
            (model.freeze if anything_learns else model.unfreeze)()

    @invariant()
    def views_alias_the_flat_vector(self):
        if not hasattr(self, "model"):
            return
        for views, vector in (
            (self.model.parameters, self.model.flat),
            (self.model.buffers, self.model.buffer_vector),
        ):
            assert sum(view.size for view in views.values()) == vector.size
            for view in views.values():
                assert np.shares_memory(view, vector)
            joined = [view.ravel() for view in views.values()]
            assert np.array_equal(np.concatenate(joined) if joined else vector, vector)

    @invariant()
    def frozen_layers_stay_as_they_are(self):
        """Parameters, slots and running statistics of a layer that is still frozen: every bit."""
        if not hasattr(self, "model"):
            return
        now = {who: frozen(getattr(self, who), self.optimizer) for who in ("model", "shadow")}
        for who, layers in self.kept.items():
            for position in layers.keys() & now[who].keys():
                assert layers[position] == now[who][position], (who, position)
        assert now["model"].keys() == now["shadow"].keys()
        self.kept = now

    @invariant()
    def parts_make_the_whole(self):
        """One epoch at a time, interrupted, saved and loaded: the parameters of the uninterrupted shadow."""
        if not hasattr(self, "model"):
            return
        steps, epochs = counts(self.model)
        assert (steps, epochs) == counts(self.shadow)
        for what in ("flat", "buffer_vector"):
            actual, expected = getattr(self.model, what), getattr(self.shadow, what)
            if usable_backends() == ["numpy"]:
                assert np.array_equal(actual, expected)
            allowed = tolerances.trajectory(self.problem.dtype, tolerances.largest(expected) + 1, steps)
            assert tolerances.worst(actual, expected, allowed) is None


def counts(model):
    """Steps and whole epochs taken."""
    return (0, 0) if model.training is None else (model.training.step, model.training.epoch)


def learning(model):
    """Positions of the layers that have parameters."""
    return [placed.index for placed in model.placed if placed.parameters]


def state(model, optimizer):
    """Copies of the parameters, the running statistics and the slots, which are zeros before the first fit."""
    slots = np.zeros((len(optimizer.slots), model.n_parameters), model.dtype)
    slots = slots if model.training is None else model.training.slots
    return model.flat.copy(), model.buffer_vector.copy(), slots.copy()


def frozen(model, optimizer):
    """For each frozen layer, by position, the bytes of its parameters, their slots and its running statistics."""
    flat, buffers, slots = state(model, optimizer)
    return {
        placed.index: [
            *(field.view(vector).tobytes() for vector in (flat, *slots) for field in placed.parameters),
            *(field.view(buffers).tobytes() for field in placed.buffers),
        ]
        for placed in model.placed
        if placed.parameters and not placed.layer.trainable
    }


TestTraining = Training.TestCase
# Long and many enough to meet a fit that is interrupted after an optimiser has begun to remember, and one after that.
TestTraining.settings = settings(stateful_step_count=25, max_examples=3 * settings().max_examples, deadline=None)
