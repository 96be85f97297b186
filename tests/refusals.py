"""How a mistake must be refused: with one line that says what is wrong, and before anything has changed."""

import copy
import re

import pytest

from mlp_scratch.errors import MlpScratchError


def snapshot(model):
    """All that a failed call must leave as it was."""
    state = copy.copy(model.training)
    return (
        model.flat.tobytes(), model.buffer_vector.tobytes(), state.slots.tobytes(), state.loss, state.optimizer,
        state.seed, state.flat_targets, state.step, state.epoch, state.position, state.n_samples, state.batch_size,
        id(model.history), model.history.to_json(), dict(model.metadata),
    )  # fmt: skip


def assert_refused(call, kind, message, model=None):
    """Fail unless `call` raises a `kind` of exactly this message, a pattern, and leaves `model` as it was."""
    before = None if model is None else snapshot(model)
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert re.fullmatch(message, text), f"the message is\n{text}"
    assert "\n" not in text
    assert isinstance(caught.value, MlpScratchError)
    if model is not None:
        assert snapshot(model) == before
