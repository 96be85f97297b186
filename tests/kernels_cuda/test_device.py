"""What kernels are written with: memory, sums, barriers; and that the simulator is stricter than a GPU."""

import numpy as np
import pytest
from numba import cuda, float32, float64

from mlp_kernels.cuda.device import (
    IS_SIMULATOR,
    commit_copies,
    copy1_async,
    copy4_async,
    device,
    element_of,
    grid_barrier,
    in_turn,
    jit,
    ld1,
    ld4,
    load_acquire,
    shared_array,
    st1,
    st4,
    wait_for_copies_but,
    warp_sum_of,
)
from tests.kernels_cuda.on_gpu import needs_gpu, normal
from tests.tolerances import assert_close, summation_bound

only_simulated = pytest.mark.skipif(not IS_SIMULATOR, reason="a GPU checks nothing")


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_four_elements_at_once(dtype):
    @jit(launch_bounds=(32, 1), max_registers=64)
    def reverse(x, y):
        i = 4 * cuda.threadIdx.x
        v0, v1, v2, v3 = ld4(x, i)
        st4(y, i, v3, v2, v1, v0)

    x = normal(1, 128, dtype=dtype)
    y = cuda.to_device(np.zeros_like(x))
    reverse[1, 32](cuda.to_device(x), y)
    np.testing.assert_array_equal(y.copy_to_host(), x.reshape(-1, 4)[:, ::-1].reshape(-1))


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_warps(dtype):
    warp_sum = warp_sum_of(element_of(dtype))

    @jit
    def sums(x, of_warps):
        i = cuda.threadIdx.x
        st1(of_warps, i, warp_sum(ld1(x, i)))

    x = normal(1, 64, dtype=dtype)
    of_warps = cuda.to_device(np.zeros_like(x))
    sums[1, 64](cuda.to_device(x), of_warps)
    exact = x.astype("float64").reshape(2, 32).sum(axis=1)
    bound = summation_bound(32, np.abs(x).reshape(2, 32).sum(axis=1, dtype="float64"), dtype)
    assert_close(of_warps.copy_to_host().reshape(2, 32), np.broadcast_to(exact[:, None], (2, 32)), bound[:, None])


@needs_gpu
def test_shared_arrays_are_apart():
    first_of, second_of = shared_array(float32, 32), shared_array(float32, 32)

    @jit
    def swap(x):
        first, second, i = first_of(), second_of(), cuda.threadIdx.x
        st1(first, i, ld1(x, i))
        st1(second, i, -ld1(x, i))
        cuda.syncthreads()
        st1(x, i, ld1(first, 31 - i) - ld1(second, i))

    x = normal(1, 32)
    y = cuda.to_device(x)
    swap[1, 32](y)
    np.testing.assert_array_equal(y.copy_to_host(), x[::-1] + x)


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_arrive_with_zeros_after_what_is_valid(dtype):
    memory_of, wait_all = shared_array(element_of(dtype), 64), wait_for_copies_but(0)

    @jit
    def through_shared_memory(x, y):
        memory, i = memory_of(), cuda.threadIdx.x
        if i < 8:
            copy4_async(memory, 4 * i, x, 4 * i, i % 5)
        copy1_async(memory, 32 + i, x, 32 + i, i % 2)
        commit_copies()
        wait_all()
        cuda.syncthreads()
        st1(y, i, ld1(memory, i))
        st1(y, 32 + i, ld1(memory, 32 + i))

    x = normal(1, 64, dtype=dtype)
    y = cuda.to_device(np.full_like(x, np.nan))
    through_shared_memory[1, 32](cuda.to_device(x), y)
    fours = np.where(np.arange(4) < np.arange(8)[:, None] % 5, x[:32].reshape(8, 4), 0).reshape(-1)
    ones = np.where(np.arange(32) % 2, x[32:], 0)
    np.testing.assert_array_equal(y.copy_to_host(), np.concatenate([fours, ones]))


@needs_gpu
def test_blocks_wait_for_each_other():
    blocks = 1 if IS_SIMULATOR else 8

    @jit
    def relay(arrivals, cells, out):
        block, blocks = cuda.blockIdx.x, cuda.gridDim.x
        for turn in range(5):
            if cuda.threadIdx.x == 0:
                cells[block] = turn * blocks + block
            grid_barrier(arrivals, blocks)
            if cuda.threadIdx.x == 0:
                out[turn * blocks + block] = cells[(block + 1) % blocks]
            grid_barrier(arrivals, blocks)

    arrivals, cells = cuda.to_device(np.zeros(1, "int64")), cuda.to_device(np.zeros(blocks))
    out = cuda.to_device(np.zeros(5 * blocks))
    relay[blocks, 32](arrivals, cells, out)
    expected = np.arange(5)[:, None] * blocks + (np.arange(blocks) + 1) % blocks
    np.testing.assert_array_equal(out.copy_to_host(), expected.reshape(-1))


@needs_gpu
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_in_turn_calls_once_for_each_number(count):
    def put(array, step, number):
        array[number] += step * (number + 1)

    calls = in_turn(device(put), count)

    @jit
    def run(array):
        calls(array, 10, 0)

    array = cuda.to_device(np.zeros(count + 1))
    run[1, 1](array)
    np.testing.assert_array_equal(array.copy_to_host(), [*(10.0 * (np.arange(count) + 1)), 0])


@needs_gpu
def test_load_acquire():
    @jit
    def read(x, y):
        y[0] = load_acquire(x, 1)

    y = cuda.to_device(np.zeros(1, "int64"))
    read[1, 1](cuda.to_device(np.array([1, 7, 9])), y)
    assert y.copy_to_host()[0] == 7


def test_element_types():
    assert element_of(np.float32) is float32
    assert element_of("float64") is float64
    with pytest.raises(KeyError):
        element_of("int32")


def failure(kernel, *arrays, threads=32):
    with pytest.raises(Exception) as raised:  # noqa: PT011  # the simulator raises again what a thread raised
        kernel[1, threads](*arrays)
    return str(raised.value)


@only_simulated
def test_a_wrong_address_is_refused():
    @jit
    def beyond(x):
        ld1(x, cuda.threadIdx.x + 1)

    @jit
    def before(x):
        st1(x, cuda.threadIdx.x - 1, x[0])

    @jit
    def misaligned(x):
        ld4(x, 2)

    @jit
    def crooked_copy(x):
        copy4_async(x, 0, x, 1, 2)

    x = np.zeros(32, "float32")
    assert "of an array of 32" in failure(beyond, x)
    assert "got element -1" in failure(before, x)
    assert "multiple of 16 bytes" in failure(misaligned, x)
    assert "multiple of 16 bytes" in failure(crooked_copy, x)


@only_simulated
def test_a_copy_that_is_not_waited_for_has_not_arrived():
    memory_of, wait_but_one = shared_array(float32, 64), wait_for_copies_but(1)

    @jit
    def impatient(x, y):
        memory, i = memory_of(), cuda.threadIdx.x
        copy1_async(memory, i, x, i, 1)
        commit_copies()
        copy1_async(memory, 32 + i, x, i, 1)
        commit_copies()
        wait_but_one()
        cuda.syncthreads()
        y[i], y[32 + i] = memory[i], memory[32 + i]

    x, y = normal(1, 32), np.zeros(64, "float32")
    impatient[1, 32](x, y)
    np.testing.assert_array_equal(y[:32], x)
    assert np.isnan(y[32:]).all()


@only_simulated
def test_a_barrier_of_many_blocks_is_refused():
    @jit
    def wait(arrivals):
        grid_barrier(arrivals, cuda.gridDim.x)

    with pytest.raises(Exception, match="one after another"):
        wait[2, 1](np.zeros(1, "int64"))


@only_simulated
def test_threads_may_call_functions_while_others_add_globals():
    """As Python does where a module warns for the first time: a NaN in one thread made another fail, now and then."""

    @device
    def same(i):
        return i

    @jit
    def grow(out):
        thread = cuda.threadIdx.x
        for i in range(300):
            globals()[f"grown_{thread}_{i}"] = same(i)
        out[thread] = 1

    out = np.zeros(4)
    try:
        grow[1, 4](out)
    finally:
        for name in [name for name in globals() if name.startswith("grown_")]:
            del globals()[name]
    np.testing.assert_array_equal(out, 1)
