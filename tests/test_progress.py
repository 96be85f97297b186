"""The progress bar: drawn on a terminal, silent in a pipe, and without influence on the numbers."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mlp_scratch import MLP

X = np.random.default_rng(0).normal(size=(20, 4))
Y = np.random.default_rng(1).integers(0, 3, 20)

SCRIPT = """
import sys
import numpy as np, mlp_scratch as ms
X, y = np.random.default_rng(0).normal(size=(20, 4)), np.random.default_rng(1).integers(0, 3, 20)
ms.MLP([4, 3]).fit(X, y, epochs=3)
print(sorted({name.split(".")[0] for name in sys.modules} & {"rich"}))
"""


def test_nothing_is_written_in_a_pipe():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    assert done.stdout == b"[]\n"  # not even imported
    assert done.stderr == b""


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_a_bar_is_drawn_on_a_terminal():
    controller, terminal = os.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    while True:
        try:
            block = os.read(controller, 4096)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not block:
            break
        shown += block
    os.close(controller)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output == b"['rich']\n"
    text = shown.decode()
    for word in ("epoch", "%", "loss", "accuracy", "samples/s"):
        assert word in text


@pytest.mark.parametrize("progress", [None, False, True])
def test_the_bar_changes_no_bits(progress, capsys):
    plain, shown = MLP([4, 3]), MLP([4, 3])
    plain.fit(X, Y, epochs=2)
    shown.fit(X, Y, epochs=2, progress=progress)
    assert np.array_equal(plain.flat, shown.flat)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.strip() == ""
