"""Ways to break what conversions know of the way that signals take."""

from mutant import Mutant

FLOW, WATCHING = "models/conversion/data_flow.py", "models/conversion/watching.py"
CONVERSION_MUTANTS = (
    Mutant(
        "flow: a difference is a sum",
        FLOW,
        'Joined(origin, second) if name == "add" else None',
        "Joined(origin, second)",
    ),
    Mutant("flow: the weight of a sum is 1", FLOW, 'kwargs.get("alpha", 1) != 1', "False"),
    Mutant("flow: what depends on the input is a constant", FLOW, "or id(value) not in self._constants or", "or"),
    Mutant("flow: drop the shortcut", FLOW, "Parallel(one, other) if one", "Parallel(one, ()) if one"),
    Mutant("flow: paths may cross", FLOW, "if twice is not None", "if twice is False"),
    Mutant("flow: a layer may lead nowhere", FLOW, "if unused is not None", "if unused is False"),
    Mutant(
        "flow: add for subtract",
        "models/conversion/layers.py",
        'if operation == "add" else number',
        'if operation == "sub" else number',
    ),
)
