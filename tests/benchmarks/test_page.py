import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from html.parser import HTMLParser

import pytest

from mlp_benchmarks.cli import main
from mlp_benchmarks.contenders import Entry
from mlp_benchmarks.lanes import Lane
from mlp_benchmarks.page import write_page
from mlp_benchmarks.page.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Plot, diverging
from mlp_benchmarks.page.training import roofline
from mlp_benchmarks.records import Report, make_records

MACHINE = {
    "cpu": {"model": "A <CPU> & more", "simd": "AVX2+FMA", "caches": {"l3": 1000}, "cores": {"usable": 2}},
    "versions": {"python": "3.11"},
    "threads": [1, 2],
    "peaks": {count: {"gflops": 100.0, "gbytes_per_second": 10.0} for count in ("1", "2")},
    "no_peaks": "",
}
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def records(digits):
    lanes = [
        Lane(
            name, Entry(""), status="timed", steps=10, seconds=[[time, 1.1 * time], [time, time]], gap=1e-7, bound=1e-5
        )
        for name, time in (("numba", 1e-4), ("control", 1.01e-4), ("torch", 4e-3), ("jax-scan", 8e-5))
    ]
    found = make_records(digits, lanes, MACHINE)
    found += [replace(record, optimizer="adam") for record in found]
    return found + [replace(record, threads=2) for record in found]


@pytest.fixture
def folder(records, tmp_path):
    """All the records that a page can be made of."""
    Report(MACHINE, records).write(tmp_path / "compare.json")
    grown = [replace(record, case=f"width-{width}") for record in records for width in (8, 64)]
    Report(MACHINE, grown).write(tmp_path / "scaling.json")
    product = {"m": 8, "n": 8, "k": 8, "layout": "NN", "threads": 1, "gflops": 50.0, "peak_gflops": 100.0}
    rows = {
        **{
            file: [product | {"dtype": dtype, "contender": name} for name in ("numba", "openblas")]
            for file, dtype in (("gemm", "float32"), ("gemm-float64", "float64"))
        },
        "costs": [{"what": "start", "contender": "numba", "cold_s": 1.5}, {"what": "predict", "contender": "torch"}],
        "population": [{"contender": "jax", "median_s": 2.0}],
    }
    for name, own in rows.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"schema": 1, "machine": MACHINE, "records": own}))
    return tmp_path


@pytest.fixture
def page(folder):
    file = folder / "page.html"
    assert main(["page", str(folder), "--out", str(file)]) == 0
    return file


def test_it_is_well_formed(page):
    _, html = page.read_text(encoding="utf-8").split("<!DOCTYPE html>\n")
    tree = ET.fromstring(html.replace("&nbsp;", " ").replace("<p class=caption>", "<p>"))
    assert tree.tag == "html"
    drawings = [element for element in tree.iter() if element.tag.endswith("svg")]
    assert len(drawings) >= 8  # floor and roofline for each number of threads, two of growth, two of products
    for drawing in drawings:
        for element in drawing.iter():
            for value in element.attrib.values():
                assert "nan" not in value
                assert "inf" not in value


def test_it_needs_no_network(page):
    class Links(HTMLParser):
        found: list = []  # noqa: RUF012

        def handle_starttag(self, tag, attributes):
            self.found += [value for name, value in attributes if name in ("src", "href")]
            assert tag not in ("script", "link", "img", "iframe")

    parser = Links()
    parser.feed(page.read_text(encoding="utf-8"))
    assert parser.found == []
    assert "url(" not in page.read_text(encoding="utf-8")


def test_it_says_what_was_measured(page):
    text = page.read_text(encoding="utf-8")
    for words in (
        "A &lt;CPU&gt; &amp; more",
        "1 thread",
        "2 threads",
        "torch",
        "jax-scan",
        "Matrix products",
        "float32, NN, 1 thread",
        "float64, NN, 1 thread",
        "Starting",
    ):
        assert words in text


def test_compare_writes_one_too(records, tmp_path):
    write_page(tmp_path / "p.html", Report(MACHINE, records))
    assert "How fast is a framework" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_nothing_measured_is_a_page_as_well(tmp_path):
    write_page(tmp_path / "p.html", Report(MACHINE))
    assert "<h1>" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_growth_of_one_value_is_a_page(records, tmp_path):
    Report(MACHINE, records).write(tmp_path / "compare.json")
    Report(MACHINE, [replace(record, case="batch-1") for record in records], interrupted=True).write(
        tmp_path / "scaling.json"
    )
    assert main(["page", str(tmp_path), "--out", str(tmp_path / "p.html")]) == 0


def test_without_a_comparison_there_is_no_page(tmp_path, capsys):
    assert main(["page", str(tmp_path), "--out", str(tmp_path / "p.html")]) == 2
    assert "compare.json" in capsys.readouterr().err


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_it(page, tmp_path):
    picture = tmp_path / "page.png"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,1600"]
    subprocess.run([*command, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True, timeout=120)
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[:2] == (1600, 1100)
    # Drawn, and over the whole page: each quarter of it has something on its background, and the heat map is red.
    background = pixels[0, 0]
    for part in range(4):
        assert (pixels[part * 400 : (part + 1) * 400] != background).any(axis=2).mean() > 0.005
    red, green, blue = (pixels[:, :, i] for i in range(3))
    assert ((red > green + 0.3) & (red > blue + 0.3)).sum() > 500


def test_axes():
    axis = Axis.around("time", [0.041, 9000.0])
    assert axis.low <= 0.041 < 9000 <= axis.high
    assert axis.share(axis.low) == 0
    assert axis.share(axis.high) == pytest.approx(1)
    assert axis.ticks == sorted(axis.ticks)
    assert 3 <= len(axis.ticks) <= 12


@pytest.mark.parametrize("bandwidth", [0.1, 10.0, 100_000.0])
def test_the_roof_has_a_ridge_inside_the_plot(records, bandwidth):
    figure = ET.fromstring(roofline(records, {"gflops": 100.0, "gbytes_per_second": bandwidth}))
    (roof,) = [each for each in figure.iter() if each.tag.endswith("polyline")]
    (x1, y1), (x2, y2), (x3, y3) = (map(float, place.split(",")) for place in roof.get("points").split())
    assert LEFT <= x1 <= x2 <= x3 <= WIDTH - RIGHT
    assert HEIGHT - BOTTOM >= y1 >= y2 == y3 >= TOP  # downwards


@pytest.mark.parametrize("value", [1.0, 2.0, 5.0, 1024.0])
def test_a_single_value_has_an_axis(value):
    axis = Axis.around("batch", [value])
    assert axis.low < axis.high
    assert 0 <= axis.share(value) <= 1


def test_points_lie_where_they_belong():
    plot = Plot(Axis("x", 1, 100), Axis("y", 1, 100), "t")
    (left, bottom), (right, top), (middle, center) = plot.place(1, 1), plot.place(100, 100), plot.place(10, 10)
    assert left < right
    assert top < bottom
    assert (middle, center) == pytest.approx(((left + right) / 2, (top + bottom) / 2))


def test_colours_tell_slower_from_faster():
    assert diverging(1.0) == "rgb(255,255,255)"
    assert diverging(10.0) == diverging(1000.0) != diverging(0.1)


def test_records_survive_as_dictionaries(records):
    assert asdict(records[0])["contender"] in {"jax-scan", "numba"}
