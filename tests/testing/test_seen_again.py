"""The lines under "To see it again" show the same failure when they are pasted, with every option they were given."""

import numpy as np
import pytest

from mlp_scratch.testing import PropertyError, check_layer, from_jax, from_object, from_torch


class Right:
    """ReLU whose derivative at 0 is that from the right."""

    def __repr__(self):
        return f"{type(self).__name__}()"

    def forward(self, x):
        self.x = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * (self.x >= 0)


class Centred(Right):
    """Samples that meet, and a backward that doesn't know it."""

    def forward(self, x):
        return x - x.mean(axis=0)

    def backward(self, dy):
        return dy


class Cube(Right):
    def forward(self, x):
        self.x = x
        return x**3

    def backward(self, dy):
        return 3 * self.x**2 * dy


class Sine(Right):
    """In complex numbers too, and 1.0005 times as steep."""

    def forward(self, x):
        self.x = x
        return np.sin(x)

    def backward(self, dy):
        return dy * np.cos(self.x) * dy.dtype.type(1.0005)


NAMES = {kind.__name__: kind for kind in (Right, Centred, Cube, Sine)}


def again(*args, **options):
    """What is violated, and the lines that show it again, which do."""
    with pytest.raises(PropertyError) as caught:
        check_layer(*args, **options)
    with pytest.raises(PropertyError) as pasted:
        exec(caught.value.code, dict(NAMES))
    assert (pasted.value.property, pasted.value.facts["of"]) == (caught.value.property, caught.value.facts["of"])
    return caught.value.property, caught.value.code


@pytest.mark.parametrize("side", ["left", "mean"])
def test_the_side_of_a_kink(side):
    assert f"layer = from_object(layer, at_kink='{side}')" in again(from_object(Right(), at_kink=side), [[0.0]])[1]


def test_samples_that_meet():
    code = again(from_object(Centred(), batch="coupled"), [[1.0], [0.0]])[1]
    assert "layer = from_object(layer, batch='coupled')" in code


def test_a_complex_step():
    assert "layer = from_object(layer, analytic=True)" in again(from_object(Sine(), analytic=True), [[0.5]])[1]


def test_a_reference():
    name, code = again(Cube(), [[2.0]], reference=Right())
    assert name == "agreement"
    assert "reference=reference, only=['agreement'])" in code
    assert again(Cube(), [[2.0]], reference=from_object(Right(), at_kink="right"))[0] == "agreement"


def test_what_has_no_options_is_printed_without():
    assert "from_object" not in again(Centred(), [[1.0], [0.0]])[1]


@pytest.mark.parametrize(("adapter", "framework"), [(from_torch, "torch"), (from_jax, "jax")])
def test_other_adapters_print_theirs(adapter, framework):
    pytest.importorskip(framework)

    def clamped(x):
        return x.clip(0)  # whose derivative at 0 is 1 or 1/2, by framework

    with pytest.raises(PropertyError) as caught:
        check_layer(adapter(clamped, at_kink="left", batch="coupled"), [[0.0]])
    assert f"layer = {adapter.__name__}(clamped, at_kink='left', batch='coupled')" in caught.value.code
