"""What the compiler makes of every production kernel: no float64 in float32, no local memory, the right instructions.

Skipped where numba-cuda with its NVVM is not installed; registers and spills are checked where there is a `ptxas`.
"""

import json
import subprocess
import sys

import pytest

from mlp_kernels.cuda import assembly
from mlp_kernels.cuda.assembly import COUNTED, Listing
from mlp_kernels.cuda.gemm import TILES, Tile

COMMAND = [sys.executable, "-m", "mlp_kernels.cuda.assembly", "--json", "-"]
REGISTERS = 65536
"""Of a multiprocessor, for all threads that it runs at once."""


def tile_of(listing: Listing) -> Tile:
    rows, columns, depth = map(int, listing.block.split(" x "))
    precision = "float32" if listing.name == "register tile" else listing.name
    return next(t for t in TILES[precision] if (t.rows, t.columns, t.depth) == (rows, columns, depth))


def problems(listing: Listing) -> list[str]:
    """What is wrong with a compiled kernel."""
    n, wrong = listing.counts, []

    def need(good: bool, what: str) -> None:
        if not good:
            wrong.append(f"{listing.name} {listing.layout} {listing.block} aligned={listing.aligned}: {what}, got {n}")

    need(n["local"] == 0, "expected no local memory")
    need(n["call"] == 0, "expected every function inlined")
    is_double = listing.name == "float64"
    need(is_double or n["float64"] == 0, "expected no float64")
    fused = n["fma.f64" if is_double else "fma.f32"]
    if listing.name in ("naive", "coalesced"):
        need(fused >= 1, "expected fused multiply-adds")
    elif listing.name == "shared tile":
        need(fused == 32, "expected one fused multiply-add for each step of the tile")
    else:
        tile = tile_of(listing)
        has_epilogue_with_fma = listing.layout == "TN" and listing.name != "register tile"  # Adam's
        if listing.name in ("tf32", "3xtf32", "bf16"):
            kind, other = ("bf16", "tf32") if listing.name == "bf16" else ("tf32", "bf16")
            each = tile.warp_rows // 16 * (tile.warp_columns // 8) * (3 if listing.name == "3xtf32" else 1)
            need(n[f"mma.{kind}"] > 0 and n[f"mma.{kind}"] % each == 0, f"expected a multiple of {each} mma.{kind}")
            need(n[f"mma.{other}"] == 0, f"expected no mma.{other}")
            need(has_epilogue_with_fma or fused == 0, "expected no other multiply-adds")
        else:
            each = tile.lane_rows * tile.lane_columns
            need(fused >= each, f"expected at least {each} fused multiply-adds")
            need(has_epilogue_with_fma or fused % each == 0, f"expected a multiple of {each} fused multiply-adds")
            reads = (tile.lane_rows + tile.lane_columns) // (2 if is_double else 4)
            # Each read of a step of K serves all multiply-adds of the step.
            steps = max(1, fused // each) if not has_epilogue_with_fma else 1
            need(n["load.shared.128"] >= reads * steps, f"expected {reads} reads of 128 bits a step")
            need(not listing.aligned or n["store.global.128"] > 0, "expected stores of 128 bits")
        if listing.name == "register tile":
            need(n["load.global.128"] > 0, "expected loads of 128 bits")
            need(n["copy.128"] == n["copy.single"] == 0, "expected no asynchronous copies")
        else:
            whole = listing.aligned and (listing.layout != "NT" or "mma" in _kind(listing))
            need(not whole or n["copy.128"] > 0, "expected asynchronous copies of 128 bits")
            need(listing.aligned or n["copy.128"] == 0, "expected no copies of 128 bits to places that are not aligned")
            need(n["copy.128"] + n["copy.single"] > 0, "expected asynchronous copies")
    if listing.registers is not None:
        need(listing.spilled_bytes == 0, f"expected no spills, got {listing.spilled_bytes} bytes")
        need(listing.registers * listing.threads <= REGISTERS, f"too many registers: {listing.registers}")
        need(listing.shared_bytes <= 48 * 1024, f"too much shared memory: {listing.shared_bytes}")
    return wrong


def _kind(listing):
    return "mma" if listing.name in ("tf32", "3xtf32", "bf16") else "fma"


@pytest.mark.skipif(bool(assembly.missing()), reason=assembly.missing() or "compiles")
@pytest.mark.parametrize("capability", ["8.0", "9.0", "12.0"])
def test_every_production_kernel(capability):
    """In a process of its own: it tells Numba that there is a GPU of this kind."""
    command = [*COMMAND, "--capability", capability]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listings = [Listing(**one) for one in json.loads(done.stdout)["listings"]]
    assert len(listings) == len(list(assembly.configurations()))
    assert {one.capability for one in listings} == {capability}
    assert [problem for one in listings for problem in problems(one)] == []
    if assembly.find_ptxas():
        assert all(one.registers for one in listings)


NONE = dict.fromkeys(COUNTED, 0)
GOOD = {
    "float32": Listing(
        "float32", "NN", "128 x 128 x 16", 256, True, "9.0",
        NONE | {"fma.f32": 64, "load.shared.128": 4, "store.global.128": 16, "copy.128": 4, "copy.single": 16},
        140, 33000, 0,
    ),
    "3xtf32": Listing(
        "3xtf32", "NT", "128 x 128 x 16", 256, True, "9.0",
        NONE | {"mma.tf32": 48, "copy.128": 8}, 140, 33000, 0,
    ),
    "register tile": Listing(
        "register tile", "NN", "128 x 128 x 16", 256, True, "9.0",
        NONE | {"fma.f32": 64, "load.shared.128": 4, "store.global.128": 16, "load.global.128": 4},
        140, 33000, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_good_listing_has_no_problems(name):
    assert problems(GOOD[name]) == []


@pytest.mark.parametrize(
    ("name", "counts", "complaint"),
    [
        ("float32", {"local": 1}, "no local memory"),
        ("float32", {"call": 1}, "inlined"),
        ("float32", {"float64": 2}, "no float64"),
        ("float32", {"fma.f32": 65}, "a multiple of 64"),
        ("float32", {"fma.f32": 0}, "at least 64"),
        ("float32", {"load.shared.128": 3}, "4 reads of 128 bits"),
        ("float32", {"store.global.128": 0}, "stores of 128 bits"),
        ("float32", {"copy.128": 0}, "asynchronous copies of 128 bits"),
        ("3xtf32", {"mma.tf32": 16}, "a multiple of 48 mma.tf32"),
        ("3xtf32", {"mma.bf16": 48}, "no mma.bf16"),
        ("3xtf32", {"fma.f32": 1}, "no other multiply-adds"),
        ("register tile", {"load.global.128": 0}, "loads of 128 bits"),
        ("register tile", {"copy.single": 1}, "no asynchronous copies"),
    ],
)
def test_a_bad_listing_is_found(name, counts, complaint):
    good = GOOD[name]
    bad = Listing(**{f: getattr(good, f) for f in good.__slots__} | {"counts": good.counts | counts})
    assert any(complaint in problem for problem in problems(bad))


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [("spilled_bytes", 8, "spills"), ("registers", 300, "too many registers"), ("shared_bytes", 50000, "too much")],
)
def test_bad_resources_are_found(field, value, complaint):
    good = GOOD["float32"]
    bad = Listing(**{f: getattr(good, f) for f in good.__slots__} | {field: value})
    assert any(complaint in problem for problem in problems(bad))


PTX = """
.visible .entry f(.param .u64 a)
{
	.reg .f32 %f<9>;
	ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];
	ld.global.v2.f64 {%fd1, %fd2}, [%rd1];
	ld.global.f32 %f1, [%rd1];
	st.shared.v4.f32 [%rd1], {%f1, %f2, %f3, %f4};
	ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%rd1];
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
        "fma.f32": 1, "fma.f64": 1, "mma.tf32": 1, "load.global.128": 2, "load.shared.128": 1,
        "copy.128": 1, "copy.single": 1, "float64": 2, "local": 1, "call": 1,
    }  # fmt: skip
    assert assembly.count(PTX) == expected


def test_a_report_of_ptxas_is_read():
    report = """ptxas info    : 0 bytes gmem
    ptxas info    : Function properties for f
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
    ptxas info    : Used 140 registers, used 1 barriers, 16 bytes cumulative stack size, 33792 bytes smem"""
    assert assembly.read_report(report) == (140, 33792, 20)
    with pytest.raises(RuntimeError, match="no registers"):
        assembly.read_report("ptxas fatal : nothing")


def test_the_table_has_a_row_for_each_kernel(monkeypatch):
    monkeypatch.setattr(assembly.metadata, "version", lambda _name: "1.2.3")
    monkeypatch.setattr(assembly, "_ptxas_version", lambda: "ptxas 4.5")
    elsewhere = Listing(*(getattr(GOOD["float32"], f) for f in Listing.__slots__[:5]), "12.0", NONE, 99, 1024, 8)
    text = assembly.table([*GOOD.values(), elsewhere])
    assert "| registers at 9.0 | registers at 12.0 |" in text
    assert "| float32 | 128 x 128 x 16 | 256 | 140 | 99 | 32.2 | 8 |" in text
    assert text.count("\n| ") == len(GOOD)
    assert "numba-cuda 1.2.3 and ptxas 4.5" in text


@pytest.mark.skipif(not assembly.missing(), reason="kernels can be compiled here")
def test_where_nothing_can_be_compiled_it_says_so(capsys):
    with pytest.raises(SystemExit) as exit_:
        assembly.main([])
    assert exit_.value.code == 2
    assert assembly.missing() in capsys.readouterr().err
