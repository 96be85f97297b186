"""A model: bound layers, and all their parameters in one flat vector with named views into it.

One vector is what makes the rest simple: an optimiser step, a checkpoint, a gradient check, a population of
networks or a copy to a GPU is one operation on one array, whatever the architecture. The names and shapes of the
views are PyTorch's: "0.weight" (H, D) and "0.bias" (H,) for a dense layer at position 0 of an `nn.Sequential`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from mlp_scratch import checks
from mlp_scratch._types import Array
from mlp_scratch.errors import ArgumentError, UnknownNameError, unknown_name
from mlp_scratch.initializers import Glorot, Initializer
from mlp_scratch.layers import Dense, Layer
from mlp_scratch.placing import Field, fill, place


class NamedViews(Mapping[str, Array]):
    """A mapping from name to view into one flat vector; assigning to a name copies into the vector.

    >>> views = NamedViews(np.zeros(3), {"0.weight": Field("weight", 0, (1, 2)), "0.bias": Field("bias", 2, (1,))})
    >>> views["0.weight"] = [[1.0, 2.0]]
    >>> views["0.weight"]
    array([[1., 2.]])
    """

    def __init__(self, flat: Array, fields: Mapping[str, Field], noun: str = "parameter") -> None:
        self._views = {name: field.view(flat) for name, field in fields.items()}
        self._noun = noun  # what messages call a view

    def __getitem__(self, name: str) -> Array:
        if name in self._views:
            return self._views[name]
        if not self._views:
            raise UnknownNameError(self._noun, given=repr(name), expected=f"no name: the model has no {self._noun}s")
        raise unknown_name(self._noun, name, self._views)

    def __setitem__(self, name: str, value: object) -> None:
        view, array = self[name], checks.numeric(name, value)
        if array.shape != view.shape:
            raise ArgumentError(name, given=f"shape {array.shape}", expected=f"shape {view.shape}")
        view[...] = array

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: {view.shape}" for name, view in self.items()) + "}"


class Model:
    """Layers bound to their widths, one flat parameter vector, one flat vector of buffers.

    Args:
        layers: at least one layer; the widths of neighbours must fit.
        dtype: "float32" or "float64", of parameters and arithmetic.
        seed: of the initial parameters, and the default seed of training.

    Attributes:
        layers: the bound layers.
        flat: all parameters, (P,).
        parameters: named views into `flat`.
        buffer_vector: all buffers, (B,): what layers remember but do not learn (running statistics).
        buffers: named views into `buffer_vector`.

    >>> from mlp_scratch.layers import Dense, ReLU
    >>> model = Model([Dense(2, 3), ReLU(), Dense(3, 1)])
    >>> model.parameters
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    >>> model.parameters["2.bias"][0] = 7.0
    >>> float(model.flat[-1])
    7.0
    >>> model
    <Model 2-3-1, float32, 13 parameters: dense, relu, dense>
    """

    def __init__(self, layers: Sequence[Layer], *, dtype: object = "float32", seed: int = 0) -> None:
        self.dtype = checks.float_dtype("dtype", dtype)
        self.seed = checks.integer("seed", seed, at_least=0)
        self.placed = place(layers)
        self.layers = tuple(placed.layer for placed in self.placed)
        self.n_inputs, self.n_outputs = self.placed[0].n_in, self.placed[-1].n_out
        self._fields = parameters = {f"{p.index}.{field.name}": field for p in self.placed for field in p.parameters}
        self._buffer_fields = buffers = {f"{p.index}.{field.name}": field for p in self.placed for field in p.buffers}
        self.flat = np.empty(sum(prod(field.shape) for field in parameters.values()), self.dtype)
        self.buffer_vector = np.empty(sum(prod(field.shape) for field in buffers.values()), self.dtype)
        self.parameters = self.named(self.flat)
        self.buffers = NamedViews(self.buffer_vector, buffers, "buffer")
        self.initialize(self.seed)

    def __repr__(self) -> str:
        widths = [self.n_inputs, *(op.n_out for op in self.placed if isinstance(op.layer, Dense))]
        return (
            f"<{type(self).__name__} {'-'.join(map(str, widths))}, {self.dtype}, {self.n_parameters} parameters: "
            f"{', '.join(layer.kind for layer in self.layers)}>"
        )

    def initialize(self, seed: int) -> None:
        """Draw all parameters anew; each layer has a random stream of its own, from (seed, position).

        Raises:
            ArgumentError: before anything is changed, for a seed that is no integer of at least 0, for a layer whose
                `initial_parameters` are not those of its `parameter_shapes`, and for numbers that are not finite.
        """
        seed = checks.integer("seed", seed, at_least=0)
        flat, buffers = np.empty_like(self.flat), np.empty_like(self.buffer_vector)
        for placed, default in zip(self.placed, default_initializers(self.layers), strict=True):
            rng = np.random.default_rng([seed, placed.index])
            fill(flat, placed, "parameters", placed.layer.initial_parameters(rng, default))
            fill(buffers, placed, "buffers", placed.layer.initial_buffers())
        self.flat[...], self.buffer_vector[...] = flat, buffers

    def freeze(self, *positions: int) -> None:
        """Keep layers as they are in every `fit` from now on: those at `positions`, counted as in `layers`, or all.

        Neither a frozen layer's parameters nor what the optimiser remembers of them change at all, whatever momentum
        or weight decay there is, nor do its buffers, the running statistics; after `unfreeze` all go on from where
        they were. Adam's count of steps is the model's, as in Keras: it runs on. The gradient passes through a frozen
        layer to those before it, and `loss_and_gradients` and `gradcheck` report the layer's own like any other:
        freezing is about `fit` alone. Frozen batch normalisation stays at its running statistics, see `BatchNorm`.

        A layer is an immutable record, which models may share, so this puts another one in its place:
        `layers[0].trainable` tells, and `Dense(2, 3, trainable=False)` makes a layer frozen from the start.

        >>> from mlp_scratch.layers import Dense, ReLU
        >>> model = Model([Dense(2, 3), ReLU(), Dense(3, 1)])
        >>> model.freeze(0)
        >>> [layer.trainable for layer in model.layers if layer.parameter_shapes()]
        [False, True]
        >>> model.unfreeze()
        >>> model.layers[0].trainable
        True

        Raises:
            ArgumentError: for a position that there isn't, or where none of the layers given has parameters or buffers.
        """
        self._set_trainable(positions, False)

    def unfreeze(self, *positions: int) -> None:
        """Let the layers at `positions`, or all, learn again; the way back of `freeze`."""
        self._set_trainable(positions, True)

    def _set_trainable(self, positions: Sequence[int], trainable: bool) -> None:
        n = len(self.layers)
        numbers = [checks.integer("positions", position, at_least=-n) for position in positions or range(n)]
        if max(numbers) >= n:
            raise ArgumentError("positions", given=max(numbers), expected=f"a position in layers, at most {n - 1}")
        chosen = {range(n)[number] for number in numbers}
        changing = [placed.index for placed in self.placed if placed.parameters or placed.buffers]
        if chosen.isdisjoint(changing):
            names = ", ".join(f"{position} ({self.layers[position].kind})" for position in sorted(chosen))
            raise ArgumentError(
                "positions",
                given=f"{names}, without parameters or buffers",
                expected=f"layers that have some, of positions {', '.join(map(str, changing)) or 'none'}",
            )
        chosen.intersection_update(changing)
        self.placed = tuple(
            replace(placed, layer=replace(placed.layer, trainable=trainable)) if placed.index in chosen else placed
            for placed in self.placed
        )
        self.layers = tuple(placed.layer for placed in self.placed)

    def __getstate__(self) -> dict[str, Any]:
        """Without the views: a copied or pickled view would no longer share the vector's memory."""
        return {name: value for name, value in vars(self).items() if name not in ("parameters", "buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.flat, self.buffer_vector = owned(self.flat), owned(self.buffer_vector)
        self.parameters = self.named(self.flat)
        self.buffers = NamedViews(self.buffer_vector, self._buffer_fields, "buffer")

    def named(self, flat: Array) -> NamedViews:
        """Views by parameter name into a vector laid out like `flat`, a gradient for one."""
        return NamedViews(flat, self._fields)

    @property
    def n_parameters(self) -> int:
        """P, the number of learned numbers."""
        return int(self.flat.size)


def owned(array: Array) -> Array:
    """An array that came in a pickle, or a copy where it is only a view: of a file that nobody may write to, say.

    joblib hands large arrays to its workers like that.
    """
    return np.require(np.asarray(array), requirements=["C", "ALIGNED", "WRITEABLE", "OWNDATA"])


def default_initializers(layers: Sequence[Layer]) -> list[Initializer]:
    """For each layer, the initialiser that suits the activation behind it; Glorot where none follows.

    >>> from mlp_scratch.layers import Dense, ReLU, SELU
    >>> [rule.kind for rule in default_initializers([Dense(2, 3), ReLU(), Dense(3, 3), SELU(), Dense(3, 1)])]
    ['he', 'glorot', 'lecun', 'glorot', 'glorot']
    """
    rules: list[Initializer] = []
    following: Initializer = Glorot()
    for layer in reversed(layers):
        rules.append(following)
        # Beyond a dense layer the activations behind it have no say.
        following = Glorot() if isinstance(layer, Dense) else layer.initializer() or following
    return rules[::-1]
