"""Ways to break what is known of sums, maxima and first spikes over time."""

from mutant import Mutant

READOUTS = "certify/bounds/readouts.py"
PROPAGATION = "certify/bounds/propagation.py"
READOUT_MUTANTS = (
    Mutant(
        "readout: a sum of potentials has the weights of the last one",
        READOUTS,
        '"summed": rows.sum(0, keepdim=True)',
        '"summed": rows[-1:]',
    ),
    Mutant(
        "readout: a sum of potentials adds up windows that end at each step",
        READOUTS,
        '"summed": rows.sum(0, keepdim=True)',
        '"summed": rows.sum(1)[None]',
    ),
    Mutant(
        "readout: the largest of two classes at their best common step",
        READOUTS,
        "return (best - steps.upper).maximum(differences).amin(0)",
        "return (best - steps.upper).maximum(differences).amax(0)",
    ),
    Mutant(
        "readout: the largest of the label is its greatest upper end",
        READOUTS,
        "best = steps.lower.amax(0)",
        "best = steps.upper.amax(0)",
    ),
    Mutant(
        "readout: a first spike is as late as it may be early",
        READOUTS,
        "return -(1.0 + late.double()), -(1.0 + early.double())",
        "return -(1.0 + early.double()), -(1.0 + late.double())",
    ),
    Mutant(
        "readout: a first spike by the count of one step",
        READOUTS,
        "spikes.num_steps, dtype=torch.float64).tril()",
        "spikes.num_steps, dtype=torch.float64).tril().triu()",
    ),
    Mutant(
        "readout: first spikes are compared as counts",
        PROPAGATION,
        'if circuit.read.readout != "spikes":',
        "if circuit.read.rule is not None:",
    ),
    Mutant(
        "readout: the largest potential is the last one",
        "models/running/readouts.py",
        "return signal.amax(0)",
        "return signal[-1]",
    ),
    Mutant(
        "program: the largest is that of the last step",
        "certify/milp/reading.py",
        "if len(steps) == 1:\n        return steps[0], slack[0]",
        "if len(steps) >= 1:\n        return steps[-1], slack[-1]",
    ),
    Mutant(
        "program: silent whatever was before",
        "certify/milp/reading.py",
        "program.constrain(silent + spike - before, lower=0.0)",
        "program.constrain(silent + spike, lower=1.0)",
    ),
    Mutant(
        "program: a silence that a spike does not end",
        "certify/milp/reading.py",
        "program.constrain(ones - spike - silent, lower=0.0)",
        "program.constrain(ones - silent, lower=0.0)",
    ),
    Mutant(
        "program: each step's largest is the one that may be the least",
        "certify/milp/reading.py",
        "array(box.upper.flatten(1)) + wider",
        "array(box.lower.flatten(1)) - wider",
    ),
    Mutant(
        "program: potentials are read without rounding",
        "certify/milp/reading.py",
        "own = own + integrating_slack(last.signal, rows, rounding)",
        "own = own * 0.0",
    ),
)
