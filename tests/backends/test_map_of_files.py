"""The map of the files in `docs/cpu-backend.md` is one of this code."""

import re
from importlib import import_module
from inspect import getsource
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "cpu-backend.md"
NAME = re.compile(r"\b([a-z_]+)\.([A-Za-z_.]*\w)(\*?)")


def lines_of_the_map():
    return DOCUMENT.read_text().split("## A map of the files")[1].split("```")[1].splitlines()


def module(name):
    return import_module(f"mlp_scratch.backends.{name}" if name.startswith("numba") else f"mlp_kernels.cpu.{name}")


def test_what_the_map_names_is_there():
    names = [match for line in lines_of_the_map() for match in NAME.findall(line)]
    assert len(names) > 40
    for file, name, _ in names:
        assert attrgetter(name)(module(file)), f"{file}.{name}"


def test_an_arrow_leads_from_a_file_to_what_it_calls():
    """But where it calls that through an address of the tables."""
    arrows = 0
    for line in lines_of_the_map():
        parts = [NAME.findall(part) for part in line.split(" -> ")]
        for callers, called in pairwise(parts):
            code = "".join(getsource(module(file)) for file, *_ in callers)
            for file, name, by_address in called:
                assert by_address or re.search(rf"\b{name.split('.')[-1]}\b", code), f"{file}.{name}: {line}"
                arrows += 1
    assert arrows > 20
