import json
import os
import subprocess
import sys

import numpy as np
import pytest

from mlp_benchmarks import gemm, peaks
from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.floor import Peaks
from mlp_benchmarks.products import LAYOUTS, PRODUCT_CONTENDERS, LoadedProduct, Product

RECORD_KEYS = {
    "m": int,
    "n": int,
    "k": int,
    "dtype": str,
    "threads": int,
    "contender": str,
    "gflops": float,
    "gflops_p10": float,
    "gflops_p90": float,
    "peak_gflops": float,
}
"""The keys that the design promises, with their types."""


@pytest.fixture(autouse=True)
def _given_peaks(monkeypatch):
    monkeypatch.setattr(peaks, "measure_peaks", lambda threads, dtype: (Peaks(100.0, 10.0), []))


def product_run(*more):
    return main(["gemm", "--shape", "5x7x9", "--rounds", "2", "--processes", "1", *more])


@pytest.fixture
def loaded(tmp_path):
    def load(**fields):
        product = Product(m=5, n=7, k=9, **fields)
        product.save(tmp_path / "p.npz")
        return product, LoadedProduct.load(tmp_path / "p.npz")

    return load


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("pad", "offset", "dtype"), [(0, 0, "float32"), (3, 4, "float32"), (1, 8, "float64")])
def test_operands_lie_as_they_are_asked_to(loaded, layout, pad, offset, dtype):
    product, job = loaded(layout=layout, pad=pad, offset=offset, dtype=dtype)
    assert job.a.shape == ((9, 5) if layout == "TN" else (5, 9))
    assert job.b.shape == ((7, 9) if layout == "NT" else (9, 7))
    for array in (job.a, job.b, job.out):
        assert array.dtype == dtype
        assert array.strides == ((array.shape[1] + pad) * array.itemsize, array.itemsize)
        assert array.ctypes.data % 64 == offset
    a, b = job.a.T if layout == "TN" else job.a, job.b.T if layout == "NT" else job.b
    verdict = product.judge(Entry(""), job.error(a @ b))
    assert verdict.fault == ""
    assert 0 <= verdict.gap <= verdict.bound


@pytest.mark.parametrize("change", [1e-5, np.nan, np.inf])
def test_one_wrong_element_is_found(loaded, change):
    product, job = loaded()
    result = job.a @ job.b
    result[3, 2] += change
    assert product.judge(Entry(""), job.error(result)).fault


def test_float32_results_are_refused_in_float64(loaded):
    product, job = loaded(dtype="float64")
    assert product.judge(Entry(""), job.error((job.a @ job.b).astype(np.float32))).fault


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [name for name, entry in PRODUCT_CONTENDERS.items() if entry.device == "cpu"])
def test_each_contender_makes_the_product(loaded, name, layout):
    entry = PRODUCT_CONTENDERS[name]
    if not entry.installed:
        pytest.skip(entry.install)
    from mlp_benchmarks.worker import find

    product, job = loaded(layout=layout, pad=2, offset=4)
    contender = find(entry.path)(job)
    contender.reset()
    assert np.isnan(job.out).all()
    outcome = contender.run(contender.prepare(2))
    assert product.judge(entry, contender.evidence(outcome)).fault == ""


SIMULATED = """
import sys
from pathlib import Path
from mlp_benchmarks.contenders.products import Cuda
from mlp_benchmarks.products import LoadedProduct, Product
for layout in ("NN", "NT", "TN"):
    product = Product(m=20, n=17, k=9, layout=layout, pad=3)
    product.save(Path(sys.argv[1]))
    contender = Cuda(LoadedProduct.load(Path(sys.argv[1])))
    contender.reset()
    assert product.judge(None, contender.evidence(None)).fault
    assert not product.judge(None, contender.evidence(contender.run(1))).fault
"""


def test_our_product_on_a_gpu_that_is_simulated(tmp_path):
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    subprocess.run([sys.executable, "-c", SIMULATED, str(tmp_path / "p.npz")], env=environment, check=True)


def test_json_is_as_promised(tmp_path, capsys):
    file = tmp_path / "g.json"
    assert product_run("--layout", "NT", "--contender", "numba,openblas", "--json", str(file)) == 0
    contents = json.loads(file.read_text())
    assert contents["schema"] == 1
    assert {record["contender"] for record in contents["records"]} == {"numba", "openblas"}
    for record in contents["records"]:
        for key, kind in RECORD_KEYS.items():
            assert type(record[key]) is kind, key
        assert (record["m"], record["n"], record["k"], record["layout"]) == (5, 7, 9, "NT")
        assert record["gflops_p10"] <= record["gflops"] <= record["gflops_p90"]
        assert record["peak_gflops"] == 100.0
        assert record["error"] <= record["error_bound"]
    assert "openblas" in capsys.readouterr().out


def test_a_wrong_product_is_not_timed(monkeypatch, tmp_path, capsys):
    fakes = {"liar": Entry("fake_contenders:WrongProduct"), "openblas": PRODUCT_CONTENDERS["openblas"]}
    monkeypatch.setattr(gemm, "PRODUCT_CONTENDERS", fakes)
    file = tmp_path / "g.json"
    assert product_run("--layout", "NN", "--json", str(file)) == 1
    contents = json.loads(file.read_text())
    assert [record["contender"] for record in contents["records"]] == ["openblas"]
    assert contents["not_timed"][0]["status"] == "wrong"
    assert "wrong: liar: the product differs from the float64 one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "5x7"], "--shape: got '5x7', expected M x N x K"),
        (["--shape", "5x0x7"], "--shape: got '5x0x7'"),
        (["--size", "0"], "--size: got '0', expected whole numbers of at least 1"),
        (["--size", ""], "--size: got '', expected whole numbers of at least 1"),
        (["--shape", ""], "--shape: got '', expected M x N x K"),
        (["--size", "8", "--shape", ""], "--shape: got '', expected M x N x K"),
        (["--layout", "TT"], "--layout: got 'TT', expected one of NN, NT, TN"),
        (["--offset", "3"], "--offset: got 3, expected a multiple of 4"),
        (["--lda", "-1"], "--lda: got -1, expected an integer of at least 0"),
        (["--threads", "9999"], "--threads: got 9999"),
        (["--dtype", "float16"], "'float16' is not one of"),
    ],
)
def test_bad_usage_is_one_line(capsys, arguments, message):
    assert main(["gemm", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
