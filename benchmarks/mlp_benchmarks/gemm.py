"""`mlp-bench gemm`: single matrix products beside the machine's peak."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
import numpy as np

from mlp_benchmarks.command import (
    Progress,
    chosen,
    exit_code,
    integers,
    measure,
    race_options,
    race_rules,
    thread_counts,
    writable,
)
from mlp_benchmarks.contenders import BASELINE
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.products import LAYOUTS, PRODUCT_CONTENDERS, UNIT_ROUNDOFF, Product
from mlp_benchmarks.race import Race
from mlp_benchmarks.records import Findings
from mlp_benchmarks.report import machine_lines, number, print_table
from mlp_benchmarks.statistics import paired_ratio
from mlp_scratch import checks
from mlp_scratch.errors import ArgumentError

SIZES = (256, 512, 1024, 1025, 1026, 1028, 1032, 2048)
"""Squares: powers of two, and what is one, two, four and eight beyond, where a tile of any width has a rest."""
TRAINING = ((256, 256, 784, "NT"), (256, 784, 256, "NN"), (256, 784, 256, "TN"), (256, 10, 256, "NT"))
"""M, N, K and layout of the products of a 784-256-10 network at batch 256: forward, dX, dW, and the narrow output."""
HEADER = (
    "m",
    "n",
    "k",
    "layout",
    "threads",
    "contender",
    "GFLOP/s",
    "p10..p90",
    "% of peak",
    "x numba's time",
    "error",
)


@dataclass(frozen=True, kw_only=True)
class GemmRecord:
    """One contender's speed at one product.

    Attributes:
        gflops, gflops_p10, gflops_p90: median and percentiles over the rounds, 1e9 operations a second.
        peak_gflops: of as many threads, measured in the same run; None on a GPU or where it could not be.
        ratio, ratio_low, ratio_high: its time over `numba`'s, paired by round, with a 95 % interval.
        error, error_bound: the largest distance from the float64 product, and what rounding allows, as parts of
            |A| |B|.
    """

    m: int
    n: int
    k: int
    dtype: str
    threads: int
    contender: str
    layout: str
    pad: int
    offset: int
    gflops: float
    gflops_p10: float
    gflops_p90: float
    peak_gflops: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    error: float | None
    error_bound: float
    rounds: int
    processes: int


class GemmReport(Findings[GemmRecord]):
    """All that was found so far of single products."""

    def add(self, product: Product, lanes: Sequence[Lane]) -> None:
        """The records of the contenders that were timed, the fastest first, and the others."""
        timed = {lane.name: lane for lane in lanes if lane.status == "timed"}
        peaks = self.machine["peaks"].get(str(product.threads))
        found = []
        for name, lane in timed.items():
            speeds = product.flops / np.concatenate([process for process in lane.microseconds if process]) / 1e3
            ours = timed.get(BASELINE)
            ratio = paired_ratio(lane.microseconds, ours.microseconds) if ours else None
            found.append(
                GemmRecord(
                    contender=name,
                    gflops=float(np.median(speeds)),
                    gflops_p10=float(np.percentile(speeds, 10)),
                    gflops_p90=float(np.percentile(speeds, 90)),
                    peak_gflops=peaks["gflops"] if peaks and lane.entry.device == "cpu" else None,
                    ratio=ratio.value if ratio else None,
                    ratio_low=ratio.low if ratio else None,
                    ratio_high=ratio.high if ratio else None,
                    error=lane.gap,
                    error_bound=product.bound,
                    rounds=len(speeds),
                    processes=sum(map(bool, lane.seconds)),
                    **asdict(product),
                )
            )
        self.records += sorted(found, key=lambda record: -record.gflops)
        for lane in lanes:
            if not lane.racing:
                self.leave_out(lane.name, lane.status, lane.reason, product=product.name)


@click.command("gemm")
@click.option("--size", "sizes", metavar="N,...", help=f"Square products.  [default: {','.join(map(str, SIZES))}]")
@click.option("--shape", "shapes", metavar="MxNxK,...", help="Others.  [default: those of a 784-256-10 network]")
@click.option("--layout", "layouts", metavar="NN,...", help="Of NN, NT, TN.  [default: all]")
@click.option("--dtype", type=click.Choice(list(UNIT_ROUNDOFF)), default="float32", show_default=True)
@click.option("--lda", "pad", type=int, default=0, metavar="N", help="Unused elements behind each stored row.")
@click.option("--offset", type=int, default=0, metavar="BYTES", help="From a multiple of 64 to each matrix.")
@click.option("--contender", "contenders", metavar="NAME,...", help=f"Of {', '.join(PRODUCT_CONTENDERS)}.")
@race_options()
def gemm_command(
    sizes: str | None,
    shapes: str | None,
    layouts: str | None,
    dtype: str,
    threads: str,
    pad: int,
    offset: int,
    contenders: str | None,
    rounds: int,
    processes: int,
    json_file: str | None,
) -> int:
    """Time matrix products beside the processor's measured peak.

    Every result is compared with the float64 product before and while it is timed; exit code 1 says that one was
    wrong, or that a contender failed.
    """
    item = np.dtype(dtype).itemsize
    checks.integer("lda", pad, at_least=0)
    if offset % item or checks.integer("offset", offset, at_least=0) < 0:
        raise ArgumentError("offset", given=offset, expected=f"a multiple of {item}, the bytes of a {dtype}")
    path, counts = writable("json", json_file), thread_counts(threads)
    entries = chosen("contender", contenders, PRODUCT_CONTENDERS, default=tuple(PRODUCT_CONTENDERS))
    rules = race_rules(rounds, processes)
    wanted = list(chosen("layout", layouts, {name: name for name in LAYOUTS}, default=LAYOUTS))
    sides_and_layouts = _products(sizes, shapes, wanted)
    report = GemmReport()

    def hold_races(progress: Progress) -> None:
        for count in counts:
            products = [
                Product(m=m, n=n, k=k, dtype=dtype, layout=layout, pad=pad, offset=offset, threads=count)
                for m, n, k, layout in sides_and_layouts
            ]
            with Race(products, entries, rules, threads=count, progress=progress) as race:
                try:
                    race.run()
                finally:
                    for product, lanes in zip(products, race.lanes, strict=True):
                        report.add(product, lanes)

    measure(report, path, counts, hold_races, dtype=dtype)
    if report.machine:
        print_table(HEADER, _rows(report.records), [(r.m, r.n, r.k, r.layout, r.threads) for r in report.records])
        for line in [*machine_lines(report.machine), *_not_timed_lines(report.not_timed)]:
            click.echo(line)
    return exit_code(report, path)


def _products(sizes: str | None, shapes: str | None, layouts: Sequence[str]) -> list[tuple[int, int, int, str]]:
    """M, N, K and layout of each product."""
    if sizes is None and shapes is None:
        squares = [(n, n, n, layout) for n in SIZES for layout in layouts]
        return squares + [each for each in TRAINING if each[3] in layouts]
    found = [(n, n, n) for n in (integers("size", sizes) if sizes is not None else [])]
    for text in shapes.split(",") if shapes is not None else []:
        numbers = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text.strip())
        if numbers is None or "0" in numbers.groups():
            raise ArgumentError("shape", given=repr(text), expected="M x N x K such as 256x784x256, each at least 1")
        m, n, k = map(int, numbers.groups())
        found.append((m, n, k))
    return [(*shape, layout) for shape in found for layout in layouts]


def _rows(records: Sequence[GemmRecord]) -> list[tuple[str, ...]]:
    return [
        (
            *map(str, (record.m, record.n, record.k)),
            record.layout,
            str(record.threads),
            record.contender,
            number(record.gflops),
            f"{number(record.gflops_p10)}..{number(record.gflops_p90)}",
            "-" if record.peak_gflops is None else f"{100 * record.gflops / record.peak_gflops:.1f}",
            "-" if record.ratio is None else f"{record.ratio:.3f} [{record.ratio_low:.3f}, {record.ratio_high:.3f}]",
            "-" if record.error is None else f"{record.error:.1e}",
        )
        for record in records
    ]


def _not_timed_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    groups: dict[str, int] = {}
    for entry in entries:
        line = f"{entry['status']}: {entry['contender']}: {entry['reason']}"
        groups[line] = groups.get(line, 0) + 1
    return [f"{line} ({count} products)" for line, count in groups.items()]
