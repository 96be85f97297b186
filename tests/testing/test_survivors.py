"""Tests that mutation testing asked for: each kills a mutant that every property had let live."""

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.functional import sigmoid
from mlp_scratch.initializers import Constant, Glorot, Normal, Uniform
from mlp_scratch.layers import (
    ELU,
    GELU,
    BatchNorm,
    Context,
    Dense,
    Dropout,
    Layer,
    LeakyReLU,
    PReLU,
    ScalarActivation,
    Sigmoid,
    Softplus,
)
from mlp_scratch.losses import MAE, MSE, BinaryCrossEntropy, CrossEntropy, Huber, Loss, ScalarLoss
from mlp_scratch.optimizers import SGD, Adam
from mlp_scratch.optimizers.base import Optimizer
from mlp_scratch.random import dropout_words, permutation, philox4x32


def test_a_range_of_one_number_is_a_range():
    assert (Uniform(0.5, 0.5).draw(np.random.default_rng(0), (2, 2)) == 0.5).all()


def test_labels_are_integers_and_a_logit_of_zero_is_no():
    loss, z = BinaryCrossEntropy(), np.array([[0.0], [0.5], [-0.5]])
    assert loss.predictions(z).dtype == np.int64
    assert loss.predictions(z).tolist() == [[0], [1], [0]]


def test_a_soft_label_of_one_half_is_no():
    loss, z = BinaryCrossEntropy(), np.array([[0.0], [0.5]])
    assert loss.accuracies(z, np.full((2, 1), 0.5)).tolist() == [1.0, 0.0]
    assert loss.accuracies(z, np.zeros((2, 1))).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("thing", "constants"),
    [
        (Dense(2, 3), (1.0,)),
        (Dense(2, 3, bias=False), (0.0,)),
        (LeakyReLU(0.25), (0.25,)),
        (PReLU(), (0.0,)),
        (PReLU(per_feature=True), (1.0,)),
        (ELU(0.5), (0.5,)),
        (GELU(), (0.0,)),
        (GELU("tanh"), (1.0,)),
        (Softplus(2.0, threshold=3.0), (2.0, 3.0)),
        (Dropout(0.25), (0.25,)),
        (BatchNorm(eps=0.5, momentum=0.25), (0.5, 0.25)),
        (CrossEntropy(label_smoothing=0.25), (0.25,)),
        (Huber(0.5), (0.5,)),
        (SGD(momentum=0.5), (0.5, 0.0)),
        (SGD(momentum=0.5, nesterov=True), (0.5, 1.0)),
        (Adam(beta1=0.5, beta2=0.25, eps=0.125), (0.5, 0.25, 0.125, 0.0)),
        (Adam(eps_mode="keras"), (0.9, 0.999, 1e-8, 1.0)),
    ],
)
def test_what_a_compiled_backend_reads(thing, constants):
    assert thing.constants() == constants


def test_an_optimizer_without_a_rule_says_so():
    with pytest.raises(NotImplementedError):
        Optimizer().update(np.zeros(1), np.zeros(1), np.zeros((0, 1)), step=1, lr=0.1)


def test_a_decay_of_one_is_a_decay():
    p, _ = SGD(weight_decay=1.0).update(np.ones(1), np.zeros(1), np.zeros((0, 1)), step=1, lr=0.25)
    assert p.tolist() == [0.75]


@pytest.mark.parametrize(("label", "position"), [(-1, 2), (3, 2), (-2, 0), (7, 0)])
def test_a_label_that_is_no_class_is_shown_with_its_place(label, position):
    y = np.array([0, 1, 2, 0])
    y[position] = label
    with pytest.raises(ArgumentError, match=f"label {label} at position {position}"):
        CrossEntropy().prepare(y, 3, np.dtype("float64"))


def test_labels_of_the_first_and_the_last_class_are_classes():
    assert CrossEntropy().prepare(np.array([0, 2]), 3, np.dtype("float64")).tolist() == [0, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_real_labels_are_no_classes(dtype):
    with pytest.raises(ArgumentTypeError, match=dtype):
        CrossEntropy().prepare(np.array([0.0, 1.0], dtype), 3, np.dtype("float64"))


def test_the_pieces_of_huber_and_softplus_end_where_the_formulas_say():
    z, t = np.array([[3.0, 2.0, 1.5, 0.0, -1.0]]), np.array([[1.0, 1.0, 1.0, 1.0, 1.0]])
    assert Huber(1.0).pieces(z, t).tolist() == [[1.0, 0.0, 0.0, 0.0, -1.0]]
    x = np.array([[1.0, 1.5, 2.0]])
    assert Softplus(2.0, threshold=3.0).pieces({}, x).tolist() == [[False, False, True]]


def test_inference_of_batch_normalisation_remembers_no_batch():
    layer = BatchNorm(1)
    parameters, buffers = {"weight": np.ones(1), "bias": np.zeros(1)}, layer.initial_buffers()
    _, cache = layer.forward(parameters, np.ones((2, 1)), Context(buffers=buffers))
    assert cache.mean is None
    assert cache.variance is None


def test_training_leaves_the_statistics_of_a_frozen_batch_normalisation():
    layer = BatchNorm(1, trainable=False)
    parameters, buffers = {"weight": np.ones(1), "bias": np.zeros(1)}, layer.initial_buffers()
    _, cache = layer.forward(parameters, np.array([[1.0], [3.0]]), Context(training=True, buffers=buffers))
    assert layer.next_buffers(buffers, cache) == buffers


def test_an_initializer_is_given_by_name_or_as_it_is():
    assert Dense(2, 3, weight_init=Constant(0.5), bias_init=Constant(0.25)).weight_init == Constant(0.5)
    assert Dense(2, 3, weight_init="glorot_normal").weight_init == Glorot("normal")


def test_kinks_are_kept_in_order_and_tell_pieces_apart():
    layer, x = ScalarActivation("ramp", max, min, kinks=[0.5, -0.5]), np.array([-1.0, 0.0, 1.0])
    assert layer.kinks == (-0.5, 0.5)
    assert layer.pieces({}, x).tolist() == [0, 1, 2]
    assert ScalarActivation("smooth", np.tanh, np.cos).pieces({}, x) is None


def test_what_a_function_of_a_user_gives_back_is_refused_by_its_name():
    x, fails = np.ones((1, 1)), lambda *_: None
    layer, loss = ScalarActivation("mine", fails, fails), ScalarLoss("mine", fails, fails, piece=fails)
    for argument, call in (
        ("f of mine", lambda: layer.function(x)),
        ("df of mine", lambda: layer.derivative(x)),
        ("f of mine", lambda: loss.sample_values(x, x)),
        ("df of mine", lambda: loss.sample_gradients(x, x)),
        ("piece of mine", lambda: loss.pieces(x, x)),
    ):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert caught.value.argument == argument


def test_a_loss_of_functions_is_the_mean_over_the_outputs():
    loss = ScalarLoss("mine", lambda z, t: z * t, lambda z, t: t, piece=lambda z, t: z > t)
    z, t = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[2.0, 0.0], [2.0, 4.0]])
    assert loss.sample_values(z, t).tolist() == [1.0, 13.0]
    assert loss.sample_gradients(z, t).tolist() == [[1.0, 0.0], [1.0, 2.0]]
    assert loss.pieces(z, t).tolist() == [[0.0, 1.0], [1.0, 1.0]]
    assert ScalarLoss("smooth", max, min).pieces(z, t) is None
    prepared = loss.prepare([[1, 2]], 2, np.dtype("float32"))
    assert prepared.dtype == np.float32
    assert prepared.tolist() == [[1.0, 2.0]]
    assert (ScalarLoss("mine", max, min).kind, ScalarActivation("ours", max, min).kind) == ("mine", "ours")
    assert loss.analytic is False
    assert ScalarActivation.analytic is False


def test_softplus_is_still_curved_at_its_threshold():
    layer, x = Softplus(1.0, threshold=2.0), np.array([2.0])
    assert layer.function(x) == pytest.approx(np.log1p(np.exp(2.0)), rel=1e-15)
    assert layer.derivative(x) == pytest.approx(1 / (1 + np.exp(-2.0)), rel=1e-15)


@pytest.mark.parametrize("bad", [-0.5, 1.5])
def test_a_label_outside_of_0_to_1_is_shown_with_its_place(bad):
    y = np.array([[0.0, 1.0], [0.5, bad], [bad, 0.0]])
    with pytest.raises(ArgumentError, match=rf"{bad} at position \(1, 1\)"):
        BinaryCrossEntropy().prepare(y, 2, np.dtype("float64"))


def test_a_word_equal_to_the_threshold_keeps_its_element():
    word = int(dropout_words(seed=0, step=1, layer=0, shape=(1, 1))[0, 0])
    layer = Dropout(word / 2**32)
    assert layer.threshold() == word
    y, _ = layer.forward({}, np.ones((1, 1)), Context(training=True, seed=0, step=1, layer=0))
    assert y[0, 0] > 0


def test_dropout_of_nothing_draws_no_mask():
    x = np.ones((2, 2))
    y, mask = Dropout(0.0).forward({}, x, Context(training=True))
    assert y is x
    assert mask is None


def test_a_bias_by_pytorchs_rule_is_drawn_after_the_weight():
    drawn = Dense(400, 30, weight_init="torch").initial_parameters(np.random.default_rng(0), Constant(0.0))
    rng = np.random.default_rng(0)
    assert np.array_equal(drawn["weight"], rng.uniform(-0.05, 0.05, (30, 400)))
    assert np.array_equal(drawn["bias"], rng.uniform(-0.05, 0.05, 30))


@pytest.mark.parametrize("loss", [MSE(), MAE(), Huber(), BinaryCrossEntropy(), CrossEntropy()])
def test_targets_that_are_no_numbers_are_named(loss):
    with pytest.raises(ArgumentTypeError) as caught:
        loss.prepare(np.array([["a"], ["b"]]), 2, np.dtype("float64"))
    assert caught.value.argument == "y"


def test_weights_that_are_denormal_are_weights():
    z, weights = np.zeros((2, 1)), np.array([5e-310, 1.5e-309])
    assert MSE.shares(z, weights) == pytest.approx([0.25, 0.75], rel=1e-12)


def test_each_sample_of_a_cross_entropy_has_a_largest_logit_of_its_own():
    z = np.array([[1e20, 0.0], [0.5, -0.25]])
    values = CrossEntropy().sample_values(z, np.array([0, 1]))
    assert values == pytest.approx([0.0, np.log1p(np.exp(0.75))], rel=1e-14)


def test_a_row_of_targets_that_rounding_made_too_large_has_its_own_gradient():
    z, t = np.array([[0.5, -0.25]]), np.array([[0.5, 1.0]])
    assert CrossEntropy().sample_gradients(z, t).sum() == pytest.approx(0.0, abs=1e-15)


EPS = float(np.finfo("float64").eps)
EPS32 = float(np.finfo("float32").eps)


@pytest.mark.parametrize(
    ("kind", "off", "accepted"),
    [
        ("float64", 30 * EPS, True),
        ("float64", 32 * EPS, True),
        ("float64", 34 * EPS, False),
        ("float32", 30 * EPS32, True),
        ("int64", 1, False),
    ],
)
def test_a_row_of_four_probabilities_may_be_off_by_eight_roundings_each(kind, off, accepted):
    row = [0.0, 0.0, 0.0, 1.0 + off] if kind != "int64" else [0, 0, 1, 1]
    y = np.array([[0, 0, 1, 0], row], dtype=kind)
    loss = CrossEntropy()
    if accepted:
        assert np.array_equal(loss.prepare(y, 4, np.dtype("float64")), y)
        return
    with pytest.raises(ArgumentError, match="row 1"):
        loss.prepare(y, 4, np.dtype("float64"))


def test_whole_numbers_may_be_probabilities():
    assert CrossEntropy().prepare(np.eye(3, dtype=int), 3, np.dtype("float32")).dtype == np.float32


def test_a_normal_draw_without_spread_is_zero():
    assert (Normal(sigma=0.0).draw(np.random.default_rng(0), (2, 3)) == np.zeros((2, 3))).all()


def test_what_an_optimizer_remembers_by_name():
    assert Adam().slots == ("m", "v")
    assert SGD(momentum=0.5).slots == ("velocity",)
    assert SGD().slots == ()


def words_of(counters, seed):
    """The reference of everything that is drawn: word i % 4 at the counter of i // 4."""
    return [int(philox4x32(counter, seed)[word]) for counter, word in counters]


def test_an_order_is_that_of_one_word_a_sample():
    assert permutation(seed=0, epoch=0, n=6).tolist() == [1, 5, 0, 3, 4, 2]
    words = words_of([((i // 4, 0, 0xFFFFFFFF, 3), i % 4) for i in range(9)], 7)
    assert permutation(seed=7, epoch=3, n=9).tolist() == np.argsort(words).tolist()


def test_samples_with_equal_words_keep_their_order():
    """Two of 4,000 samples under this seed draw the same word."""
    blocks = np.arange(1000)
    words = np.stack(philox4x32((blocks, 0, 0xFFFFFFFF, 0), 1459), axis=-1).ravel()
    assert len(np.unique(words)) < 4000
    assert np.array_equal(permutation(1459, 0, 4000), np.argsort(words, kind="stable"))


@pytest.mark.parametrize("step", [5, (3 << 32) + 5])
def test_dropout_draws_a_word_an_element(step):
    words = dropout_words(seed=7, step=step, layer=2, shape=(3, 6))
    assert words.dtype == np.uint32
    third = 2 | (step >> 32) << 16
    wanted = words_of([((c // 4, r, third, 5), c % 4) for r in range(3) for c in range(6)], 7)
    assert words.ravel().tolist() == wanted


def test_a_complex_step_through_the_sigmoid_at_zero():
    step = np.array([0.0 + 1e-100j])
    assert (sigmoid(step).imag / 1e-100).tolist() == [0.25]


@pytest.mark.parametrize("optimizer", [SGD(weight_decay=0.5), Adam(weight_decay=0.5)])
def test_a_parameter_decays_once_unless_said(optimizer):
    p, g, slots = np.ones(2), np.array([0.25, -0.5]), np.zeros((len(optimizer.slots), 2))
    one, other = (optimizer.update(p, g, slots, step=1, lr=0.1, **more) for more in ({}, {"decayed": 1.0}))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_kinks_lie_between_pieces_and_at_the_targets():
    at_zero = ScalarActivation("bent", abs, np.sign, kinks=(0.0,)).pieces({}, np.array([[-1.0, 0.0, 1.0]]))
    assert at_zero.tolist() == [[0.0, 0.5, 1.0]]
    assert MAE().pieces(np.array([[1.0, 3.0]]), np.array([[2.0, 2.0]])).tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("base", [Layer, Sigmoid, Loss, MSE])
def test_a_class_is_analytic_only_where_it_says_so(base):
    class Silent(base):
        pass

    class Analytic(base):
        analytic = True

    assert Layer.analytic is Loss.analytic is Silent.analytic is False
    assert Analytic.analytic is True
