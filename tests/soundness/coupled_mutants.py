"""Ways to break layers of their own at each step, and neurons of several numbers."""

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
        'potential = summed(c["decay"], -c["drain"]) + current',
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
        '(w + jump for w, jump in zip(moved, c["jump"], strict=True))',
        "moved",
    ),
    Mutant(
        "two numbers: the second takes nothing from a reset",
        COUPLED,
        'whole = summed(c["decay"], -c["drain"] - c["reset_rise"]) + current',
        'whole = summed(c["decay"], -c["drain"]) + current',
    ),
    Mutant(
        "several numbers: what comes in is heard by the potential alone",
        COUPLED,
        "(left, carry), (current, hearing))",
        "(left, carry))",
    ),
    Mutant(
        "several numbers: as one sum they hear what comes in by the potential alone",
        COUPLED,
        "*kept, (current, drive + hearing))",
        "*kept, (current, drive))",
    ),
    Mutant(
        "several numbers: each takes of the first one alone",
        COUPLED,
        "_sum(*zip(adapted, own, strict=True), (potential, drive)",
        "_sum((adapted[0], own[0]), (potential, drive)",
    ),
    Mutant(
        "states: what a spike takes of all but the potential is left out of the proof",
        "models/tracing/guessing/states.py",
        "shortened(one + found[-1] * hears, by) - spike * loses",
        "shortened(one + found[-1] * hears, by)",
    ),
    Mutant(
        "states: what comes in is what one state more is given",
        "models/tracing/guessing/states.py",
        "shortened(one + found[-1] * hears, by) - spike * loses",
        "shortened(one + potential * hears, by) - spike * loses",
    ),
    Mutant(
        "two numbers: their rounding is left out",
        "certify/rounding/recursion.py",
        "errors = tuple(size * unit + own for size, own in zip(stepped(largest), lost, strict=True))",
        "errors = tuple(size * 0.0 for size in stepped(largest))",
    ),
)
