"""Compile every kernel as it is launched, check what became of it, and tell: PTX text, registers, spills.

    python -m mlp_kernels.cuda.assembly                a table of every kernel
    python -m mlp_kernels.cuda.assembly --write        the same into kernels/README.md
    python -m mlp_kernels.cuda.assembly --json -       all that was counted
    python -m mlp_kernels.cuda.assembly --check        what is wrong with any of them; the exit code is 1 if anything is
    python -m mlp_kernels.cuda.assembly --check --quick --processes 2

With `--quick` one kernel of each kind is compiled for every capability, and the others for 9.0 alone.
"""

import argparse
import json
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from mlp_kernels.cuda.assembly.compiler import INSTALL, find_ptxas, missing, version_of
from mlp_kernels.cuda.assembly.listings import Capability, Configuration, Listing
from mlp_kernels.cuda.assembly.rules import MULTIPROCESSORS, problems
from mlp_kernels.cuda.assembly.sweep import compile_all, jobs

BEGIN = "<!-- assembly: begin, written by python -m mlp_kernels.cuda.assembly --write -->"
END = "<!-- assembly: end -->"
Compiled = tuple[Configuration, Listing]


def is_in_table(configuration: Configuration) -> bool:
    """Whether the table tells of it: of products, those that have the most to do."""
    return configuration.aligned and configuration.epilogue != "store"


def table(compiled: list[Compiled]) -> str:
    """Markdown: one row for each kernel, and its registers by capability."""
    capabilities = list(dict.fromkeys(one.capability for _, one in compiled))
    of_each = [f"registers at {_words(capability)}" for capability in capabilities]
    header = ["kernel", "a block works on", "threads", *of_each, "shared KB", "spills"]
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * (len(header) - 2)]
    rows: dict[tuple[str, str, int], list[Compiled]] = {}
    for c, one in compiled:
        if is_in_table(c):
            name = c.name if c.name == c.element or not c.is_network else f"{c.name}, {c.element}"
            rows.setdefault((name, c.work_of_a_block, c.threads), []).append((c, one))
    for (name, block, threads), group in rows.items():
        registers = {(one.capability, c.layout): str(one.registers) for c, one in group}
        cells = [
            ", ".join(registers[each, layout] for layout in ("NN", "NT", "TN", "") if (each, layout) in registers)
            for each in capabilities
        ]
        shared = max(one.shared_bytes or 0 for _, one in group) / 1024
        spills = sum(one.spilled_bytes or 0 for _, one in group)
        lines.append(f"| {name} | {block} | {threads} | {' | '.join(cells)} | {shared:.1f} | {spills} |")
    return "\n".join(lines) + (
        f"\n\nFor compute capability {', '.join(map(_words, capabilities))}, by numba-cuda "
        f"{metadata.version('numba-cuda')} and ptxas {version_of(find_ptxas() or '')}.\n"
        "Registers of NN, NT, TN: NT with bias and ReLU, NN with ReLU's slope, TN with Adam and the bias gradient.\n"
        "Shared memory is without what a launch asks for, where a block in shared memory has its network."
    )


def _words(capability: Capability) -> str:
    return f"{capability[0]}.{capability[1]}"


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlp_kernels.cuda.assembly", description=__doc__.splitlines()[0])
    known = ",".join(map(_words, MULTIPROCESSORS))
    parser.add_argument("--capability", default=known, help=f"compute capabilities, with commas between them: {known}")
    parser.add_argument("--quick", action="store_true", help="one of each kind, but all for capability 9.0")
    parser.add_argument("--processes", type=int, default=1, help="how many compile at the same time")
    parser.add_argument("--check", action="store_true", help="say what is wrong; exit with 1 if anything is")
    parser.add_argument("--json", metavar="FILE", help="write the listings there, or to - for the standard output")
    parser.add_argument("--write", action="store_true", help="write the table of kernels/README.md")
    options = parser.parse_args(arguments)
    unknown = [text for text in options.capability.split(",") if text not in known.split(",")]
    if unknown:
        parser.error(f"--capability: got {unknown[0]!r}, expected one of {known}")
    if reason := missing():
        parser.error(reason)
    if find_ptxas() is None and not options.json:
        parser.error(f"ptxas was not found, expected it beside numba-cuda or on the path: {INSTALL}")
    capabilities = tuple(each for each in MULTIPROCESSORS if _words(each) in options.capability.split(","))
    only_table = not options.json and not options.check
    wanted = jobs(capabilities, quick=options.quick, wanted=is_in_table if only_table else None)
    compiled = list(compile_all(wanted, options.processes))
    if options.json:
        text = json.dumps({"schema": 2, "listings": [_record(*each) for each in compiled]}, indent=1) + "\n"
        sys.stdout.write(text) if options.json == "-" else Path(options.json).write_text(text, encoding="utf-8")
    found = [problem for each in compiled for problem in problems(*each)] if options.check else []
    if options.check:
        sys.stdout.write("".join(f"{problem}\n" for problem in found))
        sys.stdout.write(f"{len(compiled)} kernels compiled, {len(found)} problems\n")
    if options.write:
        readme = Path(__file__).resolve().parents[3] / "README.md"
        before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        readme.write_text(f"{before}{BEGIN}\n{table(compiled)}\n{END}{after}", encoding="utf-8")
    elif only_table:
        sys.stdout.write(table(compiled) + "\n")
    return int(bool(found))


def _record(configuration: Configuration, one: Listing) -> dict[str, object]:
    c = configuration
    names = ("name", "element", "layout", "epilogue", "work_of_a_block", "threads", "aligned")
    return {name: getattr(c, name) for name in names} | asdict(one) | {"capability": _words(one.capability)}


if __name__ == "__main__":
    sys.exit(main())
