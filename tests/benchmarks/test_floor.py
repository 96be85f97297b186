import pytest

from mlp_benchmarks.cases import CASES, OPTIMIZERS
from mlp_benchmarks.floor import Peaks, bytes_per_step, floor_us, flops_per_step, last_level_cache
from mlp_scratch import MLP

# By hand: a product of (N, D) and (D, H) is 2·N·D·H; each layer has three, the first one two.
FLOPS = {
    "xy-1x24": 2 * 32 * (2 * (2 * 24) + 3 * (24 * 1)),
    "xy-4x6": 2 * 32 * (2 * (2 * 6) + 3 * (6 * 6 + 6 * 6 + 6 * 6 + 6 * 1)),
    "digits": 2 * 32 * (2 * (64 * 32) + 3 * (32 * 10)),
    "d2l-b32": 2 * 32 * (2 * (784 * 256) + 3 * (256 * 10)),
    "d2l": 2 * 256 * (2 * (784 * 256) + 3 * (256 * 10)),
    "d2l-deep": 2 * 256 * (2 * (784 * 256) + 3 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 16 + 16 * 10)),
    "quickstart": 2 * 64 * (2 * (784 * 512) + 3 * (512 * 512 + 512 * 10)),
    "wide-1024": 2 * 256 * (2 * (784 * 1024) + 3 * (1024 * 1024 + 1024 * 10)),
    "wide-4096": 2 * 256 * (2 * (784 * 4096) + 3 * (4096 * 4096 + 4096 * 10)),
}


@pytest.mark.parametrize("name", CASES)
def test_flops_by_hand(name):
    assert flops_per_step(CASES[name]) == FLOPS[name]


def test_bytes_by_hand():
    # 203,530 parameters, read and written; 32 images of 784 and as many labels. Adam remembers two numbers more.
    assert bytes_per_step(CASES["d2l-b32"], "sgd") == 8 * 203_530 + 4 * 32 * 785
    assert bytes_per_step(CASES["d2l-b32"], "adam") == 8 * 3 * 203_530 + 4 * 32 * 785


@pytest.mark.parametrize("name", ["xy-4x6", "digits", "d2l", "quickstart"])
def test_parameters_are_those_of_the_model(name):
    assert CASES[name].n_parameters == MLP(CASES[name].widths).n_parameters


def test_floor_is_the_larger_of_arithmetic_and_memory():
    case = CASES["wide-4096"]
    slow_memory, fast_memory = Peaks(100.0, 0.1), Peaks(100.0, 1e6)
    arithmetic = FLOPS["wide-4096"] / 100e9 * 1e6
    flops, moved = flops_per_step(case), bytes_per_step(case, "sgd")
    assert floor_us(flops, moved, fast_memory, cache=0) == pytest.approx(arithmetic)
    assert floor_us(flops, moved, slow_memory, cache=0) == pytest.approx(moved / 0.1e9 * 1e6)


def test_floor_counts_only_memory_traffic_that_no_cache_saves():
    case, slow_memory = CASES["wide-4096"], Peaks(1e9, 1.0)
    flops, moved = flops_per_step(case), bytes_per_step(case, "sgd")
    # So much needs neither be read again nor be written.
    assert floor_us(flops, moved, slow_memory, cache=10_000_000) == pytest.approx((moved - 20_000_000) / 1e9 * 1e6)
    arithmetic = FLOPS["wide-4096"] / 1e18 * 1e6
    for holds_it_all in (moved, None):
        assert floor_us(flops, moved, slow_memory, cache=holds_it_all) == pytest.approx(arithmetic)


def test_unknown_caches():
    assert last_level_cache({}) is None
    assert last_level_cache({"cpu": {"caches": {"l1d": None}}}) is None


def test_every_case_has_sgd_and_adam():
    assert {rule.kind for rule in OPTIMIZERS.values()} == {"sgd", "adam"}
