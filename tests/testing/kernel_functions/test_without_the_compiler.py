"""The same functions with NUMBA_DISABLE_JIT=1, as the Python that they are written in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.kernel_calls import PLAIN


@pytest.mark.skipif(PLAIN, reason="this is that process")
def test_the_same_holds_without_the_compiler():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout
