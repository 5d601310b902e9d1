"""Ways to break layers of their own at each step, and neurons of two numbers."""

from mutant import Mutant

CHOSEN, COUPLED = "certify/bounds/signals/chosen.py", "models/elements/coupled.py"
COUPLED_MUTANTS = (
    Mutant(
        "steps: each signal answers for all of them",
        CHOSEN,
        "own = torch.zeros_like(rows)\n        own[:, t] = rows[:, t]\n        return own",
        "return rows",
    ),
    Mutant(
        "steps: the first one's box stands for all",
        CHOSEN,
        "(box.lower[t % len(box.lower)], box.upper[t % len(box.upper)])",
        "(box.lower[0], box.upper[0])",
    ),
    Mutant(
        "steps: prices of a step go to all",
        "certify/bounds/signals/chains.py",
        "FilteredBranches(branches, row.diag())",
        "FilteredBranches(branches, kept)",
    ),
    Mutant(
        "steps: a program has the first step's expressions",
        "certify/milp/encoding.py",
        "steps = tuple(flow.steps[t % len(flow.steps)] for t, flow in enumerate(x))",
        "steps = tuple(flow.steps[0] for flow in x)",
    ),
    Mutant(
        "two numbers: what drains the potential is left out of it",
        COUPLED,
        'potential = _sum((left, c["decay"]), (adapted, -c["drain"])) + current',
        'potential = _sum((left, c["decay"])) + current',
    ),
    Mutant(
        "two numbers: a factor below 0 keeps the ends in their places",
        COUPLED,
        "Range(torch.where(factor < 0, high, low), torch.where(factor < 0, low, high))",
        "Range(low, high)",
    ),
    Mutant(
        "two numbers: silence is told by the wrong end",
        COUPLED,
        "Move(over.low <= tie, ",
        "Move(over.high <= tie, ",
    ),
    Mutant(
        "two numbers: a spike adds nothing to the second",
        COUPLED,
        'after = self._adapted(c, left, adapted, current, fires) + c["jump"]',
        "after = self._adapted(c, left, adapted, current, fires)",
    ),
    Mutant(
        "two numbers: the second takes nothing from a reset",
        COUPLED,
        'whole = _sum((left, c["decay"]), (adapted, -c["drain"] - c["reset_rise"])) + current',
        'whole = _sum((left, c["decay"]), (adapted, -c["drain"])) + current',
    ),
    Mutant(
        "two numbers: their rounding is left out",
        "certify/rounding/recursion.py",
        "errors = tuple(size * unit + least for size in stepped(largest))",
        "errors = tuple(size * 0.0 for size in stepped(largest))",
    ),
)
