"""The tiles in which weights learn, beside the optimiser's rule by NumPy in extended precision."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, types
from numba.extending import intrinsic

from mlp_kernels.cpu import weight_tiles
from mlp_kernels.cpu.lanes import Lanes
from mlp_kernels.cpu.memory import pointer_like, pointer_to, shift
from mlp_kernels.cpu.register_tile import reference
from mlp_kernels.cpu.rules import FORMULAS, Hyper, Rule
from mlp_kernels.cpu.vector_ir import Vectors
from tests.kernels.tiles import DEPTHS, FAR, heights, lanes_of_panels, normal
from tests.tolerances import assert_close, eps, gemm_bound

HYPER = Hyper(0.1, 0.01, 0.9, 0.8, 0.2, 0.99, 0.01, 0.05, 1e-3)


@njit
def to_weights(tile, rule, rows, x, hop, dz, depth, w, slot_step, hyper, columns, pace):
    x, dz, w, hyper = pointer_to(x), pointer_to(dz), pointer_to(w), pointer_to(hyper)
    s = shift(w, slot_step)
    nowhere = pointer_like(FAR, w), pace
    weight_tiles.weights_tile(tile, rule, rows, x, hop, dz, depth, w, s, slot_step, hyper, columns, pace, nowhere)


@njit
def to_column(tile, rule, x, hop, dz, samples, w, slot_step, hyper):
    weight_tiles.weights_column(
        tile,
        rule,
        pointer_to(x),
        hop,
        pointer_to(dz),
        tile.columns,
        samples,
        pointer_to(w),
        slot_step,
        pointer_to(hyper),
    )


@njit
def update_vector(tile, rule, p, slot_step, g, hyper):
    for i in range(0, g.size, tile.lanes):
        weight_tiles.update_lanes(
            tile, rule, shift(pointer_to(p), i), slot_step, shift(pointer_to(g), i), pointer_to(hyper)
        )


def a_rule(name, decays, fast):
    return Rule("gradient") if name == "gradient" else Rule(name, decays, fast)


rules = st.builds(a_rule, st.sampled_from(["gradient", *FORMULAS]), st.booleans(), st.booleans())


def updated(rule, p, gradient, slots):
    """The rule by NumPy, in extended precision, and a bound on what rounding it may cost."""
    exact = [np.asarray(a, np.longdouble) for a in (p, gradient, *slots)]
    after, memory = rule.apply(HYPER, exact[0], exact[1], exact[2:])
    # No number in the formulas above exceeds these by a factor of more than ten: v of Adam is at least eps² = 1e-6.
    size = 1 + np.abs(exact[1]) ** 2 + sum(np.abs(a) for a in exact)
    return [after, *memory], 64 * eps(p.dtype) * size / (HYPER.eps if rule.name == "adam" else 1)


@settings(max_examples=25)
@given(rule=rules, depth=DEPTHS, height=st.integers(0, 2), columns=st.integers(1, 99), seed=st.integers(0, 99))
def test_weights(tile, rule, depth, height, columns, seed):
    rows, most = heights(tile)[min(height, len(heights(tile)) - 1)], heights(tile)[-1]
    columns = min(columns if rows <= tile.rows else max(columns, tile.lanes + 1), tile.columns)
    x, dz = normal(tile, most, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    dz[:, columns:] = 0
    padded = np.zeros((-(-depth // tile.columns) * tile.columns, tile.columns), tile.dtype)
    padded[:depth] = dz
    memory = np.abs(normal(tile, 1 + rule.slots, most + 1, tile.columns, seed=7))
    before = memory.copy()
    hyper = np.array(HYPER, tile.dtype)
    panels, hop, step = lanes_of_panels(x, tile), most * tile.columns, (most + 1) * tile.columns
    to_weights(tile, rule, rows, panels, hop, padded, depth, memory, step, hyper, columns, seed % 2)
    gradient = reference(x[:rows].astype(np.longdouble), dz.astype(np.longdouble))
    wanted = (slice(None), slice(rows), slice(columns))
    expected, bound = updated(rule, before[0][wanted[1:]], gradient[:, :columns], before[1:][wanted])
    bound = bound + (1 + 2 * np.abs(gradient[:, :columns])) * gemm_bound(x[:rows], dz[:, :columns], x.dtype) / HYPER.eps
    for slot, values in enumerate(expected):
        assert_close(memory[slot][wanted[1:]], values, bound, f"{rule} {slot}")
    assert np.array_equal(memory[:, rows:], before[:, rows:]), "rows beyond the tile"


@settings(max_examples=15)
@given(rule=rules, n=st.integers(1, 99), seed=st.integers(0, 99))
def test_a_column_of_weights(tile, rule, n, seed):
    x, dz = normal(tile, tile.rows, n, seed=seed), normal(tile, n, seed=seed + 100)
    panels, gradient = lanes_of_panels(x, tile), lanes_of_panels(dz[None], tile).reshape(-1)
    gradient[n:] = np.nan  # beyond the last sample lies anything
    panels[-1, :, n % tile.columns or tile.columns :] = np.nan
    memory = np.zeros((1 + rule.slots, 3 * tile.rows), tile.dtype)
    memory[:, : tile.rows] = np.abs(normal(tile, 1 + rule.slots, tile.rows, seed=7))
    before, hop = memory.copy(), tile.rows * tile.columns
    hyper = np.array(HYPER, tile.dtype)
    to_column(tile, rule, panels, hop, gradient, n, memory, memory.shape[1], hyper)
    gradient = x.astype(np.longdouble) @ dz
    rows = tile.rows
    expected, bound = updated(rule, before[0][:rows], gradient, before[1:][:, :rows])
    bound = bound + (1 + 2 * np.abs(gradient)) * gemm_bound(x, dz[:, None], x.dtype)[:, 0] / HYPER.eps
    for slot, values in enumerate(expected):
        assert_close(memory[slot][:rows], values, bound, f"{rule} {slot}")
    assert not memory[:, rows:].any(), "weights beyond the tile"


@settings(max_examples=15)
@given(rule=rules, seed=st.integers(0, 99))
def test_a_vector_of_parameters(tile, rule, seed):
    memory = np.abs(normal(tile, 1 + rule.slots, 3 * tile.columns, seed=seed))
    gradient, before = normal(tile, 3 * tile.columns, seed=seed + 100), memory.copy()
    update_vector(tile, rule, memory, memory.shape[1], gradient, np.array(HYPER, tile.dtype))
    expected, bound = updated(rule, before[0], gradient, before[1:])
    for slot, values in enumerate(expected):
        assert_close(memory[slot], values, bound, f"{rule} {slot}")


@intrinsic
def _divide(_context, tile, x, y, quotient):
    def generate(context, builder, _signature, arguments):
        v = Vectors(builder, tile.value)
        x, y = (Lanes(v, v.load(pointer)) for pointer in arguments[1:3])
        v.store(x.divided_by(y).value, arguments[3])
        return context.get_dummy_value()

    return types.void(tile, x, y, quotient), generate


@njit
def divide(tile, x, y, quotient):
    for i in range(0, x.size, tile.lanes):
        _divide(tile, shift(pointer_to(x), i), shift(pointer_to(y), i), shift(pointer_to(quotient), i))


def test_the_quick_quotient_is_exact_to_two_units_in_the_last_place(tile):
    x, y = normal(tile, 6400), np.abs(normal(tile, 6400, seed=1)) ** 9 + tile.dtype.type(1e-30)
    quotient = np.empty_like(x)
    divide(tile, x, y, quotient)
    exact = x.astype(np.longdouble) / y
    assert_close(quotient, exact, 2 * eps(tile.dtype) * np.abs(exact))
