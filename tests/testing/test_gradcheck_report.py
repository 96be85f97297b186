"""What a gradient check reports: entries, reports of them, and both as text and JSON."""

import json
import math

import pytest

from mlp_scratch.derivatives import Derivative
from mlp_scratch.gradcheck import Entry, Report, _entry

GOOD = Entry("0.weight", (1, 2), 2.0, 2.0, 0.0, False, True)
WORSE = Entry("0.bias", (0,), 1.0, 1.5, 0.25, False, True)
KINK = Entry("2.bias", None, 1.0, 1.0, 0.0, True, False)
DARK = Entry("2.bias", (3,), 1e-9, 1e-9, 0.0, False, False)


def report(*entries):
    return Report(entries, 1e-7, "central", "numpy", 0.5)


def test_a_report_passes_where_something_was_seen_and_nothing_is_wrong():
    assert report(GOOD, DARK).passed
    assert report(KINK).passed
    assert report(KINK, DARK).passed
    assert not report(DARK).passed
    assert not report(GOOD, WORSE).passed
    assert Report((WORSE,), 0.25, "central", "numpy", 0.5).passed


def test_the_worst_of_a_report():
    r = report(GOOD, WORSE, KINK)
    assert (r.max_error, r.worst, r.worst_entry) == (0.25, "0.bias", WORSE)


def test_a_report_as_json():
    assert json.loads(report(WORSE, KINK).to_json()) == {
        "passed": False,
        "max_error": 0.25,
        "worst": "0.bias",
        "tolerance": 1e-7,
        "method": "central",
        "backend": "numpy",
        "loss": 0.5,
        "checked": 2,
        "entries": [
            {"parameter": "0.bias", "index": [0], "analytic": 1.0, "numeric": 1.5, "error": 0.25, "at_kink": False,
             "resolved": True},
            {"parameter": "2.bias", "index": None, "analytic": 1.0, "numeric": 1.0, "error": 0.0, "at_kink": True,
             "resolved": False},
        ],
    }  # fmt: skip


def test_a_report_as_json_has_texts_for_infinity_and_nan():
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    lost = Entry("0.bias", (0,), math.nan, -math.inf, math.inf, False, False)
    record = json.loads(Report((lost,), 1e-7, "central", "numpy", math.nan).to_json(), parse_constant=refuse)
    assert (record["loss"], record["max_error"]) == ("NaN", "Infinity")
    assert [record["entries"][0][name] for name in ("analytic", "numeric", "error")] == ["NaN", "-Infinity", "Infinity"]


def test_a_report_as_text():
    assert str(report(WORSE, GOOD, KINK, DARK)) == (
        "parameter      checked kinks unresolved max error\n"
        "0.bias               1     0          0   2.5e-01\n"
        "0.weight             1     0          0   0.0e+00\n"
        "2.bias               2     1          1   0.0e+00\n"
        "FAILED at 1e-07 by central differentiation; worst: "
        "0.bias [0]: backward says 1, forward says 1.5, relative error 2.5e-01"
    )
    assert str(report(KINK)).splitlines()[-1] == (
        "passed at 1e-07 by central differentiation; worst: "
        "2.bias along a random direction: backward says 1, forward says 1, relative error 0.0e+00"
    )


@pytest.mark.parametrize(
    ("analytic", "numeric", "nearer", "error", "resolved"),
    [
        (1.0, (1.0, 1.0, 1e-12), 1.0, 0.0, True),
        (1.0, (1.25, 1.25, 1e-12), 1.25, 0.2, True),
        (-1.25, (-1.0, -1.0, 1e-12), -1.0, 0.2, True),
        (0.5, (0.0, 1.0, 1e-12), 0.5, 0.0, False),
        (2.0, (0.0, 1.0, 1e-12), 1.0, 0.5, False),
        (-1.0, (0.0, 1.0, 1e-12), 0.0, 1.0, False),
        (1e-6, (2e-6, 2e-6, 1e-12), 2e-6, 0.1, False),  # below 1e-5 nothing is resolved to 1e-7
        (1e-5, (1e-5, 1e-5, 1e-12), 1e-5, 0.0, False),
        (0.0, (0.0, 0.0, 0.0), 0.0, 0.0, False),
        (1.0, (float("nan"), float("nan"), 1.0), None, float("inf"), False),
    ],
)
def test_one_derivative_both_ways(analytic, numeric, nearer, error, resolved):
    entry = _entry("w", (1,), analytic, Derivative(*numeric), 1e-7)
    assert (entry.parameter, entry.index, entry.analytic) == ("w", (1,), analytic)
    assert entry.error == pytest.approx(error, rel=1e-12)
    assert nearer is None or entry.numeric == nearer
    assert entry.at_kink == (numeric[0] < numeric[1])
    assert entry.resolved is resolved


def test_a_report_in_which_something_tells_does_not_say_that_nothing_does():
    assert "nothing differs" not in str(report(WORSE)) + str(report(GOOD))
