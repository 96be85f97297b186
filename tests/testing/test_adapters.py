"""Other people's layers: plain objects, torch.autograd.Functions and JAX functions, right ones and wrong ones."""

import subprocess
import sys

import numpy as np
import pytest

from mlp_scratch.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from mlp_scratch.layers import Dense
from mlp_scratch.testing import PropertyError, check_layer, from_engine, from_jax, from_object, from_torch, strategies
from mlp_scratch.testing.layers import PROPERTIES

W, B = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]), np.array([0.125, -0.5])
BATCHES = strategies.batches(3, max_size=4)


class Linear:
    """y = x Wᵀ + b, with a factor by which dW is wrong."""

    def __init__(self, factor=1.0, *, accumulate=False):
        self.W = W.copy()
        self.params = {"W": self.W, "b": B.copy()}
        self.grads = {"W": np.zeros_like(W), "b": np.zeros_like(B)}
        self.factor, self.accumulate = factor, accumulate

    def __repr__(self):
        return f"Linear({self.factor})"

    def forward(self, x):
        self.x = x
        return x @ self.W.T + self.params["b"]

    def backward(self, dy):
        dW = dy.T @ self.x * self.x.dtype.type(self.factor)
        self.grads = {"W": dW + self.grads["W"] if self.accumulate else dW, "b": dy.sum(axis=0)}
        return dy @ self.W


class Leaky:
    """max(x, x/4), whose derivative at 0 is the right or the left one."""

    def __init__(self, right):
        self.right = right

    def forward(self, x):
        self.x = x
        return np.maximum(x, x / 4)

    def backward(self, dy):
        return dy * np.where(self.x >= 0 if self.right else self.x > 0, dy.dtype.type(1), dy.dtype.type(0.25))


def violated(*args, **options):
    with pytest.raises(PropertyError) as caught:
        check_layer(*args, **options)
    return caught.value


def test_a_right_layer_passes():
    # W is an attribute and an entry of params: both see the values that a check puts in.
    layer = from_object(Linear())
    assert check_layer(layer, [[1.0, 2.0, 3.0]]).unresolved == 0


def test_an_object_agrees_with_the_engine():
    reference = from_engine(Dense(3, 2), {"weight": W, "bias": B})
    check_layer(_renamed(Linear()), BATCHES, reference=reference)
    assert violated(_renamed(Linear(1.0005)), BATCHES, reference=reference, only=["agreement"]).property == "agreement"


def _renamed(layer):
    function = from_object(layer)
    names = {"W": "weight", "b": "bias"}

    def vjp(inputs):
        y, pullback = function.vjp({"x": inputs["x"], "W": inputs["weight"], "b": inputs["bias"]})
        return y, lambda dy: {names.get(name, name): g for name, g in pullback(dy).items()}

    return type(function)("renamed", vjp, {names[name]: value for name, value in function.parameters.items()})


def test_a_small_lie_about_a_parameter_is_named():
    error = violated(Linear(1.0005), [[1.0, 2.0, 3.0]])
    assert error.property == "derivative"
    assert error.facts["of"].startswith("W[")
    assert error.facts["relative error"] == pytest.approx(5e-4, rel=1e-2)
    assert "layer = Linear(1.0005)" in str(error)
    assert "check_layer(layer, np.array([[1.0, 2.0, 3.0]]), only=['derivative'])" in str(error)


def test_the_printed_lines_show_the_failure_again():
    error = violated(Linear(1.0005), [[1.0, 2.0, 3.0]])
    with pytest.raises(PropertyError) as again:
        exec(error.code, {"Linear": Linear})
    assert again.value.facts["off by"] == error.facts["off by"]


def test_accumulating_gradients_are_named():
    assert violated(Linear(accumulate=True), [[1.0, 2.0, 3.0]], skip=["derivative"]).property == "repeatability"


def test_float64_out_of_float32_is_named():
    layer = from_object(Leaky(right=True))
    check_layer(layer, BATCHES)
    upcast = type(layer)("upcast", lambda inputs: _upcast(layer.vjp(inputs)))
    assert violated(upcast, BATCHES).property == "single_precision"


def _upcast(result):
    y, pullback = result
    return y.astype(np.float64), pullback


@pytest.mark.parametrize("right", [True, False])
def test_the_side_of_a_kink_can_be_required(right):
    mine, other = ("right", "left") if right else ("left", "right")
    check_layer(from_object(Leaky(right), at_kink="any"), BATCHES)
    check_layer(from_object(Leaky(right), at_kink=mine), BATCHES)
    assert violated(from_object(Leaky(right), at_kink=other), BATCHES).property == "derivative"
    assert violated(from_object(Leaky(right), at_kink="mean"), BATCHES).property == "derivative"


def test_a_gradient_of_the_wrong_shape_is_named():
    class Flat(Leaky):
        def backward(self, dy):
            return super().backward(dy).ravel()

    error = violated(Flat(right=True), [[1.0, 2.0]])
    assert error.property == "shapes"
    with pytest.raises(PropertyError, match="shapes"):
        exec(
            error.code.replace("...", "Flat(True)").split("#")[0] + error.code[error.code.index("\ncheck_") :],
            {"Flat": Flat},
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_a_number_fails(bad):
    class Broken(Leaky):
        def backward(self, dy):
            return np.full_like(dy, bad)

    assert violated(Broken(right=True), [[1.0, 2.0]], only=["derivative"]).property == "derivative"


def test_a_backward_that_is_no_gradient_has_no_symmetric_hessian():
    class Curl:
        """forward is never looked at here; backward rotates."""

        def forward(self, x):
            self.x = x
            return x**2 / 2

        def backward(self, dy):
            return dy * self.x[:, ::-1] * np.array([1.0, -1.0])

    # One sample and dy alike: (x2, -x1) is the classic field with a curl.
    assert violated(Curl(), [[1.0, 2.0]], only=["hessian_symmetry"]).property == "hessian_symmetry"


def test_samples_that_meet_are_named():
    class Centred:
        def forward(self, x):
            return x - x.mean(axis=0)

        def backward(self, dy):
            return dy - dy.mean(axis=0)

    x = [[1.0, 2.0], [3.0, 5.0]]
    assert violated(Centred(), x).property == "batch_additivity"
    check_layer(from_object(Centred(), batch="coupled"), x)


def test_torch_functions():
    torch = pytest.importorskip("torch")

    class Scaled(torch.autograd.Function):
        factor = 1.0

        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(x, weight)
            return torch.tanh(x) @ weight.T

        @staticmethod
        def backward(ctx, dy):
            x, weight = ctx.saved_tensors
            return dy @ weight * (1 - torch.tanh(x) ** 2), Scaled.factor * dy.T @ torch.tanh(x)

    check_layer(from_torch(Scaled.apply, weight=W), BATCHES)
    Scaled.factor = 1.0005
    error = violated(from_torch(Scaled.apply, weight=W), BATCHES)
    assert error.property == "derivative"
    assert error.facts["of"].startswith("weight[")
    assert "layer = from_torch(Scaled.apply, weight=np.array(" in error.code


def test_jax_functions():
    jax = pytest.importorskip("jax")

    def with_factor(factor):
        @jax.custom_vjp
        def scaled(x, weight):
            return jax.numpy.tanh(x) @ weight.T

        def forward(x, weight):
            return scaled(x, weight), (x, weight)

        def backward(cache, dy):
            x, weight = cache
            t = jax.numpy.tanh(x)
            return dy @ weight * (1 - t**2), factor * dy.T @ t

        scaled.defvjp(forward, backward)
        return scaled

    check_layer(from_jax(with_factor(1.0), weight=W), BATCHES)
    assert violated(from_jax(with_factor(1.0005), weight=W), BATCHES).property == "derivative"


def test_torch_functions_that_write_are_named():
    torch = pytest.importorskip("torch")

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, a):
            ctx.save_for_backward(x, a)
            return a * x**2

        @staticmethod
        def backward(ctx, dy):
            x, a = ctx.saved_tensors
            return dy * 2 * a * x, (dy * x**2).sum(0)

    class WritesToDy(Square):
        @staticmethod
        def backward(ctx, dy):
            _, da = Square.backward(ctx, dy)
            x, a = ctx.saved_tensors
            return dy.mul_(2 * a * x), da

    class WritesToX(Square):
        @staticmethod
        def backward(ctx, dy):
            grads = Square.backward(ctx, dy)
            ctx.saved_tensors[0].data.mul_(2)
            return grads

    class WritesToParameters(Square):
        @staticmethod
        def forward(ctx, x, a):
            y = Square.forward(ctx, x, a)
            a.data.mul_(2)
            return y

    check_layer(from_torch(Square.apply, a=np.array([0.5, 2.0])), [[1.0, 2.0]])
    for lie in (WritesToDy, WritesToX, WritesToParameters):
        assert violated(from_torch(lie.apply, a=np.array([0.5, 2.0])), [[1.0, 2.0]]).property == "purity"


@pytest.mark.parametrize("adapter", [from_torch, from_jax])
def test_parameters_may_be_single_or_numbers(adapter):
    pytest.importorskip(adapter.__name__.removeprefix("from_"))
    single, only = np.array([0.1, 0.7], "float32"), ["purity", "derivative", "adjoint", "single_precision"]
    check_layer(adapter(lambda x, a: x * a**2, a=single), strategies.batches(2, max_size=2), only=only)
    check_layer(adapter(lambda x, t: x / t, t=2.0), [[1.0, 2.0]], only=only)


def test_torch_tensors_may_be_parameters():
    torch = pytest.importorskip("torch")
    check_layer(from_torch(lambda x, a: x * a, a=torch.tensor([0.1, 0.7], requires_grad=True)), [[1.0, 2.0]])


def test_torch_functions_need_not_depend_on_what_they_take():
    torch = pytest.importorskip("torch")
    check_layer(from_torch(torch.ones_like), [[1.0, 2.0]])


def test_what_takes_float64_alone_can_be_differentiated():
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(3, 2).double()
    check_layer(from_torch(linear), [[1.0, 2.0, 3.0]], skip=["single_precision"])
    wrong = from_torch(lambda x: x + 1.0005 * (linear(x).sum() - x.detach().sum()))
    assert violated(wrong, [[1.0, 2.0, 3.0]], only=["derivative"]).property == "derivative"


@pytest.mark.parametrize("wrong", [3, Linear, "Dense", None])
def test_what_is_no_layer_is_refused(wrong):
    with pytest.raises(ArgumentTypeError, match=r"^layer: got"):
        check_layer(wrong, [[1.0]])


def test_names_of_properties_are_checked():
    with pytest.raises(UnknownNameError, match="did you mean 'linearity'"):
        check_layer(Linear(), [[1.0, 2.0, 3.0]], only=["linearty"])
    with pytest.raises(ArgumentTypeError, match="a list of names"):
        check_layer(Linear(), [[1.0, 2.0, 3.0]], skip="linearity")


@pytest.mark.parametrize(
    "names", [{"only": []}, {"only": ["adjoint"], "skip": ["adjoint"]}, {"skip": list(PROPERTIES)}]
)
def test_a_check_of_nothing_is_refused(names):
    with pytest.raises(ArgumentError, match=r"^(only|skip): got \[.*\], expected at least one property left to check"):
        check_layer(Linear(), [[1.0, 2.0, 3.0]], **names)


def test_hypothesis_is_loaded_only_for_strategies():
    code = (
        "import sys, numpy as np, mlp_scratch; assert 'hypothesis' not in sys.modules\n"
        "import mlp_scratch.testing as kit; from mlp_scratch import Tanh\n"
        "kit.check_layer(Tanh(), np.eye(2)); assert 'hypothesis' not in sys.modules\n"
        "sys.modules['hypothesis'] = None\n"
        "from mlp_scratch.errors import MissingDependencyError\n"
        "try: kit.strategies\n"
        "except MissingDependencyError as error: assert 'mlp-scratch[testing]' in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
