"""Compilation in processes of its own: what it leaves on disk is found, and nobody has to wait for it."""

import multiprocessing
import subprocess
import sys
from functools import partial
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from mlp_kernels.cpu import elsewhere, loop_code
from mlp_kernels.cpu.compilers import Abandoned, unless
from mlp_kernels.cpu.features import panel_tile
from mlp_kernels.cpu.training_loop import train


@pytest.fixture
def started(monkeypatch):
    """The processes that are started."""
    processes, start = [], subprocess.Popen

    def noting(*arguments, **named):
        processes.append(start(*arguments, **named))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", noting)
    return processes


def test_jobs_are_done_once_they_are_waited_for(tmp_path, started):
    with elsewhere.elsewhere([partial(Path.touch, tmp_path / name) for name in "ab"]) as wait:
        wait()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert [process.returncode for process in started] == [0, 0]


def test_a_process_finds_what_this_one_can_import(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("from pathlib import Path\ndef job(path):\n    Path(path).touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    from only_here import job

    with elsewhere.elsewhere([partial(job, tmp_path / "done")]) as wait:
        wait()
    assert (tmp_path / "done").exists()


def test_a_job_that_fails_is_left_to_whoever_wants_it(started, capfd):
    with elsewhere.elsewhere([partial(int, "no number")]) as wait:
        wait()
    assert started[0].returncode == 1
    assert capfd.readouterr() == ("", "")


def test_a_process_ends_with_the_block(started):
    with elsewhere.elsewhere([partial(sleep, 1000)]):
        assert started[0].poll() is None
    assert started[0].poll() is not None


def test_the_wait_is_given_up_where_nobody_wants_it_any_more(started):
    asked = []
    with elsewhere.elsewhere([partial(sleep, 1000)]) as wait, unless(lambda: asked.append(1) or len(asked) == 3):
        with pytest.raises(Abandoned):
            wait()
        assert started[0].poll() is None
    assert started[0].poll() is not None


@pytest.mark.parametrize("why", ["no Python", "unknown", "frozen", "one of many", "missing", "refused"])
def test_no_process_where_none_may_be_started(why, tmp_path, monkeypatch):
    if why == "no Python":
        (tmp_path / "server").symlink_to(sys.executable)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "server"))
    elif why == "unknown":
        monkeypatch.setattr(sys, "executable", None)
    elif why == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    elif why == "one of many":
        monkeypatch.setattr(multiprocessing, "parent_process", lambda: "a pool")
    elif why == "missing":
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    else:

        def refuse(*_arguments, **_named):
            raise PermissionError

        monkeypatch.setattr(subprocess, "Popen", refuse)
    with elsewhere.elsewhere([partial(Path.touch, tmp_path / "done")]) as wait:
        wait()
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_loop_is_compiled_for_what_it_is_called_with(dtype):
    """Else a first fit would compile it twice."""
    import mlp_scratch as ms

    tile, X = panel_tile(np.dtype(dtype)), np.ones((10, 3))
    for shuffle in True, False:
        model = ms.MLP([3, 4, 2], dtype=dtype)
        model.fit(X, np.arange(10) % 2, epochs=1, shuffle=shuffle, backend="numba", progress=False)
    model.loss_and_gradients(X, np.arange(10) % 2, backend="numba")
    (kinds,) = (kinds for kinds in train.signatures if getattr(kinds[0], "value", None) == tile)
    assert kinds == loop_code.loop_types(tile)


@pytest.mark.parametrize(("cores", "on_disk", "expected"), [(2, False, 2), (1, False, 0), (2, True, 0)])
def test_the_ways_of_a_step_are_compiled_elsewhere_where_there_is_a_core_for_it(cores, on_disk, expected, monkeypatch):
    jobs = []
    monkeypatch.setattr(loop_code, "_known", {})
    monkeypatch.setattr(loop_code, "is_on_disk", lambda *_: on_disk)
    monkeypatch.setattr(elsewhere, "_start", jobs.append)
    tile = panel_tile(np.dtype("float32"))
    for _ in range(2):  # once
        with loop_code.loop_code(tile, cores) as ways:
            assert all(ways())
    wanted = [(loop_code.forward_address, (tile,)), (loop_code.backward_address, (tile,))]
    assert [(job.func, job.args) for job in jobs] == wanted[:expected]
