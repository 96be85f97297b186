"""Each tile of a dense layer beside its reference, for every vector unit: LLVM splits vectors wider than the CPU's."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit, types
from numba.extending import intrinsic

from mlp_kernels.cpu import column_tiles, layer_tiles, small_batch, squares, turning_tile, weight_tiles, weights
from mlp_kernels.cpu.features import VectorUnit, tile_for
from mlp_kernels.cpu.lanes import Lanes
from mlp_kernels.cpu.memory import pointer_to, shift
from mlp_kernels.cpu.rules import FORMULAS, Hyper, Rule
from mlp_kernels.cpu.vector_ir import Vectors
from tests.tolerances import assert_close, eps, gemm_bound

UNITS = {
    "SSE": VectorUnit("SSE", 128, 16, False),
    "AVX2": VectorUnit("AVX2+FMA", 256, 16, True),
    "AVX-512": VectorUnit("AVX-512", 512, 32, True),
}
HYPER = Hyper(0.1, 0.01, 0.9, 0.8, 0.2, 0.99, 0.01, 0.05, 1e-3)


@pytest.fixture(scope="module", params=[(unit, dtype) for unit in UNITS for dtype in ("float32", "float64")])
def tile(request):
    unit, dtype = request.param
    chosen = tile_for(np.dtype(dtype), UNITS[unit])
    return replace(chosen, rows=1 << (chosen.rows.bit_length() - 1))  # as the training loop has it


@njit
def forward(tile, small, w, x, depth, z, bias, first, floor, columns):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    if small:
        layer_tiles.small_forward_tile(tile, w, x, depth, z, bias, first, floor, columns)
    else:
        layer_tiles.forward_tile(tile, w, x, depth, z, bias, first, floor, columns)


@njit
def turned(tile, one, w, hop, outputs, x, depth, z, bias, floor):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    if one:
        turning_tile.turning_tile_of_one(tile, w, hop, outputs, x, depth, z, bias, floor)
    else:
        turning_tile.turning_tile(tile, w, hop, outputs, x, depth, z, bias, floor)


@njit
def to_inputs(tile, small, w, hop, dz, depth, dx, first, x, cut, columns):
    w, dz, dx, x = pointer_to(w), pointer_to(dz), pointer_to(dx), pointer_to(x)
    if small:
        layer_tiles.small_input_tile(tile, w, hop, dz, depth, dx, first, x, cut, columns)
    else:
        layer_tiles.input_tile(tile, w, hop, dz, depth, dx, first, x, cut, columns)


@njit
def transpose(tile, source, destination, sums, first, rows):
    squares.transpose_block(tile, pointer_to(source), pointer_to(destination), pointer_to(sums), first, rows)


@njit
def to_weights(tile, rule, small, x, hop, dz, depth, w, slot_step, hyper, columns, far):
    x, dz, w, hyper = pointer_to(x), pointer_to(dz), pointer_to(w), pointer_to(hyper)
    if small:
        weight_tiles.small_weights_tile(tile, rule, x, hop, dz, depth, w, slot_step, hyper, columns, far)
    else:
        weight_tiles.weights_tile(tile, rule, x, hop, dz, depth, w, slot_step, hyper, columns, far)


@njit
def to_column(tile, rule, x, hop, dz, panels, w, slot_step, hyper):
    weight_tiles.weights_column(
        tile,
        rule,
        pointer_to(x),
        hop,
        pointer_to(dz),
        tile.columns,
        panels,
        pointer_to(w),
        slot_step,
        pointer_to(hyper),
    )


@njit
def forward_column(tile, w, x, depth, z, bias, floor, columns):
    w, x, z, bias = pointer_to(w), pointer_to(x), pointer_to(z), pointer_to(bias)
    column_tiles.column_forward(tile, w, x, depth, z, bias, floor, columns)


@njit
def inputs_of_column(tile, w, dz, dx, x, cut, columns):
    w, dz, dx, x = pointer_to(w), pointer_to(dz), pointer_to(dx), pointer_to(x)
    column_tiles.column_input(tile, w, dz, dx, x, cut, columns)


@njit
def update_vector(tile, rule, p, slot_step, g, hyper):
    for i in range(0, g.size, tile.lanes):
        weight_tiles.update_lanes(
            tile, rule, shift(pointer_to(p), i), slot_step, shift(pointer_to(g), i), pointer_to(hyper)
        )


def normal(tile, *shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(tile.dtype)


def lanes_of_panels(a, tile):
    """Rows of (R, K) as panels [ceil(K/w)][R][w], zeros in the lanes beyond K."""
    rows, k = a.shape
    panels = -(-k // tile.columns)
    padded = np.zeros((rows, panels * tile.columns), a.dtype)
    padded[:, :k] = a
    return np.ascontiguousarray(padded.reshape(rows, panels, tile.columns).transpose(1, 0, 2))


depths, flags = st.integers(1, 80), st.booleans()


@settings(max_examples=25)
@given(depth=depths, small=flags, first=flags, cut=flags, seed=st.integers(0, 99), data=st.data())
def test_forward(tile, depth, small, first, cut, seed, data):
    rows, columns = tile.few_rows if small else tile.rows, data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, x = normal(tile, depth, tile.columns, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    z, bias = normal(tile, tile.rows, tile.columns), normal(tile, tile.rows)
    before = z.copy()
    start = np.repeat(bias[:rows, None], tile.columns, axis=1) if first else z[:rows].copy()
    forward(tile, small, w, x, depth, z, bias, int(first), tile.dtype.type(0 if cut else -np.inf), columns)
    expected = start.astype(np.longdouble) + w[:, :rows].T.astype(np.longdouble) @ x
    expected = np.maximum(expected, 0) if cut else expected
    bound = gemm_bound(np.hstack([w[:, :rows].T, start]), np.vstack([x, np.eye(tile.columns, dtype=x.dtype)]), x.dtype)
    assert_close(z[:rows, :columns], expected[:, :columns], bound[:, :columns])
    assert np.array_equal(z[rows:], before[rows:]), "rows beyond the tile"


@settings(max_examples=25)
@given(depth=depths, one=flags, cut=flags, hop=st.integers(0, 3), seed=st.integers(0, 99), data=st.data())
def test_turning_gives_the_bits_of_forward(tile, depth, one, cut, hop, seed, data):
    outputs, samples = data.draw(st.integers(1, tile.lanes), "outputs"), 1 if one else turning_tile.at_once(tile)
    memory = normal(tile, outputs * (depth + hop) - hop, seed=seed)  # not an element beyond the last output
    w = np.lib.stride_tricks.sliding_window_view(memory, depth)[:: depth + hop]
    x, bias = normal(tile, depth, tile.columns, seed=seed + 100), normal(tile, tile.columns)
    z, floor = normal(tile, tile.lanes + 1, tile.columns), tile.dtype.type(0 if cut else -np.inf)
    before = z.copy()
    turned(tile, one, memory, depth + hop, outputs, x, depth, z, bias, floor)

    packed = np.zeros((depth, tile.columns), tile.dtype)
    packed[:, :outputs] = w.T
    for h in range(0, outputs, tile.rows):
        expected = np.empty((tile.rows, tile.columns), tile.dtype)
        forward(tile, False, np.roll(packed, -h, axis=1), x, depth, expected, bias[h:], 1, floor, tile.columns)
        rows = min(tile.rows, outputs - h)
        assert np.array_equal(z[h : h + rows, :samples], expected[:rows, :samples])
    assert np.array_equal(z[:, samples:], before[:, samples:]), "columns beyond the samples"
    assert np.array_equal(z[tile.lanes :], before[tile.lanes :]), "rows beyond the tile"


@settings(max_examples=25)
@given(depth=depths, small=flags, first=flags, cut=flags, seed=st.integers(0, 99), data=st.data())
def test_inputs(tile, depth, small, first, cut, seed, data):
    rows, columns = tile.few_rows if small else tile.rows, data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, dz = normal(tile, tile.rows, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    dx, x = normal(tile, tile.rows, tile.columns), normal(tile, tile.rows, tile.columns, seed=1)
    dz[:, columns:] = dx[:, columns:] = 0  # no gradient beyond the last sample
    before = dx.copy()
    padded = np.zeros((-(-depth // tile.columns) * tile.columns, tile.columns), tile.dtype)
    padded[:depth] = dz
    panels, hop = lanes_of_panels(w, tile), tile.rows * tile.columns
    dx[:rows, columns:] = 7 if first else 0  # left by another batch; a sum that goes on has had its zeros
    to_inputs(tile, small, panels, hop, padded, depth, dx, int(first), x, int(cut), columns)
    w, x, start = w[:rows], x[:rows], np.zeros_like(dx[:rows]) if first else before[:rows]
    expected = start.astype(np.longdouble) + w.astype(np.longdouble) @ dz
    bound = gemm_bound(np.hstack([w, start]), np.vstack([dz, np.eye(tile.columns, dtype=dz.dtype)]), dz.dtype)
    assert_close(dx[:rows], expected * (x > 0) if cut else expected, bound)
    assert np.array_equal(dx[rows:], before[rows:]), "rows beyond the tile"


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
@given(rule=rules, depth=depths, small=st.booleans(), columns=st.integers(1, 99), seed=st.integers(0, 99))
def test_weights(tile, rule, depth, small, columns, seed):
    columns = min(columns, tile.columns)
    rows = tile.few_rows if small else tile.rows
    x, dz = normal(tile, tile.rows, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    dz[:, columns:] = 0
    padded = np.zeros((-(-depth // tile.columns) * tile.columns, tile.columns), tile.dtype)
    padded[:depth] = dz
    memory = np.abs(normal(tile, 1 + rule.slots, tile.rows, tile.columns, seed=7))
    before = memory.copy()
    hyper = np.array(HYPER, tile.dtype)
    panels, hop = lanes_of_panels(x, tile), tile.rows * tile.columns
    to_weights(tile, rule, small, panels, hop, padded, depth, memory, hop, hyper, columns, seed % 2)
    gradient = x[:rows].astype(np.longdouble) @ dz
    wanted = (slice(None), slice(rows), slice(columns))
    expected, bound = updated(rule, before[0][wanted[1:]], gradient[:, :columns], before[1:][wanted])
    bound = bound + (1 + 2 * np.abs(gradient[:, :columns])) * gemm_bound(x[:rows], dz[:, :columns], x.dtype) / HYPER.eps
    for slot, values in enumerate(expected):
        assert_close(memory[slot][wanted[1:]], values, bound, f"{rule} {slot}")
    assert np.array_equal(memory[:, rows:], before[:, rows:]), "rows beyond the tile"


@settings(max_examples=15)
@given(rule=rules, panels=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_column_of_weights(tile, rule, panels, seed):
    n = panels * tile.columns
    x, dz = normal(tile, tile.rows, n, seed=seed), normal(tile, n, seed=seed + 100)
    memory = np.zeros((1 + rule.slots, 3 * tile.rows), tile.dtype)
    memory[:, : tile.rows] = np.abs(normal(tile, 1 + rule.slots, tile.rows, seed=7))
    before, hop = memory.copy(), tile.rows * tile.columns
    hyper = np.array(HYPER, tile.dtype)
    to_column(tile, rule, lanes_of_panels(x, tile), hop, dz, panels, memory, memory.shape[1], hyper)
    gradient = x.astype(np.longdouble) @ dz
    rows = tile.rows
    expected, bound = updated(rule, before[0][:rows], gradient, before[1:][:, :rows])
    bound = bound + (1 + 2 * np.abs(gradient)) * gemm_bound(x, dz[:, None], x.dtype)[:, 0] / HYPER.eps
    for slot, values in enumerate(expected):
        assert_close(memory[slot][:rows], values, bound, f"{rule} {slot}")
    assert not memory[:, rows:].any(), "weights beyond the tile"


@settings(max_examples=15)
@given(depth=depths, cut=flags, seed=st.integers(0, 99), data=st.data())
def test_one_output(tile, depth, cut, seed, data):
    columns = data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, x = normal(tile, depth, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    z, bias = np.full((2, tile.columns), 7, tile.dtype), normal(tile, 1)
    forward_column(tile, w, x, depth, z, bias, tile.dtype.type(0 if cut else -np.inf), columns)
    expected = bias + w.astype(np.longdouble) @ x
    row = np.concatenate([w, bias])[None]
    bound = gemm_bound(row, np.vstack([x, np.ones_like(x[:1])]), x.dtype)[0]
    assert_close(z[0, :columns], (np.maximum(expected, 0) if cut else expected)[:columns], bound[:columns])
    assert (z[1] == 7).all()


@settings(max_examples=15)
@given(cut=flags, seed=st.integers(0, 99), data=st.data())
def test_inputs_of_one_output(tile, cut, seed, data):
    columns = data.draw(st.integers(1, 2 * tile.columns), "columns")
    w, dz, x = normal(tile, tile.rows, seed=seed), normal(tile, tile.columns), normal(tile, tile.rows, tile.columns)
    dz[columns:] = 0
    dx = np.full((tile.rows + 1, tile.columns), 7, tile.dtype)
    inputs_of_column(tile, w, dz, dx, x, int(cut), columns)
    assert np.array_equal(dx[:-1], np.outer(w, dz) * ((x > 0) if cut else 1))
    assert (dx[-1] == 7).all()


@settings(max_examples=15)
@given(rule=rules, seed=st.integers(0, 99))
def test_a_vector_of_parameters(tile, rule, seed):
    memory = np.abs(normal(tile, 1 + rule.slots, 3 * tile.columns, seed=seed))
    gradient, before = normal(tile, 3 * tile.columns, seed=seed + 100), memory.copy()
    update_vector(tile, rule, memory, memory.shape[1], gradient, np.array(HYPER, tile.dtype))
    expected, bound = updated(rule, before[0], gradient, before[1:])
    for slot, values in enumerate(expected):
        assert_close(memory[slot], values, bound, f"{rule} {slot}")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_transposition_and_the_sums_that_come_with_it(tile, half, first):
    lanes, rows = tile.lanes, max(1, tile.lanes // 2) if half else tile.lanes
    source, destination = normal(tile, lanes, tile.columns), normal(tile, lanes, tile.columns, seed=1)
    sums, before = normal(tile, lanes, seed=2), destination.copy()
    start = np.zeros(lanes) if first else sums.astype(np.float64)
    transpose(tile, source, destination, sums, int(first), rows)
    assert np.array_equal(destination[:, :rows], source[:rows, :lanes].T)
    assert np.array_equal(destination[:, rows:], before[:, rows:]), "beyond the block"
    block = source[:rows, :lanes].astype(np.float64)
    bound = (lanes + 1) * eps(tile.dtype) * (np.abs(block).sum(axis=1) + np.abs(start[:rows]))
    assert_close(sums[:rows], start[:rows] + block.sum(axis=1), bound)


@njit
def forward_few(tile, w, hop, x, depth, z, bias, floor, outputs, samples):
    small_batch.forward_panels(
        tile, pointer_to(w), hop, pointer_to(x), depth, pointer_to(z), pointer_to(bias), floor, outputs, samples
    )


@njit
def to_inputs_few(tile, w, hop, dz, outputs, dx, x, cut, samples):
    small_batch.input_rows(
        tile,
        pointer_to(w),
        hop,
        pointer_to(dz),
        dz.size // dz.shape[0],
        outputs,
        pointer_to(dx),
        pointer_to(x),
        cut,
        samples,
    )


@settings(max_examples=15)
@given(
    outputs=st.integers(1, 100),
    depth=depths,
    samples=st.integers(1, small_batch.MOST_FORWARD),
    cut=flags,
    seed=st.integers(0, 99),
)
def test_forward_of_small_batch(tile, outputs, depth, samples, cut, seed):
    """The bits of the tile that is made for many."""
    panels, last = -(-outputs // tile.columns), -(-outputs // tile.lanes) * tile.lanes
    w, x = normal(tile, panels, depth, tile.columns, seed=seed), normal(tile, depth, tile.columns, seed=seed + 100)
    size = max(panels * tile.columns, panels * tile.columns // tile.rows * tile.rows)
    bias = normal(tile, size + tile.columns, seed=seed + 200)
    z, expected = np.full((size, tile.columns), 7, tile.dtype), np.zeros((size, tile.columns), tile.dtype)
    floor = tile.dtype.type(0 if cut else -np.inf)
    forward_few(tile, w, depth * tile.columns, x, depth, z, bias, floor, outputs, samples)
    for i in range(0, size, tile.rows):
        panel = np.ascontiguousarray(w[i // tile.columns, :, i % tile.columns : i % tile.columns + tile.rows])
        block = np.zeros((depth, tile.columns), tile.dtype)
        block[:, : tile.rows] = panel
        forward(
            tile, False, block, x, depth, expected[i : i + tile.rows], bias[i : i + tile.rows], 1, floor, tile.columns
        )
    assert np.array_equal(z[:outputs, :samples], expected[:outputs, :samples])
    assert (z[:, samples + 1 :] == 7).all(), "columns beyond the samples"
    assert (z[last:] == 7).all(), "rows beyond the last vector of outputs"


@settings(max_examples=15)
@given(
    outputs=st.integers(1, 100), samples=st.integers(1, small_batch.MOST_BACKWARD), cut=flags, seed=st.integers(0, 99)
)
def test_inputs_of_small_batch(tile, outputs, samples, cut, seed):
    w, dz = normal(tile, tile.rows, outputs, seed=seed), normal(tile, samples, outputs, seed=seed + 100)
    x, dx = normal(tile, tile.rows, tile.columns, seed=1), np.full((tile.rows, tile.columns), 7, tile.dtype)
    panels, gradients = lanes_of_panels(w, tile), lanes_of_panels(dz, tile)
    rest = outputs % tile.columns
    if rest:  # what lies beyond the last output is never read
        panels[-1, :, rest:] = gradients[-1, :, rest:] = np.nan
    to_inputs_few(tile, panels, tile.rows * tile.columns, gradients, outputs, dx, x, int(cut), samples)
    expected = w.astype(np.longdouble) @ dz.T
    slopes = x[:, :samples] > 0 if cut else 1
    assert_close(dx[:, :samples], expected * slopes, gemm_bound(w, np.ascontiguousarray(dz.T), w.dtype))
    assert not dx[:, samples:].any(), "no gradient beyond the last sample"


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


@settings(max_examples=25)
@given(outputs=st.integers(1, 70), inputs=st.integers(1, 70), seed=st.integers(0, 99))
def test_weights_go_into_panels_and_come_back(tile, outputs, inputs, seed):
    width, rows, before, after = tile.columns, inputs + 3, 2, 5
    flat, panels = normal(tile, before + outputs * inputs + after, seed=seed), -(-outputs // tile.columns)
    packed = np.full(1 + panels * rows * width, -7, tile.dtype)
    vectors, matrices = np.empty((0, 3), np.int64), np.array([[before, 1, outputs, inputs, rows]])
    weights.pack(tile, flat, vectors, matrices, packed)
    expected = np.full((panels * width, rows), -7, tile.dtype)
    expected[:outputs, :inputs] = flat[before : before + outputs * inputs].reshape(outputs, inputs)
    expected = expected.reshape(panels, width, rows).transpose(0, 2, 1)
    assert np.array_equal(packed[1:], expected.reshape(-1)), "padding is left as it is"
    back = np.zeros_like(flat)
    weights.unpack(tile, back, vectors, matrices, packed)
    assert np.array_equal(back[before:-after], flat[before:-after])
    assert not back[:before].any()
    assert not back[-after:].any()
