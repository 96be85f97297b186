"""The page for readers, run: its examples are the ones that print what it says."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing-gradients.md"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def test_every_example_of_the_page_runs():
    text = PAGE.read_text()
    # Examples of a framework that is not installed are left out, as their readers would.
    for name in ("torch", "jax"):
        if find_spec(name) is None:
            text = re.sub(rf"<!-- needs: {name} -->\n```python\n.*?```\n", "", text, flags=re.DOTALL)
    examples = doctest.DocTestParser().get_doctest(text, {}, PAGE.name, str(PAGE), 0)
    report: list[str] = []
    failed, attempted = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(examples, out=report.append)
    assert attempted > 20
    assert failed == 0, "".join(report)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_the_page_has_an_example_of_each_framework(framework):
    assert f"<!-- needs: {framework} -->" in PAGE.read_text()
