"""Kernels through the real compiler: what is compiled, what is counted, and that every rule is noticed when broken.

All kernels are compiled by `python -m mlp_kernels.cuda.assembly --check`, which takes minutes; here two are, where
numba-cuda with its NVVM and `ptxas` are installed.
"""

from dataclasses import replace
from itertools import chain

import pytest

from mlp_kernels.cuda.assembly import __main__ as command
from mlp_kernels.cuda.assembly import compiler, sweep
from mlp_kernels.cuda.assembly.configurations import configurations, networks
from mlp_kernels.cuda.assembly.listings import COUNTED, Listing, count
from mlp_kernels.cuda.assembly.rules import MULTIPROCESSORS, problems, resident_blocks
from mlp_kernels.cuda.gemm import TILES

ALL = list(configurations())
NONE = dict.fromkeys(COUNTED, 0)
HOPPER = (9, 0)


def configuration(name, layout="", **wanted):
    wanted = {"aligned": True, "representative": True} | wanted
    return next(
        c for c in ALL if (c.name, c.layout) == (name, layout) and all(getattr(c, k) == v for k, v in wanted.items())
    )


BLOCK = {"fma.f32": 48, "barrier": 5}
GOOD = {
    "float32 NN store": {"fma.f32": 64, "load.shared.128": 4, "store.global.128": 16, "copy.128": 4, "copy.single": 16},
    "float32 TN adam": {"fma.f32": 71, "load.shared.128": 4, "store.global.128": 16, "copy.128": 4},
    "3xtf32 NT bias": {"mma.tf32": 48, "copy.128": 8},
    "bf16 TN adam": {"mma.bf16": 16, "fma.f32": 7, "copy.128": 8},
    "register tile NN ": {"fma.f32": 64, "load.shared.128": 4, "store.global.128": 16, "load.global.128": 4},
    "shared tile": {"fma.f32": 32},
    "naive": {"fma.f32": 1},
    "block in shared memory": BLOCK | {"load.shared": 9},
    "block": BLOCK,
    "grid": {"fma.f32": 48, "barrier": 4, "atomic": 2, "fence": 4, "load.acquire": 4},
    "phase": {"fma.f32": 48},
    "finish": {"fma.f32": 9},
    "turn": {},
}
"""What a few kernels may consist of, by name and, for products, layout and epilogue."""


def case(name, **changes):
    """A configuration, and a listing of it that is good but for the changes."""
    wanted, words = {}, name.split(" ")
    if words[-1] in ("store", "bias", "adam", "") and len(words) > 2:
        name, layout, wanted["epilogue"] = " ".join(words[:-2]), words[-2], words[-1]
    else:
        layout = ""
    if name == "block in shared memory" or name == "block":
        wanted["side"] = 1
    good = Listing(HOPPER, NONE | GOOD[" ".join(words)], 64, 0, 0)
    counts = {key: value for key, value in changes.items() if key in COUNTED}
    fields = {key: value for key, value in changes.items() if key not in COUNTED}
    return configuration(name, layout, **wanted), replace(good, counts=good.counts | counts, **fields)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_listing_has_no_problems(name):
    assert problems(*case(name)) == []


FLOAT = "float32 NN store"
RULES = [
    (FLOAT, {"local": 1}, "no local memory"),
    (FLOAT, {"call": 1}, "no calls"),
    (FLOAT, {"float64": 2}, "no float64"),
    (FLOAT, {"fma.f32": 65}, "a multiple of 64"),
    (FLOAT, {"fma.f32": 0}, "a multiple of 64"),
    ("float32 TN adam", {"fma.f32": 63}, "a multiple of 64"),
    (FLOAT, {"load.shared.128": 3}, "4 reads of 128 bits"),
    (FLOAT, {"store.global.128": 0}, "stores of 128 bits"),
    (FLOAT, {"copy.128": 0}, "asynchronous copies of 128 bits"),
    ("3xtf32 NT bias", {"mma.tf32": 16}, "a multiple of 48 mma.tf32"),
    ("3xtf32 NT bias", {"mma.bf16": 48}, "no mma.bf16"),
    ("3xtf32 NT bias", {"fma.f32": 1}, "no other multiply-adds"),
    ("bf16 TN adam", {"mma.bf16": 0}, "a multiple of 16 mma.bf16"),
    ("register tile NN ", {"load.global.128": 0}, "loads of 128 bits"),
    ("register tile NN ", {"copy.single": 1}, "no asynchronous copies"),
    ("shared tile", {"fma.f32": 31}, "each of 32 steps"),
    ("naive", {"fma.f32": 0}, "fused multiply-adds, got none"),
    ("block", {"fma.f32": 2}, "at least 3 fused"),
    ("grid", {"fma.f32": 47}, "at least 48 fused"),
    ("finish", {"fma.f32": 0}, "at least 1 fused"),
    ("grid", {"load.read-only": 1}, "past the caches"),
    ("block in shared memory", {"access.generic": 1}, "memory of every address"),
    ("block in shared memory", {"load.shared": 0}, "expected loads from shared"),
    ("phase", {"load.shared": 1}, "no loads from shared"),
    ("block", {"barrier": 4}, "5 of barrier"),
    ("grid", {"barrier": 3}, "4 of barrier"),
    ("phase", {"barrier": 1}, "0 of barrier"),
    ("grid", {"atomic": 1}, "2 of atomic"),
    ("block", {"atomic": 1}, "0 of atomic"),
    ("grid", {"fence": 2}, "4 of fence"),
    ("grid", {"load.acquire": 0}, "read anew"),
    (FLOAT, {"spilled_bytes": 8}, "no spills"),
    (FLOAT, {"registers": 255, "shared_bytes": 49153}, "49152 bytes of shared memory"),
    ("naive", {"registers": 65}, "1024 threads to fit a multiprocessor"),
    ("grid", {"shared_bytes": 8}, "asked for at the launch"),
]


@pytest.mark.parametrize(("name", "changes", "complaint"), RULES)
def test_a_bad_listing_is_found(name, changes, complaint):
    (problem,) = problems(*case(name, **changes))
    assert complaint in problem
    assert problem.startswith(name.split(" ")[0])
    assert "capability 9.0" in problem


def test_what_ptxas_has_not_seen_is_judged_by_its_text_alone():
    c, good = case(FLOAT)
    assert problems(c, replace(good, registers=None, shared_bytes=None, spilled_bytes=None)) == []
    with pytest.raises(ValueError, match="expected one that ptxas has seen"):
        resident_blocks(c, replace(good, registers=None))


def test_blocks_that_fit_a_multiprocessor():
    """128 threads with 97 registers: in units of 256 a warp has 3328 of these, and a block 13312 of 65536."""
    c, good = case("grid", registers=97)
    assert resident_blocks(c, good) == 65536 // 13312 == 4
    assert resident_blocks(c, replace(good, registers=8)) == 2048 // 128
    assert resident_blocks(c, replace(good, registers=8, capability=(12, 0))) == 1536 // 128
    assert resident_blocks(c, replace(good, registers=8, shared_bytes=40 * 1024)) == 228 // 41


def test_for_a_table_nothing_else_is_compiled():
    rows = sweep.jobs((HOPPER,), wanted=command.is_in_table)
    assert {ALL[number].epilogue for number, _ in rows} == {"", "bias", "slope", "adam"}
    assert {str(c) for c in networks()} < {str(ALL[number]) for number, _ in rows}
    assert len(rows) < len(ALL) / 2


def test_every_kernel_is_among_the_configurations():
    tiles = sum(map(len, TILES.values()))
    assert len(ALL) == len(set(map(str, ALL))) == 2 * (2 * 2 + 1 + 4 + 1) + 3 + 3 + tiles * 2 * 3 * 2
    assert {c.element for c in networks()} == {"float32", "float64"}
    assert all(c.threads <= 1024 for c in ALL)


def test_in_haste_all_are_compiled_once_and_one_of_each_kind_for_every_capability():
    everything = tuple(MULTIPROCESSORS)
    quick = sweep.jobs(everything, quick=True)
    assert [capabilities for _, capabilities in sweep.jobs(everything, quick=False)] == [everything] * len(ALL)
    assert all(HOPPER in capabilities for _, capabilities in quick)
    kinds = {(c.name, c.layout, c.epilogue) for c in ALL}
    whole = {(c.name, c.layout, c.epilogue) for n, some in quick if some == everything for c in [ALL[n]]}
    assert whole == kinds


@pytest.mark.skipif(bool(compiler.missing()), reason=compiler.missing() or "compiles")
def test_kernels_are_compiled_and_checked(monkeypatch, capsys):
    """Through the whole command, but for the kernels that it takes: a network's smallest, and a rung."""
    few = [number for number, c in enumerate(ALL) if c.name in ("turn", "shared tile")]
    monkeypatch.setattr(command, "jobs", lambda capabilities, **_: [(number, capabilities) for number in few])
    assert command.main(["--check", "--processes", "2"]) == 0
    assert capsys.readouterr().out == f"{3 * len(few)} kernels compiled, 0 problems\n"
    monkeypatch.setattr(command, "problems", lambda c, one: [f"{c} is wrong"])
    assert command.main(["--check", "--capability", "9.0"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == f"{ALL[few[0]]} is wrong"


PTX = """
.visible .entry f(.param .u64 a)
{
	.reg .f32 %f<9>;
	ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];
	ld.global.v2.f64 {%fd1, %fd2}, [%rd1];
	ld.global.f32 %f1, [%rd1];
	ld.global.nc.f32 %f1, [%rd1];
	ld.u64 %rd1, [%rd2];
	st.v2.f32 [%rd2], {%f1, %f2};
	ld.param.u64 %rd1, [a];
	st.shared.v4.f32 [%rd1], {%f1, %f2, %f3, %f4};
	ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1];
	ld.acquire.gpu.global.u64 %rd1, [%rd2];
	atom.global.add.u64 %rd1, [%rd2], 1;
	membar.gl;
	bar.sync 0;
	fma.rn.f32 %f1, %f2, %f3, %f4;
	fma.rn.f64 %fd1, %fd2, %fd3, %fd4;
	mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f1}, {%r1}, {%r2}, {%f1};
	cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;
	cp.async.ca.shared.global [%r1], [%rd1], 4, %r2;
	st.local.f32 [%rd1], %f1;
	call.uni (retval0), g, (param0);
	ret;
}
"""  # fmt: skip


def test_instructions_are_counted():
    expected = NONE | {
        "fma.f32": 1, "fma.f64": 1, "mma.tf32": 1, "load.global.128": 2, "load.shared.128": 1, "load.shared": 1,
        "copy.128": 1, "copy.single": 1, "float64": 2, "local": 1, "call": 1, "load.read-only": 1, "access.generic": 2,
        "barrier": 1, "fence": 1, "atomic": 1, "load.acquire": 1,
    }  # fmt: skip
    assert count(PTX) == expected


def test_a_report_of_ptxas_is_read():
    report = """ptxas info    : 0 bytes gmem
    ptxas info    : Function properties for f
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
    ptxas info    : Used 140 registers, used 1 barriers, 16 bytes cumulative stack size, 33792 bytes smem"""
    assert compiler.read_report(report) == (140, 33792, 20)
    with pytest.raises(RuntimeError, match="no registers"):
        compiler.read_report("ptxas fatal : nothing")


def test_the_table_has_a_row_for_each_kernel(monkeypatch):
    monkeypatch.setattr(command.metadata, "version", lambda _name: "1.2.3")
    monkeypatch.setattr(command, "version_of", lambda _ptxas: "4.5")
    monkeypatch.setattr(command, "find_ptxas", lambda: "ptxas")
    names = ["float32 TN adam", "3xtf32 NT bias", "grid"]
    elsewhere = [case(name, registers=99, shared_bytes=1024, spilled_bytes=8, capability=(12, 0)) for name in names]
    text = command.table([*chain(*zip(map(case, names), elsewhere, strict=True)), case(FLOAT)])
    assert "| registers at 9.0 | registers at 12.0 |" in text
    assert "| float32 | 128 x 128 x 16 | 256 | 64 | 99 | 1.0 | 8 |" in text
    assert "| grid, float32 | 4 x 4 a thread | 128 | 64 | 99 | 1.0 | 8 |" in text
    assert text.count("\n| ") == len(names)
    assert "numba-cuda 1.2.3 and ptxas 4.5" in text


@pytest.mark.parametrize(
    ("arguments", "message"), [(["--capability", "7.5"], "--capability: got '7.5', expected one of 8.0,9.0,12.0")]
)
def test_a_capability_that_is_not_known_is_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(not compiler.missing(), reason="kernels can be compiled here")
def test_where_nothing_can_be_compiled_it_says_so(capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main([])
    assert exit_.value.code == 2
    assert compiler.missing() in capsys.readouterr().err
