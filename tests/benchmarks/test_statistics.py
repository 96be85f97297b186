import numpy as np
import pytest

from mlp_benchmarks.statistics import paired_ratio


def test_a_slow_moment_hits_both_and_the_ratio_stays():
    machine = np.array([1.0, 5.0, 1.0, 2.0])
    ratio = paired_ratio([list(2 * machine)], [list(machine)])
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))


def test_an_outlier_does_not_move_it():
    assert paired_ratio([[2.0, 2.0, 2.0, 90.0, 2.0]], [[1.0] * 5]).value == pytest.approx(2.0)


def test_processes_are_averaged_geometrically():
    assert paired_ratio([[2.0, 2.0], [8.0, 8.0]], [[1.0, 1.0], [1.0, 1.0]]).value == pytest.approx(4.0)


def test_turning_it_over_turns_the_interval_over():
    rng = np.random.default_rng(0)
    a, b = (rng.lognormal(sigma=0.1, size=(3, 7)).tolist() for _ in range(2))
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / back.high)


@pytest.mark.parametrize("times", [[], [[]], [[1.0]], [[1.0], []]])
def test_too_few_pairs_have_no_ratio(times):
    assert paired_ratio(times, times) is None


@pytest.mark.parametrize("between", [0.0, 0.02, 0.2])
def test_the_same_program_is_level_in_nine_of_ten_runs(between):
    """Coverage, where rounds scatter and each process has its own luck: `between` is that luck's size."""
    rng = np.random.default_rng(0)
    runs, level = 200, 0

    def entered():
        luck = rng.normal(scale=between, size=(3, 1))
        return np.exp(luck + rng.normal(scale=0.03, size=(3, 7))).tolist()

    for _ in range(runs):
        ratio = paired_ratio(entered(), entered())
        level += ratio.low <= 1 <= ratio.high
    assert level >= 0.9 * runs


@pytest.mark.parametrize("rounds", [2, 5])
def test_with_a_single_process_too(rounds):
    rng = np.random.default_rng(0)
    runs, level = 200, 0
    for _ in range(runs):
        a, b = (np.exp(rng.normal(scale=0.03, size=(1, rounds))).tolist() for _ in range(2))
        ratio = paired_ratio(a, b)
        level += ratio.low <= 1 <= ratio.high
    assert level >= 0.9 * runs


def test_a_difference_is_told():
    rng = np.random.default_rng(0)
    slow, fast = (np.exp(rng.normal(scale=0.02, size=(3, 7)) + shift).tolist() for shift in (0.2, 0.0))
    assert paired_ratio(slow, fast).low > 1
