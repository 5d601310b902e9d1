"""What a campaign of benchmarks/traps.py has counted, its file, and its table."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from spikecert.files import write_atomically

EVENTS = ("asked", "verified", "non-trivial", "falsified", "unknown", "refused", "false")
GROUPS = (
    *("verifier", "set", "encoding", "readout", "element", "module", "size", "grid", "ties", "dtype", "reset"),
    *("kernel", "T", "constant"),
)

Tags = dict[str, tuple[str, ...]]
"""Names by group, under which an event is counted."""


@dataclass
class State:
    """What a campaign has counted so far: `counts` by group, name and event."""

    seed: int
    index: int = 0
    seconds: float = 0.0
    networks: int = 0
    questions: int = 0
    errors: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @staticmethod
    def read(path: Path, seed: int) -> "State":
        """Return the state of a folder, or a new one.

        Raises:
            ValueError: where the folder belongs to another seed.
        """
        if not path.exists():
            return State(seed)
        known = json.loads(path.read_text())
        if known["seed"] != seed:
            raise ValueError(f"--seed: got {seed}, expected the folder's {known['seed']}")
        return State(**{**known, "counts": Counter(known["counts"])})

    def write(self, path: Path) -> None:
        """Replace the file."""
        write_atomically(path, json.dumps(vars(self), sort_keys=True).encode())

    def add(self, tags: Tags, event: str, count: int = 1) -> None:
        """Count an event in each group."""
        self.counts.update({f"all|all|{event}": count})
        for group, names in tags.items():
            self.counts.update({f"{group}|{name}|{event}": count for name in names})


def one_line(message: str) -> bool:
    """Return whether a refusal is one line that names an argument first."""
    return "\n" not in message and ": " in message and message.partition(": ")[0].replace(", ", "").isidentifier()


def report(state: State) -> str:
    """Return the counts as a Markdown table."""
    rate = state.questions / state.seconds if state.seconds else 0.0
    count = state.counts["all|all|non-trivial"]
    lines = [
        f"{state.questions} non-trivial questions verified on {state.networks} networks, seed {state.seed}, "
        f"{state.seconds:.0f} s ({rate:.1f} a second), {count} non-trivial verdicts, "
        f"{state.counts['all|all|false']} false, {state.errors} unexpected exceptions",
        "",
        f"| | | {' | '.join(EVENTS)} |",
        "|---" * (2 + len(EVENTS)) + "|",
    ]
    for group in ("all", *GROUPS):
        names = {key.split("|")[1] for key in state.counts if key.startswith(f"{group}|")}
        for name in sorted(names, key=lambda name: (name.isdigit(), name)):
            cells = [str(state.counts[f"{group}|{name}|{event}"]) for event in EVENTS]
            lines.append(f"| {group} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
