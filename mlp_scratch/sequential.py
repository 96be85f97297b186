"""`Sequential`: layers one behind the other, and what users do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.backends import State, get_backend
from mlp_scratch.callbacks import Callback, Run
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.history import History
from mlp_scratch.io.model_file import check_savable, read_model, write_model
from mlp_scratch.layers import Layer
from mlp_scratch.losses import LOSSES, Loss, default_loss
from mlp_scratch.model import Model
from mlp_scratch.optimizers import OPTIMIZERS, Optimizer
from mlp_scratch.program import Program, lower
from mlp_scratch.samples import hold_out, is_flat, prepare, refuse_batches_of_one
from mlp_scratch.training import Schedule, Training, reported, score, train


class Sequential(Model):
    """Layers one behind the other, ready to train.

    Args:
        layers: at least one layer; models end in logits, so there is no softmax layer: losses contain it.
        dtype: "float32" or "float64".
        seed: fixes initial parameters, and data order and dropout unless `fit` is given another.

    Attributes:
        training: loss, optimiser and its state, step and epoch counts; None before the first fit.
        task: the loss of the last fit, which says what the outputs mean.
        history: the record of the last fit.
        metadata: whatever the caller wants kept with the model; anything that JSON can hold. Saved with it.

    >>> import numpy as np
    >>> from mlp_scratch.layers import Dense, Tanh
    >>> from mlp_scratch.optimizers import Adam
    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    >>> model = Sequential([Dense(2, 8), Tanh(), Dense(8, 2)], seed=0)
    >>> history = model.fit(X, y, loss="cross_entropy", optimizer=Adam(0.05), batch_size=4, epochs=100)
    >>> model.predict(X)
    array([0, 1, 1, 0])
    """

    def __init__(self, layers: Sequence[Layer], *, dtype: object = "float32", seed: int = 0) -> None:
        super().__init__(layers, dtype=dtype, seed=seed)
        self.training: Training | None = None
        self.history = History()
        self.metadata: dict[str, Any] = {}
        self._lowered: Program | None = None

    @property
    def task(self) -> Loss:
        """The loss of the last fit, which says what the logits mean; at first cross-entropy, or for one output MSE."""
        return default_loss(self.n_outputs) if self.training is None else self.training.loss

    def fit(
        self,
        X: object,
        y: object,
        *,
        loss: Loss | str | None = None,
        optimizer: Optimizer | str | None = None,
        batch_size: int = 32,
        epochs: int = 20,
        validation: tuple[object, object] | float | None = None,
        sample_weight: object = None,
        shuffle: bool = True,
        callbacks: Sequence[Callback] = (),
        backend: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        seed: int | None = None,
        resume: bool = True,
        progress: bool | None = None,
    ) -> History:
        """Train on X (N, D) and y, in mini-batches, for some epochs; the last batch of an epoch may be short.

        A second call goes on where the last one stopped (optimiser state, step and epoch counts), also in a model
        that was saved and loaded in between: 5 epochs and 5 more give the same bits as 10. It starts afresh, from
        the parameters as they are, with another kind of loss, with an optimiser of another kind or that remembers
        other things (SGD with momentum after SGD without, say), or with `resume=False`.

        Layers that `freeze` was called for stay as they are. While a fit runs, only its callbacks may use the model.

        Args:
            X: any float or integer dtype and memory layout; never copied, each batch is cast as it is gathered.
            y: class indices (N,), one-hot or probability rows (N, C), or reals (N,) or (N, K): see the losses.
            loss: a loss or its name; None takes the last fit's, at first cross-entropy, or for one output MSE.
            optimizer: an optimiser or its name; None takes the last fit's, at first Adam.
            batch_size: samples a step.
            epochs: passes over the samples.
            validation: a pair (X, y), or the fraction of the samples to hold out, drawn by `seed`.
            sample_weight: how much each sample counts, (N,), none negative.
            shuffle: whether each epoch has its own order, a function of seed and epoch.
            callbacks: called after each epoch.
            backend: "auto", or a backend's name.
            threads: at most so many; None leaves the choice to the backend. The numbers are the same for any.
            precision: of the dense layers' products in training; None is the model's dtype. The tensor cores of a GPU
                also have "tf32", "bf16" and, about as near as float32, "3xtf32": see `PRECISIONS` in `program.py`.
            seed: of data order and dropout; None takes the last fit's, at first the model's.
            resume: whether to go on where the last fit stopped.
            progress: whether to show a bar; None shows it where standard error is a terminal.

        Returns:
            The record of this fit; `model.history` holds it too, even if the fit ends with an error.

        Raises:
            ArgumentError: for arguments that don't fit, before anything is changed.
            DivergedError: at a NaN or an infinity; the model keeps the parameters from before that step.
            KeyboardInterrupt: for Ctrl-C, as soon as the step under way has ended, and what a first fit compiles is
                compiled; the model is at the end of the last whole step, and a further fit goes on.
        """
        shuffle = checks.boolean("shuffle", shuffle)
        progress = None if progress is None else checks.boolean("progress", progress)
        training = self._begin(loss, optimizer, seed, checks.boolean("resume", resume))
        samples = prepare(self, training.loss, X, y, sample_weight)
        training.flat_targets = is_flat(y)
        rows, held_out = hold_out(self, training.loss, samples, validation, training.seed)
        size = min(checks.integer("batch_size", batch_size, at_least=1, mend="try 32"), len(rows))
        refuse_batches_of_one(self, len(rows), size)
        count = checks.integer("epochs", epochs, at_least=1)
        if not isinstance(callbacks, Sequence):
            raise ArgumentTypeError("callbacks", given=checks.describe(callbacks), expected="a list of callbacks")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise ArgumentTypeError("callbacks", given=checks.describe(callback), expected="Callback objects")
        program = lower(self, training.loss, training.optimizer, precision=precision)
        runner = get_backend(backend, program, threads=threads)
        schedule = Schedule(rows, held_out, size, count, shuffle, callbacks, progress)
        run = Run(
            self, History(), reported(training.loss, held_out), partial(check_savable, self, training, self.metadata)
        )
        for callback in callbacks:
            callback.on_fit_start(run)
        self.training, self.history = training, run.history
        state = State(self.flat, self.buffer_vector, training.slots, training.step)
        train(runner, program, state, samples, training, schedule, run)
        return self.history

    def predict(self, X: object, *, backend: str = "auto") -> Array:
        """Classes (N,), int64, after a fit with cross-entropy, labels 0 or 1 with binary cross-entropy, else reals.

        Labels and real outputs are (N, K), or (N,) where the targets of the last fit were. A model that was never
        fitted predicts as one that was fitted with the default loss.

        Raises:
            ArgumentError: for data that don't fit, and where a class or label would be that of an output that is NaN.
        """
        loss = self.task
        z = self.logits(X, backend=backend)
        if loss.classifies and np.isnan(np.maximum.reduce(z, axis=None)):  # a maximum passes NaN on
            row, output = (int(i) for i in np.argwhere(np.isnan(z))[0])
            raise ArgumentError(
                "X",
                given=f"a sample, number {row}, for which output {output} of the model is nan",
                expected="outputs that are numbers",
                mend="look for NaN in model.parameters, or scale the features",
            )
        predictions = loss.predictions(z)
        if predictions.ndim == 2 and self.training is not None and self.training.flat_targets:
            return predictions[:, 0]
        return predictions

    def predict_proba(self, X: object, *, backend: str = "auto") -> Array:
        """Probabilities, (N, K): of the classes, or of each label on its own; not for regressions.

        Raises:
            ArgumentError: for data that don't fit, and after a fit with the loss of a regression.
        """
        loss = self.task
        probabilities = loss.probabilities(self.logits(X, backend=backend))
        if probabilities is None:
            raise ArgumentError(
                "loss",
                given=f"a model fitted with {loss.kind}",
                expected="one fitted with cross_entropy or binary_cross_entropy",
                mend="a regression has no probabilities: use predict",
            )
        return probabilities

    def logits(self, X: object, *, backend: str = "auto") -> Array:
        """The output of the last layer, (N, K), in inference mode: no dropout, running statistics.

        Raises:
            ArgumentError: for data that don't fit.
        """
        data = checks.features("X", X, n_features=self.n_inputs)
        checks.finite("X", data, self.dtype)
        program = self._program(self.task)
        return get_backend(backend, program).logits(program, self._state(), data)

    def evaluate(
        self,
        X: object,
        y: object,
        *,
        loss: Loss | str | None = None,
        sample_weight: object = None,
        backend: str = "auto",
        threads: int | None = None,
    ) -> dict[str, float]:
        """The loss over all samples, and for a classification the accuracy: {"loss": ..., "accuracy": ...}.

        The loss is the mean by `sample_weight`, the accuracy the plain mean, of each sample alike. Of threads at most
        `threads` are used, as in `fit`.
        """
        chosen = self.task if loss is None else checks.named("loss", loss, LOSSES, Loss)
        samples = prepare(self, chosen, X, y, sample_weight)
        program = self._program(chosen)
        return score(get_backend(backend, program, threads=threads), program, self._state(), samples)

    def loss_and_gradients(
        self,
        X: object,
        y: object,
        *,
        loss: Loss | str | None = None,
        sample_weight: object = None,
        backend: str = "auto",
        training: bool = True,
    ) -> tuple[float, Mapping[str, Array]]:
        """The loss of all samples as one batch, and its gradient by parameter name; nothing is changed.

        With `training`, dropout draws the masks of the next step and batch normalisation uses the batch's own
        statistics, as in a step of `fit`; without, both behave as in `predict`.

        >>> from mlp_scratch.layers import Dense, ReLU
        >>> model = Sequential([Dense(3, 4), ReLU(), Dense(4, 2)])
        >>> loss, grads = model.loss_and_gradients(np.ones((5, 3)), [0, 1, 0, 1, 1])
        >>> {name: grad.shape for name, grad in grads.items()}
        {'0.weight': (4, 3), '0.bias': (4,), '2.weight': (2, 4), '2.bias': (2,)}
        """
        checks.boolean("training", training)
        chosen = self.task if loss is None else checks.named("loss", loss, LOSSES, Loss)
        samples = prepare(self, chosen, X, y, sample_weight)
        program = self._program(chosen)
        seed, step = (self.seed, 0) if self.training is None else (self.training.seed, self.training.step)
        value, flat = get_backend(backend, program).loss_and_gradient(
            program, self._state(), samples, seed=seed, step=step + 1, training=training
        )
        return value, self.named(flat)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its training state to a safetensors file, atomically; `load` reads it back.

        Tuples in the metadata come back as lists, which is what JSON has.

        Raises:
            ArgumentError: for a path or metadata that don't fit, and for a layer, loss or optimiser of one's own
                that `load` could not find by a kind of its own, before anything is written.
        """
        write_model(path, self, self.training, self.metadata)

    def _program(self, loss: Loss) -> Program:
        """The model with `loss` and no training: the last one again, with what backends keep with it, where it fits."""
        program = self._lowered
        if program is None or program.loss is not loss or program.operations is not self.placed:  # frozen since
            self._lowered = program = lower(self, loss, OPTIMIZERS["sgd"])
        return program

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_lowered": None}  # backends keep addresses of this process with a program

    def _state(self) -> State:
        return State(self.flat, self.buffer_vector, np.empty((0, self.n_parameters), self.dtype))

    def _begin(
        self, loss: Loss | str | None, optimizer: Optimizer | str | None, seed: int | None, resume: bool
    ) -> Training:
        """The training state for the next fit: the last one's where it goes on, else a fresh one."""
        last = self.training
        chosen_loss = self.task if loss is None else checks.named("loss", loss, LOSSES, Loss)
        default = OPTIMIZERS["adam"] if last is None else last.optimizer
        chosen = default if optimizer is None else checks.named("optimizer", optimizer, OPTIMIZERS, Optimizer)
        if seed is None:
            seed = self.seed if last is None else last.seed
        seed = checks.integer("seed", seed, at_least=0)
        if resume and last is not None and chosen_loss.kind == last.loss.kind and _same_state(chosen, last.optimizer):
            position = last.position if seed == last.seed else 0  # another seed, another order: begin the epoch anew
            return replace(last, loss=chosen_loss, optimizer=chosen, seed=seed, position=position)
        slots = np.zeros((len(chosen.slots), self.n_parameters), self.dtype)
        return Training(chosen_loss, chosen, slots, seed)


def _same_state(a: Optimizer, b: Optimizer) -> bool:
    """Whether two optimisers remember the same, so that one can go on with the other's state."""
    return a.kind == b.kind and a.slots == b.slots


def load(path: str | PathLike[str], *, custom: Sequence[object] = ()) -> Sequential:
    """The model that `Sequential.save` wrote, with its training state: a further fit resumes exactly.

    Args:
        path: the file.
        custom: what of one's own is in the model, found by its name or kind, since a file holds no code: the
            `ScalarActivation` and `ScalarLoss` objects; of layers, losses, optimisers and initialisers the classes, or
            any objects of them, whose fields the file holds.

    Raises:
        ArgumentError: where `custom` holds anything else, or two different ones of one name.
        OSError: as the operating system says, where there is no such file or it may not be read.
        ModelFileError: for a truncated, corrupt or foreign file.
    """
    contents = read_model(path, custom)
    model = Sequential(contents.layers, dtype=contents.dtype, seed=contents.seed)
    model.flat[...], model.buffer_vector[...] = contents.flat, contents.buffers
    model.training, model.metadata = contents.training, contents.metadata
    return model
