"""What is mutated, in which order, and which tests look."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.testing.mutation.mutants import ROOT, Mutant, mutants_of

ENGINE = {
    "gradient code": (
        "mlp_scratch/layers/*.py",
        "mlp_scratch/losses/*.py",
        "mlp_scratch/optimizers/*.py",
        "mlp_scratch/functional.py",
    ),
    "rest of the engine": (
        "mlp_scratch/initializers.py",
        "mlp_scratch/random.py",
        "mlp_scratch/derivatives.py",
        "mlp_scratch/gradcheck.py",
    ),
}
"""Patterns of files by the group that the report counts them in."""

ENGINE_TESTS = (
    "tests/testing/test_tables.py",
    "tests/testing/test_survivors.py",
    "tests/layers",
    "tests/losses",
    "tests/optimizers",
    "tests/testing/test_layers.py",
    "tests/testing/test_losses.py",
    "tests/testing/test_optimizers.py",
    "tests/testing/test_models.py",
    "tests/test_functional.py",
    "tests/test_random.py",
    "tests/test_initializers.py",
    "tests/test_derivatives.py",
    "tests/test_gradcheck.py",
    "tests/test_wrong_gradients.py",
    "tests/test_bad_input.py",
    "tests/test_bad_objects.py",
)
"""No docstrings: pytest can run the examples of one only once."""
MORE_TESTS = (
    "tests/test_torch_parity.py",
    "tests/test_model.py",
    "tests/test_population.py",
    "tests/test_training.py",
    "tests/io",
    "tests/cli",
    "tests/backends",
    "tests/testing/test_backends.py",
    "tests/testing/test_seeded_faults.py",
)


@dataclass(frozen=True)
class Stage:
    """One pass over mutants.

    Attributes:
        name: what it is called on the command line.
        groups: patterns of files to mutate, by group.
        tests: what pytest collects.
        without: words in the names of tests that are too slow for this stage.
        survivors_of: only tries what survived this other stage; None tries everything.
        environment: variables that are set while it runs.
    """

    name: str
    groups: dict[str, tuple[str, ...]]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    survivors_of: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def files(self) -> Iterator[tuple[str, str]]:
        """Group and name of each file that is mutated."""
        for group, patterns in self.groups.items():
            for pattern in patterns:
                for path in sorted(ROOT.glob(pattern)):
                    yield group, str(path.relative_to(ROOT))

    def mutants(self, folder: Path, only: str = "") -> Iterator[tuple[str, Mutant]]:
        """Every mutant with its group, or those of files and functions that have `only` in their name."""
        for group, file in self.files():
            for mutant in mutants_of(file, folder):
                if only in f"{mutant.file} {mutant.function}":
                    yield group, mutant


STAGES = {
    stage.name: stage
    for stage in (
        Stage("engine", ENGINE, ENGINE_TESTS, without=("numba", "frameworks", "jax", "torch")),
        Stage("engine-thorough", ENGINE, MORE_TESTS, survivors_of="engine"),
    )
}
