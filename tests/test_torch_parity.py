"""The engine against PyTorch in float64, from the same weights, masks and batches: equal to 1e-12.

Relative means relative to the largest magnitude of the array compared, `tolerances.assert_parity`: each parameter's
gradient, each parameter, each optimiser slot and each buffer on its own.
"""

import numpy as np
import pytest

from mlp_scratch import GELU, SGD, BatchNorm, Dense, Dropout, PReLU, ReLU, Sequential, Softplus, Tanh
from mlp_scratch.layers import ACTIVATIONS, LAYERS
from mlp_scratch.losses import LOSSES
from mlp_scratch.optimizers import OPTIMIZERS
from tests import examples
from tests.tolerances import PARITY, assert_close, assert_parity, eps

pytestmark = pytest.mark.usefixtures("each_backend")

torch = pytest.importorskip("torch")
from tests import torch_counterparts as counterparts  # noqa: E402  # needs torch

OUTPUTS = 3
EPS = eps(np.float64)
SEED = 11
LAYER_ROWS = examples.layers()
LOSS_ROWS = list(examples.losses())


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """PyTorch's threads cost more than such small arrays do, and slow tests that run beside these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(layer, seed=SEED):
    """A layer of each kind between two dense ones, float64, with nothing left at 0 or 1.

    No bias stands before batch normalisation: it would have no effect, so its gradient would be rounding alone.
    """
    width = layer.out_features(examples.WIDTH)
    layers = [Dense(4, examples.WIDTH, bias=not isinstance(layer, BatchNorm)), layer, Dense(width, OUTPUTS)]
    model = Sequential(layers, dtype="float64", seed=seed)
    rng = np.random.default_rng(seed)
    model.flat[...] = rng.normal(0, 0.6, model.flat.shape)
    model.buffer_vector[...] = rng.uniform(0.5, 1.5, model.buffer_vector.shape)
    return model


def tensors(loss, y):
    return torch.from_numpy(y if y.ndim == 1 and loss.kind == "cross_entropy" else np.asarray(y, dtype=np.float64))


def torch_gradients(net, loss, X, y, weights=None):
    net.zero_grad()
    given = None if weights is None else torch.from_numpy(weights)
    value = counterparts.batch_loss(loss, net(torch.from_numpy(X)), tensors(loss, y), given)
    value.backward()
    return value.item(), {name: p.grad.numpy() for name, p in net.named_parameters() if p.requires_grad}


def assert_same_gradients(model, net, loss, X, y, *, weights=None, training=True):
    value, grads = model.loss_and_gradients(X, y, loss=loss, sample_weight=weights, training=training)
    net.train(training)
    counterparts.set_step(net, model.seed, 1)
    expected_value, expected = torch_gradients(net, loss, X, y, weights)
    assert_parity(value, expected_value, "loss")
    assert list(grads) == list(expected)
    for name in expected:
        assert_parity(grads[name], expected[name], name)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("row", LOSS_ROWS, ids=examples.loss_name)
@pytest.mark.parametrize("layer", LAYER_ROWS, ids=examples.name)
def test_loss_and_gradients(layer, row, weighted, rng):
    loss, targets = row
    model = network(layer)
    net = counterparts.module(model.layers)
    counterparts.inject(model, net)
    X, y = rng.normal(size=(7, 4)), targets(rng, 7, OUTPUTS)
    weights = rng.uniform(0.0, 3.0, 7) if weighted else None
    assert_same_gradients(model, net, loss, X, y, weights=weights)


@pytest.mark.parametrize("layer", LAYER_ROWS, ids=examples.name)
def test_inference(layer, rng):
    """Running statistics, no dropout: in the logits and in the gradients."""
    model = network(layer)
    net = counterparts.module(model.layers)
    counterparts.inject(model, net)
    X, y = rng.normal(size=(7, 4)), rng.integers(0, OUTPUTS, 7)
    net.eval()
    assert_parity(model.logits(X), net(torch.from_numpy(X)).detach().numpy())
    assert_same_gradients(model, net, LOSSES["cross_entropy"], X, y, training=False)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_far_out_and_at_zero(name):
    """Values and derivatives from -1e4 to 1e4, and at 0 PyTorch's choice of derivative."""
    layer = ACTIVATIONS[name].bind(1)
    x = np.concatenate([-np.geomspace(1e4, 1e-8, 60), [0.0], np.geomspace(1e-8, 1e4, 60)])[:, np.newaxis]
    model = Sequential([Dense(1, 1), layer])
    own = {key.removeprefix("1."): value.astype(float) for key, value in model.parameters.items() if key[0] == "1"}
    y, cache = layer.forward(own, x, examples.Context())
    dx, _ = layer.backward(own, cache, np.ones_like(x))
    theirs = torch.from_numpy(x).requires_grad_()
    out = counterparts.MODULES[layer.kind](layer, 0).double()(theirs)
    out.sum().backward()
    value, slope = out.detach().numpy(), theirs.grad.numpy()
    # Relative to each element, as nothing is summed. Formulas such as 1 - tanh² or x/2 (1 + erf) cancel down from
    # numbers of size 1 and |x|, on either side, and leave their rounding.
    assert_close(y, value, PARITY * np.abs(value) + 4 * EPS * np.abs(x), "value")
    assert_close(dx, slope, PARITY * np.abs(slope) + 4 * EPS, "derivative")


def trajectory(model, row, loss, X, y, *, batch_size=10, epochs=34, weights=None):
    """Train on both sides and hold every step's loss and the final state against each other.

    A step multiplies the rounding of the steps before it, by more the larger the learning rate and the smaller the
    variance of a batch-normalised feature; 100 steps stay within 1e-12 where training is not itself unstable.
    """
    net = counterparts.module(model.layers)
    counterparts.inject(model, net)
    theirs = counterparts.optimizer(row, net)
    history = model.fit(
        X, y, loss=loss, optimizer=row, batch_size=batch_size, epochs=epochs, sample_weight=weights, shuffle=False
    )
    expected_losses = []
    net.train()
    for _ in range(epochs):
        for start in range(0, len(X), batch_size):
            rows = slice(start, start + batch_size)
            counterparts.set_step(net, model.seed, len(expected_losses) + 1)
            own = None if weights is None else weights[rows]
            expected_losses.append(torch_gradients(net, loss, X[rows], y[rows], own)[0])
            theirs.step()
    assert len(expected_losses) >= 100
    assert_parity(history.losses, expected_losses, "losses")
    state = net.state_dict()
    for name, view in {**model.parameters, **model.buffers}.items():
        assert_parity(view, state[name].numpy(), name)
    for slot, values in zip(row.slots, model.training.slots, strict=True):
        for (name, view), parameter in zip(model.named(values).items(), net.parameters(), strict=True):
            known = theirs.state.get(parameter, {})  # PyTorch's optimisers pass over what has no gradient
            assert bool(known) == parameter.requires_grad
            expected = known[counterparts.SLOTS[slot]].numpy() if known else np.zeros_like(view)
            assert_parity(view, expected, f"{slot} of {name}")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layer", LAYER_ROWS, ids=examples.name)
def test_trajectory(layer, loss, optimizer, rng):
    """102 steps of every layer x loss x optimiser; each epoch's last batch is a short one."""
    X, y = rng.normal(size=(24, 4)), examples.TARGETS[loss][0](rng, 24, OUTPUTS)
    trajectory(network(layer), OPTIMIZERS[optimizer], LOSSES[loss], X, y)


@pytest.mark.parametrize("row", [row for row in examples.optimizers() if counterparts.has_counterpart(row)],
                         ids=examples.name)  # fmt: skip
def test_trajectory_of_every_optimiser_option(row, rng):
    layers = [Dense(4, 8), Tanh(), Dense(8, 8, bias=False), BatchNorm(), PReLU(per_feature=True), Dense(8, OUTPUTS)]
    model = Sequential(layers, dtype="float64", seed=SEED)
    X, y = rng.normal(size=(24, 4)), rng.integers(0, OUTPUTS, 24)
    trajectory(model, row, LOSSES["cross_entropy"], X, y)


@pytest.mark.parametrize("row", LOSS_ROWS, ids=examples.loss_name)
def test_trajectory_of_every_loss_option_with_weights(row, rng):
    loss, targets = row
    X, y = rng.normal(size=(24, 4)), targets(rng, 24, OUTPUTS)
    model = Sequential([Dense(4, 8), GELU(), Dense(8, OUTPUTS)], dtype="float64", seed=SEED)
    trajectory(model, OPTIMIZERS["adam"], loss, X, y, weights=rng.uniform(0.1, 2.0, 24))


def test_trajectory_of_a_deep_model_with_everything(rng):
    layers = [
        Dense(5, 16, bias=False), BatchNorm(), ReLU(), Dropout(0.2),
        Dense(16, 16, bias=False), BatchNorm(momentum=0.3), Softplus(), Dropout(0.5),
        Dense(16, OUTPUTS),
    ]  # fmt: skip
    model = Sequential(layers, dtype="float64", seed=SEED)
    X, y = rng.normal(size=(40, 5)), rng.integers(0, OUTPUTS, 40)
    trajectory(model, SGD(0.05, momentum=0.9, nesterov=True, weight_decay=1e-3), LOSSES["cross_entropy"], X, y,
               batch_size=16)  # fmt: skip


@pytest.mark.parametrize("frozen", [(0,), (1,), (2, 4), (5,), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_trajectory_with_frozen_layers(optimizer, frozen, rng):
    """As with `requires_grad_(False)`, and batch normalisation in evaluation mode."""
    layers = [Dense(4, 8, bias=False), BatchNorm(), PReLU(per_feature=True), Dense(8, 8), PReLU(), Dense(8, OUTPUTS)]
    model = Sequential(layers, dtype="float64", seed=SEED)
    model.buffer_vector[...] = rng.uniform(0.5, 1.5, model.buffer_vector.shape)
    model.freeze(*frozen)
    X, y = rng.normal(size=(24, 4)), rng.integers(0, OUTPUTS, 24)
    trajectory(model, OPTIMIZERS[optimizer], LOSSES["cross_entropy"], X, y)


def test_every_row_has_a_counterpart():
    """What would go missing from the tests above if a table grew and this module's tables did not."""
    assert {layer.kind for layer in LAYER_ROWS} == set(LAYERS) == set(counterparts.MODULES)
    assert {loss.kind for loss, _ in LOSS_ROWS} == set(LOSSES) == set(counterparts.SAMPLE_LOSSES)
    assert {row.kind for row in OPTIMIZERS.values()} == set(counterparts.OPTIMIZERS)
    assert all(counterparts.has_counterpart(row) for row in OPTIMIZERS.values())


def test_a_wrong_gradient_is_seen(rng, monkeypatch, each_backend):
    """The check itself can fail: a slope off by 1e-10."""
    if each_backend != "numpy":
        pytest.skip("compiled code has no method to patch")
    right = ReLU.derivative
    monkeypatch.setattr(ReLU, "derivative", lambda self, x: right(self, x) * (1 + 1e-10))
    model = network(ReLU())
    net = counterparts.module(model.layers)
    counterparts.inject(model, net)
    with pytest.raises(AssertionError, match="allowed"):
        assert_same_gradients(model, net, LOSSES["mse"], rng.normal(size=(7, 4)), rng.normal(size=(7, OUTPUTS)))
