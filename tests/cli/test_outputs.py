"""The files that commands write."""

import errno
import json
import math
import os

import numpy as np
import pytest

import mlp_scratch as ms
from mlp_scratch.cli.outputs import check_outputs, write_json
from mlp_scratch.cli.predict import Predictions
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


@pytest.fixture
def no_new_files(tmp_path, monkeypatch):
    """The folder takes no new file, and who runs the tests may be root, whom permissions don't keep from it."""
    real = os.open

    def refusing(path, flags, *args, **options):
        if flags & os.O_CREAT and not os.path.exists(path) and os.path.dirname(path) == str(tmp_path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refusing)


class TestFolderWithoutRoom:
    """A file that can be written in a folder that takes no other, where the file can't be replaced."""

    @pytest.fixture
    def path(self, tmp_path, no_new_files):
        path = tmp_path / "m.st"
        path.write_bytes(b"kept")
        return path

    def test_is_refused_before_the_work(self, path):
        with pytest.raises(
            ArgumentError, match=r"out: got '.*m\.st' \(Permission denied\), expected a file that can be"
        ):
            check_outputs({"out": str(path)})
        assert path.read_bytes() == b"kept"

    def test_is_refused_by_a_checkpoint_before_the_first_step(self, path):
        model = ms.MLP([2, 2])
        with pytest.raises(PermissionError, match=r"Permission denied: '.*m\.st'"):
            model.fit(np.eye(2), [0, 1], callbacks=[ms.Checkpoint(path)])
        assert model.training is None
        assert path.read_bytes() == b"kept"


def write_history(path):
    ms.History(losses=np.zeros(1000), accuracies=np.zeros(1000)).to_json(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("run.json", lambda path: write_json(path, {"losses": [0.0] * 1000})),
        ("history.json", write_history),
        ("p.csv", Predictions(np.zeros(1000), None, ()).write),
        ("p.npz", Predictions(np.zeros(1000), None, ()).write),
    ],
)
def test_a_disk_that_fills_up_leaves_the_old_file(name, write, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text("kept")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=rf"No space left on device: '.*{name}'"):
        write(str(path))
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]


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
