"""What becomes of a mutant: tests run with a changed copy of the package, and what fails with an unchanged one."""

from pathlib import Path

from .copies import Copy
from .nearest import nearest, wide
from .picture import Outcome
from .places import Mutant
from .running import run_tests


class Broken(Exception):
    """A test fails with the unchanged package, or did not run."""


class Trials:
    """Two copies of the package, of which one is changed: what fails there must pass in the other one."""

    def __init__(self, folder: Path, limit: float, near: bool) -> None:
        self.changed, self.unchanged = Copy(folder / "changed"), Copy(folder / "unchanged")
        self.limit, self.near, self.passes = limit, near, set[str]()

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
        for tests in (nearest(mutant.file), [] if self.near else wide(mutant.file)):
            ended = run_tests(self.changed.folder, tests, self.limit - spent) if tests else None
            if ended is None:
                continue
            spent += ended.seconds
            if ended.said:
                raise Broken(f"{mutant}: the tests did not run\n{ended.said}")
            if ended.failed:
                self._confirm(ended.failed)
                return Outcome.of(mutant, "killed", ended.failed, spent)
            if not ended.done or spent + 5 > self.limit:
                fate = "unfinished"
                break
        return Outcome.of(mutant, fate, "", spent)

    def _confirm(self, failed: str) -> None:
        """Raise Broken if a test fails with the unchanged package, too."""
        test = failed.removesuffix(" (hung)").removesuffix(" (crashed)")
        if test in self.passes:
            return
        ended = run_tests(self.unchanged.folder, [test], 2 * self.limit)
        if ended.failed or ended.said or not ended.done:
            raise Broken(f"{test}: does not pass with the unchanged package: {ended}")
        self.passes.add(test)
