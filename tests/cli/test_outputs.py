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


def test_devices_are_refused():
    """Saving replaces a file: a device would be gone."""
    with pytest.raises(ArgumentError, match="not a regular file"):
        check_outputs({"out": os.devnull})
