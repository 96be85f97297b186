"""How a change gets into a process whose modules are loaded: the function's code is replaced, the function stays.

So whatever holds the function - a class, a table, a kernel that is not compiled yet - runs the changed code.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from tests.testing.mutation.mutants import ROOT, Mutant

FOLDERS = ("kernels/", "benchmarks/", "")
"""Where packages lie."""

PROJECT = ("mlp_scratch", "mlp_kernels", "tests", "conftest", "kernels", "docs", "test_")


def module_name(file: str) -> str:
    """The module that a file is.

    >>> module_name("kernels/mlp_kernels/cpu/naive.py"), module_name("mlp_scratch/layers/__init__.py")
    ('mlp_kernels.cpu.naive', 'mlp_scratch.layers')
    """
    folder = next(folder for folder in FOLDERS if file.startswith(folder))
    return file.removeprefix(folder).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def swap(mutant: Mutant) -> None:
    """Change the function of this process that `mutant` changes."""
    module = importlib.import_module(module_name(mutant.file))
    code: Any = compile(mutant.source, str(ROOT / mutant.file), "exec")
    target: Any = module
    for part in mutant.function.split("."):
        code = next(const for const in code.co_consts if isinstance(const, CodeType) and const.co_name == part)
        target = vars(target)[part]
    plain_function(target).__code__ = code
    if (caching := sys.modules.get("mlp_kernels.cpu.caching")) is not None:
        caching.KernelCache._load_overload = lambda *_: None  # what is on disk was compiled from the unchanged code
        caching.KernelCache._save_overload = lambda *_: None
    for module in list(sys.modules.values()):
        if module.__name__.startswith(("mlp_scratch", "mlp_kernels")):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def load_the_compiler() -> None:
    """Load what Numba loads for its first compilation, of nothing of this project, so that a fork needn't."""
    from numba import njit

    njit(lambda x: x + x.sum())(np.zeros(1))


def plain_function(thing: Any) -> FunctionType:
    """The function within a property, a static method, a cache or a compiled kernel."""
    while not isinstance(thing, FunctionType):
        inner = (getattr(thing, name, None) for name in ("py_func", "fget", "__func__", "__wrapped__"))
        thing = next(function for function in inner if function is not None)
    return getattr(thing, "__wrapped__", thing)


class Replacing(MetaPathFinder, SourceLoader):
    """Imports one module from another text than that of its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.name = module_name(mutant.file)
        self.path = str(ROOT / mutant.file)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Of the one module."""
        if fullname != self.name:
            return None
        places = [str(Path(self.path).parent)] if self.path.endswith("__init__.py") else None
        return spec_from_file_location(fullname, self.path, loader=self, submodule_search_locations=places)

    def get_filename(self, fullname: str) -> str:
        """The file whose text is replaced."""
        return self.path

    def get_data(self, path: str | bytes) -> bytes:
        """The text after the change; there is no cache of compiled code."""
        if path != self.path:
            raise OSError(path)
        return self.mutant.source.encode()


def take_place(mutant: Mutant) -> None:
    """Forget everything of this project that was imported, and import the changed module from now on."""
    for name in list(sys.modules):
        if name.startswith(PROJECT) and not name.startswith("tests.testing.mutation"):
            del sys.modules[name]
    sys.meta_path.insert(0, Replacing(mutant))
