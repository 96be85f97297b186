"""Imports point one way only, proven by walking the syntax trees; and `import mlp_scratch` loads nothing heavy.

Every module of the three packages has a rank, taken from the design's picture. A module may import modules of a
lower rank, and modules of its own rank in its own folder as long as they form no circle. Imports inside functions
count too: they are a way to load late, not a way around the order.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {
    "mlp_scratch": ROOT / "mlp_scratch",
    "mlp_kernels": ROOT / "kernels" / "mlp_kernels",
    "mlp_benchmarks": ROOT / "benchmarks" / "mlp_benchmarks",
}

ORDER: list[set[str]] = [
    {"mlp_kernels"},
    {"mlp_scratch._types", "mlp_scratch.errors", "mlp_scratch.standard_json"},
    {"mlp_scratch.checks"},
    {"mlp_scratch.files", "mlp_scratch.record"},
    {"mlp_scratch.functional", "mlp_scratch.initializers", "mlp_scratch.random", "mlp_scratch.machine",
     "mlp_scratch.derivatives", "mlp_scratch.scalars",
     "mlp_scratch.data"},
    {"mlp_scratch.layers", "mlp_scratch.losses", "mlp_scratch.optimizers"},
    {"mlp_scratch.placing"},
    {"mlp_scratch.model"},
    {"mlp_scratch.program"},
    {"mlp_scratch.backends"},
    {"mlp_scratch.history", "mlp_scratch.interrupts", "mlp_scratch.progress", "mlp_scratch.roundings"},
    {"mlp_scratch.callbacks"},
    {"mlp_scratch.training", "mlp_scratch.samples"},
    {"mlp_scratch.io"},
    {"mlp_scratch.sequential"},
    {"mlp_scratch.mlp"},
    {"mlp_scratch.gradcheck", "mlp_scratch.jobs"},
    {"mlp_scratch.population"},
    {"mlp_scratch.testing"},
    {"mlp_scratch"},  # the package's own __init__, which names what is public
    {"mlp_scratch.cli"},
    {"mlp_benchmarks"},
]  # fmt: skip
"""From what imports nothing to what nothing imports. A folder's name stands for all modules in it."""

RANKS = {name: rank for rank, names in enumerate(ORDER) for name in names}
MAY_USE_KERNELS = ("mlp_kernels", "mlp_scratch.backends", "mlp_benchmarks")
"""The engine knows kernels through its backends; the harness also times them one by one."""
WHOLE = {"mlp_kernels", "mlp_benchmarks"}
"""Packages all of whose modules share one rank; those of `mlp_scratch` each have their own."""

HEAVY = {
    "numba", "llvmlite", "scipy", "rich", "safetensors", "pooch", "matplotlib", "torch", "jax", "keras", "sklearn",
    "click", "tensorflow", "threadpoolctl", "psutil", "cpuinfo", "requests",
}  # fmt: skip


def modules(packages: Mapping[str, Path]) -> dict[str, Path]:
    """Every module's dotted name and file."""
    found = {}
    for package, folder in packages.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, module: str, is_package: bool, known: Mapping[str, object]) -> Iterator[tuple[str, int]]:
    """The names of `known` modules that a source imports, at whatever depth of nesting, with their lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            # `from package import module` imports the module, not only the package.
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names]
        elif isinstance(node, ast.Call) and _is_dynamic_import(node):
            names = [node.args[0].value]
        else:
            continue
        yield from ((name, node.lineno) for name in dict.fromkeys(names) if name.split(".")[0] in SOURCES)


def _is_dynamic_import(node: ast.Call) -> bool:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return (
        called in ("import_module", "__import__")
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    )


def rank(module: str) -> int | None:
    """The module's rank; None for one that the table does not know."""
    parts = module.split(".")
    if parts[0] in WHOLE or len(parts) == 1:
        return RANKS.get(parts[0])
    return RANKS.get(".".join(parts[:2]))


def problems(sources: Mapping[str, tuple[str, bool]]) -> list[str]:
    """What is wrong with the imports of `sources`: name -> (text, whether it is a package's __init__)."""
    wrong = []
    graph: dict[str, set[str]] = {}
    for module, (text, is_package) in sources.items():
        own = rank(module)
        if own is None:
            wrong.append(f"{module} has no rank: give it a place in ORDER")
            continue
        graph[module] = set()
        for name, line in imported(text, module, is_package, sources):
            other = rank(name)
            if name not in sources:
                wrong.append(f"{module}:{line} imports {name}, which does not exist")
            elif other is None:
                continue  # reported as having no rank
            elif name.startswith("mlp_kernels") and not module.startswith(MAY_USE_KERNELS):
                wrong.append(f"{module}:{line} imports {name}: in mlp_scratch only backends may")
            elif other > own:
                wrong.append(f"{module}:{line} imports {name}, which stands above it")
            elif other == own and module.split(".")[:2] != name.split(".")[:2] and module.split(".")[0] not in WHOLE:
                wrong.append(f"{module}:{line} imports {name}, which stands beside it")
            elif name != module:
                graph[module].add(name)
    return wrong + [f"circle: {' -> '.join(circle)}" for circle in circles(graph)]


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """One circle of imports for each module from which one is reached first; none if there is none."""
    done: set[str] = set()
    found: list[list[str]] = []

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
            return
        if module in done:
            return
        for name in sorted(graph.get(module, ())):
            # A module of a package that imports the package's own __init__ for a name is a circle as well.
            visit(name, [*path, module])
        done.add(module)

    for module in sorted(graph):
        visit(module, [])
    return found


def test_imports_point_one_way():
    files = modules(SOURCES)
    assert len(files) > 40, "the packages were not found"
    sources = {name: (path.read_text(encoding="utf-8"), path.name == "__init__.py") for name, path in files.items()}
    assert problems(sources) == []


def test_every_rank_is_used():
    """A row for a module that is gone would hide a misspelt one."""
    names = modules(SOURCES)
    assert [row for row in RANKS if row not in names] == []


GOOD = {
    "mlp_scratch": ("from mlp_scratch.sequential import load as load", True),
    "mlp_scratch.errors": ("import numpy", False),
    "mlp_scratch.checks": ("from mlp_scratch import errors", False),
    "mlp_scratch.layers": ("from mlp_scratch.layers.dense import Dense", True),
    "mlp_scratch.layers.base": ("from mlp_scratch.checks import real", False),
    "mlp_scratch.layers.dense": ("from .base import Layer", False),
    "mlp_scratch.losses": ("", True),
    "mlp_scratch.model": ("import mlp_scratch.layers", False),
    "mlp_scratch.backends": ("", True),
    "mlp_scratch.backends.numba": ("def run():\n    from mlp_kernels.cpu import gemm", False),
    "mlp_scratch.sequential": ("from mlp_scratch.model import Model", False),
    "mlp_kernels": ("", True),
    "mlp_kernels.cpu": ("import numba", True),
    "mlp_benchmarks": ("import mlp_scratch as ms", True),
}


def test_the_check_accepts_a_tree_that_is_right():
    assert problems(GOOD) == []


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("mlp_scratch.checks", "from mlp_scratch.model import Model", "stands above it"),
        ("mlp_scratch.checks", "def late():\n    import mlp_scratch.model", "mlp_scratch.checks:2 imports"),
        ("mlp_scratch.checks", "from mlp_scratch import model", "imports mlp_scratch.model, which stands above it"),
        ("mlp_scratch.checks", "from . import model", "imports mlp_scratch.model, which stands above it"),
        ("mlp_scratch.checks", "from mlp_scratch import load", "imports mlp_scratch, which stands above it"),
        ("mlp_scratch.checks", "if TYPE_CHECKING:\n    from mlp_scratch.model import Model", "stands above it"),
        ("mlp_scratch.checks", "import_module('mlp_scratch.model')", "stands above it"),
        ("mlp_scratch.layers.base", "from ..model import Model", "stands above it"),
        ("mlp_scratch.layers.base", "from mlp_scratch.losses import MSE", "stands beside it"),
        ("mlp_scratch.layers.base", "from mlp_scratch.layers.dense import Dense", "circle"),
        ("mlp_scratch.layers.base", "from mlp_scratch.layers import Dense", "circle"),
        ("mlp_scratch.model", "from mlp_kernels.cpu import gemm", "in mlp_scratch only backends may"),
        ("mlp_kernels.cpu", "import mlp_scratch.errors", "stands above it"),
        ("mlp_scratch.sequential", "import mlp_benchmarks", "stands above it"),
        ("mlp_scratch.sequential", "import mlp_scratch.modle", "does not exist"),
        ("mlp_scratch.novelty", "", "has no rank"),
    ],
)
def test_the_check_catches(module, text, complaint):
    wrong = problems(GOOD | {module: (text, module.endswith((".cpu", "_benchmarks")))})
    assert len(wrong) == 1
    assert complaint in wrong[0]


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in a fresh interpreter after `statement`."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(output.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import mlp_scratch") & HEAVY == set()


def test_the_check_for_heavy_packages_sees_one():
    assert "scipy" in loaded_by("import mlp_scratch, scipy") & HEAVY
