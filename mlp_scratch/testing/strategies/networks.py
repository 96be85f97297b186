"""Layers and networks: any mix of any layers, with widths that cross every tile edge.

Strategies are immutable, and making one takes longer than drawing from it: each is made once.
"""

from dataclasses import replace
from functools import cache

from hypothesis import strategies as st

from mlp_scratch.initializers import Constant, Glorot, He, Initializer, LeCun, Normal, TorchDefault, Uniform
from mlp_scratch.layers import (
    ACTIVATIONS,
    ELU,
    GELU,
    LAYERS,
    BatchNorm,
    Dense,
    Dropout,
    Layer,
    LeakyReLU,
    PReLU,
    Softplus,
)
from mlp_scratch.testing.strategies.arrays import edges

ORDINARY = 70
"""Wider layers are drawn with an edge, or not at all: a few of them take as long as all others together."""


@cache
def widths(max_width: int = ORDINARY) -> st.SearchStrategy[int]:
    """A width from 1 to `max_width`, most often small or where a tiled kernel has an edge."""
    return st.one_of(edges(1, max_width), st.integers(1, min(max_width, ORDINARY)))


@cache
def _eighths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda k: k / 8)


@cache
def activations() -> st.SearchStrategy[Layer]:
    """An activation by its table, or with constants of its own; PReLU among them, which learns."""
    rows = [layers(1, kind=row.kind) for row in ACTIVATIONS.values()]
    # Drawn for a width of one, and bound anew where they are put.
    return st.one_of(*rows).map(lambda layer: replace(layer, n_features=None) if isinstance(layer, PReLU) else layer)


@cache
def initializers() -> st.SearchStrategy[Initializer]:
    """An initialiser with constants of its own."""
    shapes = st.sampled_from(["normal", "uniform", "truncated_normal"])
    return st.one_of(
        st.builds(Glorot, shapes),
        st.builds(He, shapes, slope=_eighths(0, 8)),
        st.builds(LeCun, shapes),
        st.just(TorchDefault()),
        _eighths(0, 8).map(Normal),
        st.builds(Uniform, _eighths(-8, 0), _eighths(0, 8)),
        _eighths(-8, 8).map(Constant),
    )


@cache
def layers(width: int, max_width: int = 70, *, kind: str | None = None) -> st.SearchStrategy[Layer]:
    """A layer of any kind, or of one, bound to `width` inputs."""
    known: dict[str, st.SearchStrategy[Layer]] = {
        "dense": st.builds(Dense, st.just(width), widths(max_width), bias=st.booleans()),
        "leaky_relu": _eighths(0, 8).map(LeakyReLU),
        "prelu": st.builds(PReLU, _eighths(0, 8), per_feature=st.booleans()),
        "elu": _eighths(1, 16).map(ELU),
        "gelu": st.sampled_from([GELU(), GELU("tanh")]),
        "softplus": st.builds(Softplus, _eighths(4, 16), threshold=st.sampled_from([20.0, 2.0])),
        "dropout": _eighths(0, 6).map(Dropout),
        "batch_norm": st.builds(
            BatchNorm,
            eps=st.sampled_from([1e-5, 1e-2]),
            momentum=_eighths(0, 8),
            trainable=st.sampled_from([True, False]),
        ),
    }
    # A row of the table that is not known here is drawn as it is without arguments.
    kinds = list(LAYERS) if kind is None else [kind]
    drawn = st.one_of(*(known[name] if name in known else st.builds(LAYERS[name]) for name in kinds))
    return drawn.map(lambda layer: layer.bind(width))


@cache
def _between(random_layers: bool) -> st.SearchStrategy[list[Layer]]:
    """What stands between two dense layers: up to two layers of any other kind."""
    dropout = [_eighths(1, 6).map(Dropout)] if random_layers else []
    one = st.one_of(activations(), st.just(BatchNorm()), *dropout)
    return st.one_of(one.map(lambda layer: [layer]), st.just([]), st.tuples(one, one).map(list))


@st.composite
def architectures(
    draw: st.DrawFn,
    *,
    min_outputs: int = 1,
    max_depth: int = 6,
    max_width: int = 70,
    random_layers: bool = True,
) -> list[Layer]:
    """The layers of a network, 0 to `max_depth` of them hidden, each followed by any mix of other layers.

    One in two networks has few outputs, as most have.

    Args:
        draw: given by Hypothesis.
        min_outputs: the smallest number of outputs.
        max_depth: the largest number of hidden dense layers.
        max_width: the largest width.
        random_layers: whether there may be dropout.
    """
    between = _between(random_layers)
    members: list[Layer] = []
    width = draw(widths(max_width))
    for _ in range(draw(st.integers(0, max_depth))):
        hidden = draw(widths(max_width))
        members.append(Dense(width, hidden, bias=draw(st.booleans())))
        members += draw(between)
        width = hidden
    outputs = max(min_outputs, draw(widths(min(max_width, 9)) | widths(max_width)))
    return [*members, Dense(width, outputs, bias=draw(st.booleans()))]
