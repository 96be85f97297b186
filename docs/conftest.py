"""Which pages are run as doctests where: `tests/testing/test_docs.py` runs this one, with what is installed."""

collect_ignore = ["testing-gradients.md"]
