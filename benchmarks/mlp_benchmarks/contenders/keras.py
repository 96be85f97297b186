# mypy: disable-error-code="no-untyped-call"
"""Keras 3 on its JAX backend, with a training step of its own as Keras' guide to JAX training loops writes it.

Choices: JAX is the fastest of Keras' backends on a CPU, since it alone compiles the whole step (on PyTorch Keras runs
eagerly; TensorFlow is one more gigabyte for the same compiler). `stateless_call` and `stateless_apply` make the step
a pure function, which is compiled with its state donated; `train_on_batch` would move a batch and return Python
floats at every step. Data, targets and row numbers are device arrays before the clock starts, losses stay there, and
the clock stops after `block_until_ready`. All in float32, products at the highest precision.

Keras' Adam adds eps to the uncorrected root, and computes 1 - βᵗ in float32.
"""

import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

from mlp_benchmarks.work import Work
from mlp_scratch._types import IntArray
from mlp_scratch.optimizers import Adam


class Keras:
    """`keras.Sequential`, one dispatch a step."""

    def __init__(self, work: Work) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        self._work = work
        self._X, self._y = jnp.array(work.X), jnp.array(work.y)
        _, *hidden, n_outputs = work.case.widths
        self._model = keras.Sequential(
            [
                keras.Input((work.case.widths[0],)),
                # Zeros until `reset` injects the weights: drawing them would take longer than all else here.
                *(keras.layers.Dense(width, activation="relu", kernel_initializer="zeros") for width in hidden),
                keras.layers.Dense(n_outputs, kernel_initializer="zeros"),
            ]
        )
        self._optimizer = _optimizer(work)
        self._optimizer.build(self._model.trainable_variables)
        self._step = jax.jit(self._make_step(), donate_argnums=0)
        self.reset()

    def _make_step(self) -> Any:
        model, optimizer = self._model, self._optimizer
        losses = keras.losses
        loss_of = losses.MeanAbsoluteError() if self._work.case.loss == "mae" else _CrossEntropy(from_logits=True)

        def loss_and_state(trainable: Any, fixed: Any, x: Any, y: Any) -> Any:
            prediction, fixed = model.stateless_call(trainable, fixed, x, training=True)
            return loss_of(y, prediction), fixed

        value_and_gradient = jax.value_and_grad(loss_and_state, has_aux=True)

        def step(state: Any, X: Any, y: Any, rows: Any) -> Any:
            trainable, fixed, remembered = state
            batch = [array.at[rows].get(mode="promise_in_bounds") for array in (X, y)]
            (loss, fixed), gradients = value_and_gradient(trainable, fixed, *batch)
            trainable, remembered = optimizer.stateless_apply(remembered, gradients, trainable)
            return (trainable, fixed, remembered), loss

        return step

    def reset(self) -> None:
        # Keras keeps weights (D, H).
        trainable = [jnp.array(array.T) for layer in self._work.layers for array in layer]
        fixed = [jnp.array(variable) for variable in self._model.non_trainable_variables]
        remembered = [jnp.array(variable) for variable in self._optimizer.variables]
        self._state = jax.block_until_ready((trainable, fixed, remembered))

    def prepare(self, rows: IntArray) -> Any:
        return [jnp.asarray(batch, dtype=jnp.int32) for batch in rows]

    def run(self, batches: Any) -> Any:
        step, state, X, y = self._step, self._state, self._X, self._y
        losses = []
        for rows in batches:
            state, loss = step(state, X, y, rows)
            losses.append(loss)
        self._state = jax.block_until_ready(state)
        return losses

    def evidence(self, outcome: Any) -> npt.NDArray[np.float64]:
        return np.array([float(loss) for loss in outcome])


_CrossEntropy = keras.losses.SparseCategoricalCrossentropy


def _optimizer(work: Work) -> Any:
    rule = work.rule
    if isinstance(rule, Adam):
        return keras.optimizers.Adam(rule.lr, beta_1=rule.beta1, beta_2=rule.beta2, epsilon=rule.eps)
    return keras.optimizers.SGD(rule.lr)
