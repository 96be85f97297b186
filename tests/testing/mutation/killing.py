"""Who notices: a pytest plugin that collects the tests once, then forks a process for each mutant.

Loading the packages and collecting the tests takes seconds, a test that notices takes milliseconds. So all is
loaded once; each test is run once on the unchanged code, which shows that it passes, how long it takes and which
functions it calls; then each mutant is swapped into a fork of this process, which runs the tests that call its
function, those that noticed most mutants of it first, the fast before the slow, up to the first that fails.
"""

import faulthandler
import hashlib
import os
import pickle
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from tests.testing.mutation.mutants import ROOT, Mutant
from tests.testing.mutation.stages import STAGES, Stage
from tests.testing.mutation.swapping import load_the_compiler, swap, take_place

MEMORY = 8 << 30
UNKNOWN = "", ""
"""What a test calls that was skipped where its calls were looked at."""
PASSED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class Killer:
    """Tries `mutants` on the collected tests and tells `record` the verdict of each: its key, the word, the test."""

    def __init__(
        self, mutants: list[Mutant], stage: Stage, folder: Path, record: Callable[..., None], processes: int
    ) -> None:
        self.mutants = mutants
        self.stage = stage
        self.folder = folder
        self.record = record
        self.processes = processes
        self.files = {str(ROOT / file): file for file in stage.files()}
        self.seconds: dict[int, float] = {}
        self.callers: dict[tuple[str, str], list[int]] = {}
        self.confirmed: set[tuple[bool, int]] = set()
        self.noticed: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own loop over the tests."""
        if not self.mutants and self.stage.name not in {stage.calls_of for stage in STAGES.values()}:
            return True
        self.know_the_tests(session)
        if not self.mutants:
            return True
        waiting, running, start = list(reversed(self.mutants)), {}, time.monotonic()
        while waiting or running:
            while waiting and len(running) < self.processes:
                mutant = waiting.pop()
                pid, answer = self.fork(session, mutant, self.order(mutant))
                running[pid] = mutant, answer
            pid, status = os.wait()
            mutant, answer = running.pop(pid)
            self.judge(session, mutant, status, answer)
            tried = len(self.mutants) - len(waiting) - len(running)
            if tried % 100 == 0:
                say(f"{tried} tried in {time.monotonic() - start:.0f} s")
        return True

    def know_the_tests(self, session: pytest.Session) -> None:
        """How long each test takes and what it calls, from running it, or from the last run of the same sources."""
        collected = tuple(str(ROOT / tests.partition("::")[0]) for tests in self.stage.tests)
        sources = hashlib.sha256(" ".join(self.stage.tests).encode())
        for folder in ("mlp_scratch", "kernels", "tests"):
            for path in sorted((ROOT / folder).rglob("*.py")):
                other_test = path.name.startswith("test_") and not str(path).startswith(collected)
                sources.update(b"" if other_test else path.read_bytes())
        kept = self.folder / f"tests-{self.stage.calls_of or self.stage.name}-{sources.hexdigest()[:12]}.pickle"
        if self.stage.calls_of is None and not kept.exists():
            known = {item.nodeid: self.run_unchanged(item) for item in session.items}
            if session.testsfailed:
                say("tests fail on the unchanged code")
                raise session.Failed
            kept.write_bytes(pickle.dumps(known))
        if self.stage.calls_of is not None:
            load_the_compiler()
        known = pickle.loads(kept.read_bytes())
        alike: dict[str, tuple[float, set[tuple[str, str]]]] = {}
        for name, (seconds, called) in known.items():
            longest, all_called = alike.get(name.partition("[")[0], (0.0, set()))
            alike[name.partition("[")[0]] = max(longest, seconds), all_called | called
        for number, item in enumerate(session.items):
            parts = item.nodeid, item.nodeid.partition("[")[0]
            self.seconds[number], called = known.get(parts[0]) or alike.get(parts[1], (0.0, set()))
            for function in called or [UNKNOWN]:
                self.callers.setdefault(function, []).append(number)
        say(f"{len(session.items)} tests take {sum(self.seconds.values()):.0f} s; {len(self.mutants)} mutants to try")

    def run_unchanged(self, item: pytest.Item) -> tuple[float, set[tuple[str, str]]]:
        """Run a test: how long it takes, and which functions of the mutated files it calls."""
        called = set()

        def look(frame: FrameType, event: str, argument: object) -> None:
            file = self.files.get(frame.f_code.co_filename)
            if file is not None and event == "call":
                called.add((file, frame.f_code.co_qualname.split(".<locals>")[0]))

        start = time.process_time()
        sys.setprofile(look)
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            sys.setprofile(None)
        return time.process_time() - start, called

    def confirm(self, session: pytest.Session, mutant: Mutant, number: int) -> None:
        """See a test that noticed a change pass where nothing changes: what a fork breaks would look like a kill."""
        if (mutant.body, number) in self.confirmed:
            return
        self.confirmed.add((mutant.body, number))
        pid, answer = self.fork(session, replace(mutant, source=(ROOT / mutant.file).read_text()), [number])
        _, status = os.waitpid(pid, 0)
        with os.fdopen(answer) as file:
            said = file.read()
        if said or os.WIFSIGNALED(status):
            name = session.items[number].nodeid if mutant.body else self.stage.tests[number]
            say(f"the unchanged code fails in a fork: {name}")
            raise session.Failed

    def order(self, mutant: Mutant) -> list[int]:
        """The tests that call a mutant's function: those that noticed most, then the fastest, first."""
        if not mutant.body:  # by file or folder: collecting them again is what takes long
            noticed = self.noticed[mutant.file, ""]
            return sorted(range(len(self.stage.tests)), key=lambda number: -noticed[number])
        function = mutant.file, mutant.function
        noticed = self.noticed[function]
        calling = self.callers.get(function) or self.may_call(mutant.file)
        return sorted(calling, key=lambda number: (-noticed[number], self.seconds[number]))

    def may_call(self, file: str) -> set[int]:
        """For a function that no test is seen to call: those of which nothing is known, or that call its neighbours."""
        return {number for function, calling in self.callers.items() if function[0] in (file, "") for number in calling}

    def fork(self, session: pytest.Session, mutant: Mutant, order: Sequence[int]) -> tuple[int, int]:
        """Start a process that tries a mutant: its number, and where it writes which test failed."""
        answer, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return pid, answer
        try:
            signal.setitimer(signal.ITIMER_PROF, self.stage.seconds + 10 * sum(self.seconds.values()))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            faulthandler.disable()  # that it crashes is noticed, where it does so nobody reads
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            if not mutant.body:
                take_place(mutant)
                for number in order:
                    if pytest.main([*self.arguments(session), self.stage.tests[number]]) not in PASSED:
                        os.write(write, str(number).encode())
                        break
                return 0, 0
            swap(mutant)
            for number in order:
                item = session.items[number]
                signal.setitimer(signal.ITIMER_PROF, self.stage.seconds + 10 * self.seconds[number])
                item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
                if session.testsfailed:
                    os.write(write, str(number).encode())
                    break
        except BaseException as error:  # a mutant that ends the test run is noticed
            os.write(write, repr(error)[:200].encode())
        finally:
            os._exit(0)

    def arguments(self, session: pytest.Session) -> list[str]:
        """Of a new run within a fork, which collects the tests again."""
        return ["-x", "-p", "no:cacheprovider", "--assert=plain", "--tb=native", "-k", session.config.option.keyword]

    def judge(self, session: pytest.Session, mutant: Mutant, status: int, answer: int) -> None:
        """Record what a process found."""
        with os.fdopen(answer) as file:
            said = file.read()
        if os.WIFSIGNALED(status):
            verdict, by = "killed", f"signal {os.WTERMSIG(status)}"  # it never ended, or it crashed
        elif said.isdigit():
            self.confirm(session, mutant, int(said))
            self.noticed[mutant.file, mutant.function if mutant.body else ""][int(said)] += 1
            verdict, by = "killed", session.items[int(said)].nodeid if mutant.body else self.stage.tests[int(said)]
        elif said:
            verdict, by = "killed", said
        else:
            verdict, by = "survived", ""
        self.record(mutant.key, verdict, by)


def say(line: str) -> None:
    """Print a line past pytest's capture."""
    sys.__stderr__.write(f"{line}\n") if sys.__stderr__ else None
