"""The files that commands write."""

import json
import math
import os

import pytest

from mlp_scratch.cli.outputs import check_outputs, write_json
from mlp_scratch.errors import ArgumentError


def test_nothing_that_json_lacks_is_written_or_hidden(tmp_path):
    path = tmp_path / "record.json"
    write_json(str(path), {"loss": math.nan, "steps": [math.inf, -math.inf, 0.1]})

    def refuse(constant):
        raise AssertionError(constant)

    record = json.loads(path.read_text(), parse_constant=refuse)
    assert record == {"loss": "NaN", "steps": ["Infinity", "-Infinity", 0.1]}


def test_a_file_that_exists_is_left_as_it_is_until_it_is_written(tmp_path):
    path = tmp_path / "old"
    path.write_text("kept")
    check_outputs({"out": str(path), "plot": None})
    assert path.read_text() == "kept"


class TestLinks:
    """A link to a file that is not there yet."""

    @pytest.fixture
    def link(self, tmp_path):
        link = tmp_path / "link.json"
        link.symlink_to(tmp_path / "absent.json")
        return link

    def test_is_left_as_it_is(self, link):
        check_outputs({"json": str(link)})
        assert link.is_symlink()
        assert not link.exists()

    def test_is_no_other_file_than_what_it_leads_to(self, link):
        with pytest.raises(ArgumentError, match=r"json: got '.*link\.json', expected a file of its own"):
            check_outputs({"out": str(link.with_name("absent.json")), "json": str(link)})

    def test_to_itself_is_refused(self, tmp_path):
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(ArgumentError, match=r"out: got '.*loop' \(.*\), expected a file that can be written"):
            check_outputs({"out": str(tmp_path / "loop")})


def test_a_way_through_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ArgumentError, match="No such file"):
        check_outputs({"out": str(tmp_path / "missing" / ".." / "m")})


def test_devices_are_refused():
    """Saving replaces a file: a device would be gone."""
    with pytest.raises(ArgumentError, match="not a regular file"):
        check_outputs({"out": os.devnull})
