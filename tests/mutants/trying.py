"""What becomes of a mutant: tests run with a changed copy of the package, and what fails with an unchanged one."""

from pathlib import Path

from .copies import Copy
from .nearest import nearest, wide
from .picture import Outcome
from .places import Mutant
from .running import Ended, run_tests


class Broken(Exception):
    """Tests do not run."""


class Trials:
    """Two copies of the package, of which one is changed: what fails there must pass in the other one.

    Attributes:
        broken: the tests that do not; they are left out from then on.
    """

    def __init__(self, folder: Path, limit: float, near: bool) -> None:
        self.changed, self.unchanged = Copy(folder / "changed"), Copy(folder / "unchanged")
        self.limit, self.near = limit, near
        self.passes, self.broken = set[str](), list[str]()

    def outcome(self, mutant: Mutant) -> Outcome | None:
        """Return what becomes of a mutant; None if it is no C."""
        self.changed.change(mutant)
        try:
            return self._outcome(mutant) if self.changed.compiles(mutant) else None
        finally:
            self.changed.restore(mutant)

    def _outcome(self, mutant: Mutant) -> Outcome:
        """Run the nearest tests, then the wide ones, in what time is left."""
        spent, fate = 0.0, "survived"
        for tests in (nearest(mutant.file, mutant.where), [] if self.near else wide(mutant.file)):
            ended = self._run(tests, self.limit - spent) if tests else Ended("", True, 0.0)
            spent += ended.seconds
            if ended.said:
                raise Broken(f"{mutant}: the tests did not run\n{ended.said}")
            if ended.failed:
                return Outcome.of(mutant, "killed", ended.failed, spent)
            if not ended.done or spent + 5 > self.limit:
                fate = "unfinished"
                break
        return Outcome.of(mutant, fate, "", spent)

    def _run(self, tests: list[str], limit: float) -> Ended:
        """Run tests until one fails that passes with the unchanged package."""
        while True:
            ended = run_tests(
                self.changed.folder, [*tests, *(f"--deselect={name}" for name in self.broken)], limit
            )
            if not ended.failed or not self._is_broken(ended.failed):
                return ended

    def _is_broken(self, failed: str) -> bool:
        """Return whether a test fails with the unchanged package: both alone and behind others of its file."""
        test = failed.removesuffix(" (hung)").removesuffix(" (crashed)")
        if test in self.passes:
            return False
        for tests in (test, test.partition("::")[0]):
            ended = run_tests(self.unchanged.folder, [tests], 2 * self.limit)
            if not ended.failed and (
                ended.done or test == failed
            ):  # out of time tells something of what hung alone
                self.passes.add(test)
                return False
        self.broken.append(test)
        return True
