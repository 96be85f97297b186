"""What is a user's own in a model: a file names it, and never lets another class or function take its place."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.errors import ArgumentError, ArgumentTypeError, ModelFileError
from mlp_scratch.initializers import Initializer
from mlp_scratch.layers import Activation, Layer
from mlp_scratch.losses import MSE, Loss
from mlp_scratch.optimizers import Optimizer

X = np.random.default_rng(0).normal(size=(12, 4))
Y = X[:, 0]


@dataclass(frozen=True)
class Slanted(Initializer):
    kind = "slanted"
    scale: float = 1.0

    def draw(self, rng, shape):
        return rng.normal(0.0, self.scale, shape)


@dataclass(frozen=True)
class Bent(Activation):
    """f(x) = scale · x / (1 + |x|), with fields of every sort."""

    kind = "bent"
    scale: float = 1.0
    name: str = "é"
    knots: tuple = ()
    start: Initializer | None = None
    made: float = field(default=0.0, init=False)

    def function(self, x):
        return self.scale * x / (1 + abs(x))

    def derivative(self, x):
        return self.scale / (1 + abs(x)) ** 2


@dataclass(frozen=True)
class Bias(Layer):
    """A layer with a parameter, which can be frozen."""

    kind = "bias"
    width: int

    def parameter_shapes(self):
        return {"bias": (self.width,)}

    def initial_parameters(self, rng, default):
        return {"bias": rng.normal(size=self.width)}

    def forward(self, parameters, x, context):
        return x + parameters["bias"], None

    def backward(self, parameters, cache, dy):
        return dy, {"bias": dy.sum(axis=0)}


@dataclass(frozen=True)
class Quartic(MSE):
    kind = "quartic"
    weight: float = 1.0

    def sample_values(self, z, t):
        return self.weight * ((z - t) ** 4).mean(axis=1)

    def sample_gradients(self, z, t):
        return self.weight * 4 * (z - t) ** 3 / z.shape[1]


@dataclass(frozen=True)
class Signs(Optimizer):
    kind = "signs"
    slots = ("last",)

    def update(self, p, g, slots, *, step, lr, decayed=1.0):
        return p - lr * np.sign(g), g[np.newaxis]


OWN = [Bent, Bias, Quartic, Signs, Slanted]


def fitted(epochs=2):
    bent = Bent(0.5, knots=(1, (2.5, "a"), None), start=Slanted(0.25))
    model = ms.Sequential([ms.Dense(4, 5, weight_init=Slanted(0.5)), Bias(5), bent, Bent(2.0), ms.Dense(5, 1)])
    model.freeze(1)
    model.fit(X, Y, loss=Quartic(0.5), optimizer=Signs(0.01), epochs=epochs, batch_size=5)
    return model


@pytest.mark.parametrize(
    "custom", [OWN, [Bent(9.0, "other"), Bias(3), Quartic(7.0), Signs(), Slanted(0.0)], (*OWN, Bent())]
)
def test_classes_or_objects_of_them_are_given_again_and_the_file_has_the_fields(custom, tmp_path):
    whole, model = fitted(3), fitted(2)
    model.save(tmp_path / "m")
    resumed = ms.load(tmp_path / "m", custom=custom)
    assert resumed.layers == model.layers
    assert (resumed.training.loss, resumed.training.optimizer) == (Quartic(0.5), Signs(0.01))
    assert np.array_equal(resumed.predict(X), model.predict(X))
    resumed.fit(X, Y, epochs=1, batch_size=5)
    assert np.array_equal(resumed.flat, whole.flat)


@pytest.mark.parametrize("missing", OWN)
def test_what_is_not_given_is_named(missing, tmp_path):
    fitted().save(tmp_path / "m")
    with pytest.raises(
        ModelFileError, match=rf"got the user's own '{missing.kind}', .*load\(path, custom=\[\.\.\.\]\)"
    ):
        ms.load(tmp_path / "m", custom=[cls for cls in OWN if cls is not missing])


class Shifted(ms.ReLU):
    def function(self, x):
        return super().function(x) + 1


class Doubled(MSE):
    def sample_values(self, z, t):
        return 2 * super().sample_values(z, t)


class Hasty(ms.SGD):
    pass


class Narrow(ms.He):
    pass


class BentAgain(Bent):
    """Whose kind is that of another class of the user's own."""


class Clashing(Activation):
    kind = "relu"


def with_layer(layer):
    return lambda: ms.Sequential([ms.Dense(4, 3), layer])


def with_fit(**options):
    def make():
        model = ms.MLP([4, 1])
        model.fit(X, Y, epochs=1, **options)
        return model

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            with_layer(Shifted()),
            "layer: got Shifted of the kind 'relu', which is that of ReLU, .*kind = 'shifted' in .*",
        ),
        (with_layer(Clashing()), "layer: got Clashing of the kind 'relu', which is that of ReLU, .*"),
        (with_layer(BentAgain()), "layer: got BentAgain of the kind 'bent', which is that of Bent, .*"),
        (with_fit(loss=Doubled()), "loss: got Doubled of the kind 'mse', which is that of MSE, .*"),
        (with_fit(optimizer=Hasty()), "optimizer: got Hasty of the kind 'sgd', which is that of SGD, .*"),
        (with_layer(ms.Dense(3, 2, weight_init=Narrow())), "initializer: got Narrow of the kind 'he', .*He, .*"),
        (with_layer(Bent(knots=(Narrow(),))), "initializer: got Narrow of the kind 'he', .*He, .*"),
    ],
)
def test_a_class_without_a_kind_of_its_own_is_not_saved_as_another(make, said, tmp_path):
    model = make()
    (tmp_path / "m").write_bytes(b"before")
    with pytest.raises(ArgumentError, match=f"^{said}$"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"before"


class Remembering(Bent):
    """Holds what is no field."""

    kind = "remembering"

    def __init__(self, more=1.0):
        super().__init__()
        object.__setattr__(self, "more", more)


@dataclass(frozen=True)
class Labelled(Bent):
    kind: str = "labelled"


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            Remembering(2.0),
            r"Remembering, which can't be made again of its fields \(trainable, .*\), expected a frozen .*",
        ),
        (Labelled(), r"Labelled, which can't be made again of its fields \(.*\), .* with a kind that is no field; .*"),
        (Bent(knots=[1]), r"Bent with knots = \[1\] \(list\), expected what a model file can hold: .*tuples of them"),
        (Bent(scale=float("nan")), r"Bent with scale = nan \(float\), expected what a model file can hold: .*"),
        (Bent(start=abs), r"Bent with start = <built-in function abs> \(builtin_function_or_method\), .*"),
        (Bent(start=ms.ReLU()), r"Bent with start = ReLU\(.*\) \(ReLU\), expected what a model file can hold: .*"),
    ],
)
def test_fields_that_a_file_cannot_hold_are_refused(layer, said, tmp_path):
    with pytest.raises(ArgumentError, match=f"^layer: got {said}$"):
        with_layer(layer)().save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def twice(factor):
    return ms.ScalarActivation("twice", lambda x: factor * x, lambda x: float(factor))


def test_two_functions_of_one_name_are_not_saved(tmp_path):
    one, other = twice(2), twice(20)
    for layers in ([one, other], [twice(2), Bent(), replace(one)]):
        with pytest.raises(
            ArgumentError, match=r"^layer: got two different ones of the name 'twice', expected a name "
        ):
            ms.Sequential([ms.Dense(4, 3), *layers]).save(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
    model = ms.Sequential([ms.Dense(4, 3), one, ms.Dense(3, 3), replace(one)])
    model.save(tmp_path / "m")
    assert np.array_equal(ms.load(tmp_path / "m", custom=[one]).predict(X), model.predict(X))


def test_a_class_and_a_function_of_one_name_are_not_saved(tmp_path):
    bent = ms.ScalarActivation("bent", float, float)
    with pytest.raises(ArgumentError, match=r"^layer: got two different ones of the name 'bent'"):
        ms.Sequential([ms.Dense(4, 3), bent, Bent()]).save(tmp_path / "m")


def test_a_layer_and_a_loss_may_have_one_name(tmp_path):
    loss = ms.ScalarLoss("bent", lambda z, t: (z - t) ** 2, lambda z, t: 2 * (z - t))
    model = ms.Sequential([ms.Dense(4, 3), Bent(), ms.Dense(3, 1)])
    model.fit(X, Y, loss=loss, epochs=1)
    model.save(tmp_path / "m")
    again = ms.load(tmp_path / "m", custom=[loss, Bent])
    assert again.layers == model.layers
    assert again.task is loss


LIST = "a list of ScalarActivation and ScalarLoss objects, and of classes of your own or objects of them"


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        (3, rf"got 3 \(int\), expected {LIST}"),
        (None, rf"got None \(NoneType\), expected {LIST}"),
        ("relu", rf"got 'relu' \(str\), expected {LIST}"),
        (Bent(), rf"got Bent\(.* \(Bent\), expected {LIST}"),
        ([ms.ReLU()], rf"got ReLU\(.* \(ReLU\), expected {LIST}"),
        ([ms.ReLU], rf"got <class '.*ReLU'> \(type\), expected {LIST}"),
        ([ms.ScalarActivation], rf"got <class '.* \(type\), expected {LIST}"),
        ([int], rf"got <class 'int'> \(type\), expected {LIST}"),
        ([abs], rf"got <built-in function abs> \(builtin_function_or_method\), expected {LIST}"),
        ([Activation], "got Activation without a kind, expected a kind of its own, .*"),
        ([Loss], "got Loss without a kind, expected a kind of its own, .*"),
        ([Shifted], "got Shifted of the kind 'relu', which is that of ReLU, expected a kind of its own, .*"),
        ([twice(2), twice(20)], "got two different ones of the name 'twice', expected a name for each, .*; rename .*"),
    ],
)
def test_what_no_file_asks_for_is_refused(custom, said, tmp_path):
    with pytest.raises(ArgumentError, match=f"^custom: {said}$") as caught:
        ms.load(tmp_path / "none", custom=custom)
    assert isinstance(caught.value, ArgumentTypeError) == (LIST in said)
