"""What is changed: every place of a source file that mutmut's operators know how to get wrong.

The operators are mutmut's (https://github.com/boxed/mutmut): + becomes -, < becomes <=, a number grows by one, an
argument is left out, an assignment assigns None. Of its rules what to leave alone, two are not followed: decorated
functions are mutated too, and so are defaults and tables outside of functions. One is added: what a refusal says is
not arithmetic, so whether it is raised is mutated, its words are not.
"""

import hashlib
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Mutant:
    """One change to one file.

    Attributes:
        file: which, relative to the checkout.
        function: the function or method it lies in, as in `Dense.backward`; "" outside of all.
        old: the lines that are changed.
        new: what they are changed to.
        place: which of the places in the function that look like `old`, changed to `new`, counted from 1.
        source: the whole file after the change.
        body: whether it lies in the body of a function, so that a loaded module can be changed.
        digest: of the function before the change, or of the file for a change outside of all.
    """

    file: str
    function: str
    old: str
    new: str
    place: int
    source: str
    body: bool
    digest: str

    @cached_property
    def key(self) -> str:
        """A name that stays while function and change stay, wherever in the file they are."""
        parts = (self.file, self.function, self.old, self.new, str(self.place), self.digest)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """File and function, and which of several places that look the same."""
        name = f"{self.file} {self.function or 'outside of functions'}"
        return name if self.place == 1 else f"{name} ({self.place})"

    @property
    def diff(self) -> str:
        """What is changed, in a few lines."""
        return "\n".join(
            [*(f"- {line}" for line in self.old.split("\n")), *(f"+ {line}" for line in self.new.split("\n"))]
        )


def mutants_of(file: str, folder: Path) -> list[Mutant]:
    """Every mutant of a file, in the order of its lines; kept in `folder`, for finding them takes seconds."""
    made_from = digest((ROOT / file).read_text() + Path(__file__).read_text())
    kept = folder / f"{file.replace('/', '.')}-{made_from}.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(list(_mutants_of(file))))
    found: list[Mutant] = pickle.loads(kept.read_bytes())
    return found


def _mutants_of(file: str) -> Iterator[Mutant]:
    import libcst as cst
    from libcst.metadata import MetadataWrapper
    from mutmut.mutation.file_mutation import MutationVisitor
    from mutmut.mutation.mutators import mutation_operators
    from mutmut.mutation.pragma_handling import IgnoredCode

    class Visitor(MutationVisitor):  # type: ignore[misc]  # mutmut is only there where this runs
        def _skip_node_and_children(self, node: Any) -> bool:
            if isinstance(node, cst.FunctionDef):
                return False
            if isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == "mend":
                return True
            if isinstance(node, cst.Raise) or (isinstance(node, cst.If) and "TYPE_CHECKING" in str(node.test)):
                return True
            return bool(super()._skip_node_and_children(node))

    text = (ROOT / file).read_text()
    wrapper = MetadataWrapper(cst.parse_module(text))
    visitor = Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    module = wrapper.visit(visitor)
    names = dict(_functions(module))
    outside = {
        id(node) for function in names for part in (function.params, *function.decorators) for node in _below(part)
    }
    digests = {function: digest(module.code_for_node(function)) for function in names}
    seen: dict[tuple[str, str, str], int] = {}
    for mutation in visitor.mutations:
        function = mutation.contained_by_top_level_function
        source = module.deep_replace(mutation.original_node, mutation.mutated_node).code
        old, new = _changed_lines(text, source)
        if old == new or not _compiles(source):
            continue
        name = names.get(function, "")
        place = seen[name, old, new] = seen.get((name, old, new), 0) + 1
        body = function in names and id(mutation.original_node) not in outside
        yield Mutant(file, name, old, new, place, source, body, digests.get(function) or digest(text))


def _functions(module: Any) -> Iterator[tuple[Any, str]]:
    """Functions and methods of a module with their names; those within functions belong to the outer ones."""
    import libcst as cst

    for statement in module.body:
        if isinstance(statement, cst.FunctionDef):
            yield statement, statement.name.value
        elif isinstance(statement, cst.ClassDef):
            for method in statement.body.body:
                if isinstance(method, cst.FunctionDef):
                    yield method, f"{statement.name.value}.{method.name.value}"


def _below(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from _below(child)


def _changed_lines(before: str, after: str) -> tuple[str, str]:
    """The lines between what the two begin with and what they end with, without their indentation."""
    old, new = before.split("\n"), after.split("\n")
    while old and new and old[0] == new[0]:
        del old[0], new[0]
    while old and new and old[-1] == new[-1]:
        del old[-1], new[-1]
    return "\n".join(line.strip() for line in old), "\n".join(line.strip() for line in new)


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.strip().encode()).hexdigest()[:12]
