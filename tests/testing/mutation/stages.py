"""What is mutated, in which order, and which tests look."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.testing.mutation.mutants import ROOT, Mutant, mutants_of

GRADIENTS = (
    "mlp_scratch/layers/*.py",
    "mlp_scratch/losses/*.py",
    "mlp_scratch/optimizers/*.py",
    "mlp_scratch/functional.py",
)
OF_SCALARS = (
    "bad_arguments",
    "gradcheck",
    "numpy_says_what_a_function_did_instead_of_returning_a_number",
    "the_program_lists_it_by_its_name",
    "a_file_keeps_the_name_and_the_functions_are_given_again",
    "a_given_function_never_takes_the_place_of_a_layer_of_the_package",
)
"""Those tests of layers and losses made of functions that compile nothing."""

GRADIENT_TESTS = (
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
    *(f"tests/test_scalar_functions.py::test_{name}" for name in OF_SCALARS),
    "tests/test_wrong_gradients.py",
    "tests/test_bad_input.py",
    "tests/test_bad_objects.py",
)
"""No docstrings: pytest can run the examples of one only once."""

REST = (
    "mlp_scratch/initializers.py",
    "mlp_scratch/random.py",
    "mlp_scratch/derivatives.py",
    "mlp_scratch/gradcheck.py",
    "mlp_scratch/roundings.py",
)
REST_TESTS = (
    "tests/testing/test_tables.py",
    "tests/testing/test_survivors.py",
    "tests/testing/test_derivatives.py",
    "tests/testing/test_gradcheck.py",
    "tests/testing/test_gradcheck_report.py",
    "tests/testing/test_cancelling_gradients.py",
    "tests/test_random.py",
    "tests/test_initializers.py",
    "tests/test_bad_objects.py",
    "tests/test_wrong_gradients.py",
)

KERNELS = (
    "activations.py",
    "cross_entropy.py",
    "losses.py",
    "slopes.py",
    "dropout.py",
    "batch_norm.py",
    "elementary.py",
    "rules.py",
    "shuffling.py",
    "updates.py::is_adam",
    "updates.py::set_corrections",
    "updates.py::set_hyper_parameters",
    "naive.py",
    "fused.py::reference",
    "register_tile.py::reference",
)
"""Kernels and references that are plain Python; what emits instructions has no meaning without a compiler."""

COMPILED = tuple(
    name for name in KERNELS if name not in ("rules.py", "fused.py::reference", "register_tile.py::reference")
)


SLOW = ("numba", "frameworks", "jax")
"""Words in the names of tests that take seconds each."""

EMITTING = (
    "addresses",
    "loop_address",
    "forward_address",
    "backward_address",
    "loss_address",
    "panel_address",
    "_polynomial",
    "_either",
)
"""Functions that make compiled code or say where it lies, once for each process: a change to a loaded module has no
effect. tests/backends and tests/kernels hold them to the specification."""

IN_VECTORS = ("draw_mask", "_draw_four_rows", "_draw_blocks")
"""Functions that only exist compiled."""

AT_IMPORT = ("_tail_coefficients",)
"""Functions that have done their work when a module is loaded: for a change to one the module is loaded again."""


@dataclass(frozen=True)
class Stage:
    """One pass over mutants.

    Attributes:
        name: what it is called on the command line.
        groups: patterns of files to mutate, by group.
        tests: what pytest collects.
        without: words in the names of tests that are too slow for this stage.
        left_out: names of functions that these tests can't judge.
        seconds: what a test may take in addition to ten times what is known of it, of a CPU's time.
        calls_of: takes which test calls what from this other stage: compiled code does not tell, and a process whose
            kernels are compiled already would not compile a mutant.
        environment: variables that are set while it runs.
    """

    name: str
    groups: dict[str, tuple[str, ...]]
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    seconds: float = 2.0
    calls_of: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def files(self) -> set[str]:
        """The files that are mutated."""
        patterns = [pattern.partition("::")[0] for patterns in self.groups.values() for pattern in patterns]
        return {str(path.relative_to(ROOT)) for pattern in patterns for path in ROOT.glob(pattern)}

    def mutants(self, folder: Path, only: str = "", of: set[str] | None = None) -> Iterator[tuple[str, Mutant]]:
        """Every mutant with its group, or those of the files `of`, of files and functions with `only` in their name."""
        for group, patterns in self.groups.items():
            for pattern in patterns:
                files, _, function = pattern.partition("::")
                paths = {str(path.relative_to(ROOT)) for path in ROOT.glob(files)}
                for file in sorted(paths if of is None else paths & of):
                    for mutant in mutants_of(file, folder):
                        wanted = only in f"{mutant.file} {mutant.function}" and function in ("", mutant.function)
                        wanted &= mutant.function not in self.left_out
                        if mutant.function in AT_IMPORT:
                            mutant = replace(mutant, body=False)
                        if wanted and (mutant.body or self.calls_of is None):
                            yield group, mutant


def by_chance(mutants: Iterable[Mutant], seed: int) -> list[Mutant]:
    """The mutants in an order drawn by `seed`: any so many of the first are a random sample.

    The order is that of hashes, so a mutant's place does not depend on which others there are.
    """
    return sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.key}".encode()).digest())


def _kernels(group: str, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {group: tuple(f"kernels/mlp_kernels/cpu/{name}" for name in names)}


KERNEL_TESTS = ("tests/testing/kernel_functions",)
STAGES = {
    stage.name: stage
    for stage in (
        Stage("gradients", {"gradient code": GRADIENTS}, GRADIENT_TESTS, without=SLOW),
        Stage("rest", {"rest of the engine": REST}, REST_TESTS, without=SLOW),
        Stage(
            "plain",
            _kernels("kernels, as plain Python", KERNELS),
            KERNEL_TESTS,
            left_out=EMITTING + IN_VECTORS,
            environment={"NUMBA_DISABLE_JIT": "1"},
        ),
        Stage(
            "compiled",
            _kernels("kernels, compiled", COMPILED),
            KERNEL_TESTS,
            without=("without_the",),
            left_out=EMITTING,
            seconds=60.0,  # each has to compile what it calls
            calls_of="plain",
        ),
    )
}
