"""Where the arrays of layers lie in a model's flat vectors, and what layers put there at first.

What a layer says of itself is checked here: where it gave one array too few, a model would begin with whatever the
memory held before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, ArgumentTypeError
from mlp_scratch.layers import Layer

MAX_LAYERS = 1 << 16  # a layer's position must fit the random generator's counter
MAX_PARAMETERS = 1 << 40  # 4 TB in float32: beyond it sizes overflow before memory runs out


@dataclass(frozen=True)
class Field:
    """Where one named array lies in a flat vector."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def stop(self) -> int:
        return self.start + prod(self.shape)

    def view(self, flat: Array) -> Array:
        """The array itself, as a view into `flat`."""
        return flat[self.start : self.stop].reshape(self.shape)


@dataclass(frozen=True)
class Placed:
    """A layer, its widths, and where its parameters and buffers lie in the model's two vectors."""

    layer: Layer
    index: int
    n_in: int
    n_out: int
    parameters: tuple[Field, ...]
    buffers: tuple[Field, ...]

    @property
    def called(self) -> str:
        """How messages name it."""
        return f"layer {self.index} ({getattr(self.layer, 'kind', type(self.layer).__name__)})"


def place(layers: Sequence[Layer]) -> tuple[Placed, ...]:
    """Bind each layer to the width before it and give its arrays their places in the flat vectors."""
    if not isinstance(layers, Sequence) or isinstance(layers, str):
        raise ArgumentTypeError("layers", given=checks.describe(layers), expected="a list of layers")
    for member in layers:
        if not isinstance(member, Layer):
            raise ArgumentTypeError("layers", given=checks.describe(member), expected="layers only")
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise ArgumentError("layers", given=f"{len(layers)} layers", expected=f"1 to {MAX_LAYERS} layers")
    # Layers before the first one that states its width keep the width, so that one is the model's.
    width = next((n for layer in layers if (n := layer.in_features()) is not None), None)
    if width is None:
        raise ArgumentError(
            "layers",
            given="no layer that states its width",
            expected="at least one Dense layer",
            mend="start with Dense(n_in, n_out)",
        )
    placed = []
    parameter_start = buffer_start = 0
    for index, unbound in enumerate(layers):
        layer = unbound.bind(width)
        parameters = _fields(layer.parameter_shapes(), parameter_start)
        if parameters and parameters[-1].stop > MAX_PARAMETERS:
            raise ArgumentError(
                "layers",
                given=f"{parameters[-1].stop} parameters up to layer {index}",
                expected=f"at most {MAX_PARAMETERS}",
                mend="make the layers narrower",
            )
        buffers = _fields({k: np.shape(v) for k, v in layer.initial_buffers().items()}, buffer_start)
        parameter_start = parameters[-1].stop if parameters else parameter_start
        buffer_start = buffers[-1].stop if buffers else buffer_start
        placed.append(Placed(layer, index, width, layer.out_features(width), parameters, buffers))
        _refuse_one_name_for_two(placed[-1])
        width = layer.out_features(width)
    return tuple(placed)


def _refuse_one_name_for_two(op: Placed) -> None:
    learned = {field.name for field in op.parameters}
    for field in op.buffers:
        if field.name in learned:
            raise ArgumentError(
                "layers",
                given=f"{op.called} with a parameter and a buffer of the name {field.name!r}",
                expected="a name for each, by which a model file finds it",
                mend="rename one of them",
            )


def fill(vector: Array, op: Placed, noun: Literal["parameters", "buffers"], given: object) -> None:
    """Write what a layer gives for its initial parameters or buffers to their places in `vector`.

    Raises:
        ArgumentError: for an array that is missing, that is none of them, or that has another shape, and for a
            parameter that is not finite in the model's dtype.
    """
    fields: tuple[Field, ...] = getattr(op, noun)
    names, method = [field.name for field in fields], f"initial_{noun} of {op.called}"
    if not isinstance(given, Mapping):
        raise ArgumentTypeError("layers", given=f"{checks.describe(given)} from {method}", expected="arrays by name")
    if wrong := given.keys() ^ set(names):
        name = min(wrong, key=str)
        said = f"no {name!r}" if name in names else f"{name!r}"
        listed = f"one array for each of its {noun}: {', '.join(names) or 'none'}"
        raise ArgumentError("layers", given=f"{said} from {method}", expected=listed)
    for field in fields:
        value = checks.numeric(f"{op.index}.{field.name}", given[field.name])
        if value.shape != field.shape:
            said = f"{field.name!r} of shape {value.shape} from {method}"
            raise ArgumentError("layers", given=said, expected=f"shape {field.shape}")
        with np.errstate(over="ignore"):  # what does not fit is looked for
            field.view(vector)[...] = value
        if noun == "parameters":
            _check_finite(field.view(vector), value, op, field)


def _check_finite(rounded: Array, drawn: Array, op: Placed, field: Field) -> None:
    """Raise for a parameter that is not finite, with the name of what the user gave to draw it, where there is one."""
    # NaN and infinity are those of the extremes, which takes no temporary array.
    if rounded.size and not (np.isfinite(rounded.min()) and np.isfinite(rounded.max())):
        number, rule = drawn[~np.isfinite(rounded)].flat[0], f"{field.name}_init"
        raise ArgumentError(
            rule if hasattr(op.layer, rule) else "layers",
            given=f"{number} for {field.name!r} of {op.called}",
            expected=f"finite numbers that fit {rounded.dtype}",
        )


def _fields(shapes: Mapping[str, tuple[int, ...]], start: int) -> tuple[Field, ...]:
    fields = []
    for name, shape in shapes.items():
        fields.append(Field(name, start, shape))
        start = fields[-1].stop
    return tuple(fields)
