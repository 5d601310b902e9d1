"""What verdicts claim, and what they do not: of the class or of a property, and of sets of networks."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...asking import Threat
from ...asking.networks import OfNetworks
from ...certify.questions.described import in_words

VERIFIED = (
    "It is proved that every input in the stated ball around this sample, not only those that were "
    "tried, gets the sample's label from this network with these weights."
)
FALSIFIED = {
    "argmax": "An input inside the ball was found that gets another label. It was replayed through the network "
    "itself before it was counted.",
    "strict": "An input inside the ball was found that gets another label, or whose greatest logit is that of two "
    "classes. It was replayed through the network itself before it was counted.",
}
COVERED = (
    "Every input within ε of the sample in the stated norm that is also within the stated range of inputs: all "
    "of them, not a selection.",
    "This network, with the weights of the stated hash, its hard threshold, its reset and its T steps, and the "
    "rounding of the arithmetic that it runs in.",
    "An adversary who knows everything about the network: how such an input was found plays no part.",
)
UNCOVERED = (
    "Other inputs, larger perturbations, and other kinds of change: rotation, weather, a worn sensor.",
    "Another network: other weights, another T, quantisation, a compiler that sums otherwise, analogue hardware.",
    "Changes of weights, thresholds or states while the network runs.",
    "Whether the label is right, and whether the listed samples are like those in use.",
)
RADII_NOTE = (
    "Each sample's radius is the distance of the nearest valid input that is misclassified. Below the lower end "
    "it is proved that there is none. At the upper end one was found and replayed. The radius lies between "
    "them, in the shaded band; where both ends meet within the tolerance it is called exact. A sample that is "
    "misclassified as it is has radius 0."
)
HARDEST_NOTE = (
    "Rightly classified samples that break nearest to themselves, with the input that broke them. Each was "
    "replayed through the network. Nearer ones may exist."
)


@dataclass(frozen=True)
class Claims:
    """The sentences of a report that depend on what its sets are of.

    Attributes:
        verified, falsified: what these verdicts say, the latter by what a tie is.
        covered, uncovered: by "verified".
        radii, hardest: what a radius is, and what the hardest samples are.
    """

    verified: str
    falsified: Mapping[str, str]
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    radii: str
    hardest: str


OF_INPUTS = Claims(VERIFIED, FALSIFIED, COVERED, UNCOVERED, RADII_NOTE, HARDEST_NOTE)


def claims(threat: Threat) -> Claims:
    """Return what verdicts about a threat model claim."""
    if threat.asked is not None:
        return _of_property(in_words(threat.asked))
    return _of_networks(threat) if isinstance(threat, OfNetworks) else OF_INPUTS


def _of_property(words: str) -> Claims:
    run = "It was replayed through the network itself before it was counted; `report --replay` runs it again."
    return Claims(
        "It is proved of every input in the stated set around this sample, not only of those that were tried, "
        f"and of this network with these weights: {words}. Nothing is said of a label.",
        dict.fromkeys(FALSIFIED, f"An input inside the set was found at which this does not hold: {words}. {run}"),
        COVERED,
        (
            *UNCOVERED[:-1],
            "Whether the network's answers are right: labels and targets play no part, nor does any property but "
            "the stated one. It is no claim that a class stays, unless that is what the property says.",
            "Whether the listed samples are like those in use.",
        ),
        "Each sample's radius is the distance of the nearest valid input at which the property fails. Below the "
        "lower end it is proved that there is none. At the upper end one was found and replayed. The radius lies "
        "between them, in the shaded band; where both ends meet within the tolerance it is called exact. A sample "
        "for which the property fails as it is has radius 0.",
        "Samples for which the property holds and that violate it nearest to themselves, with the outputs of the "
        "sample and those found. Each was replayed through the network. Nearer ones may exist.",
    )


def hardware(threat: OfNetworks) -> str:
    """Return which hardware a set of networks stands for, in words."""
    return threat.hardware(threat.short(threat.epsilons[-1]))


def _of_networks(threat: OfNetworks) -> Claims:
    label = (
        "this sample its label"
        if threat.still
        else "every input in the stated ball around this sample the sample's label"
    )
    broken = "A network of the set was found that gives an allowed input another label"
    run = "It was run itself before it was counted; `report --replay` runs it again."
    return Claims(
        f"It is proved that every network of the stated set ({hardware(threat)}), not only those that were tried, "
        f"gives {label}.",
        {
            "argmax": f"{broken}. {run}",
            "strict": f"{broken}, or the greatest logit to two classes. {run}",
        },
        (
            f"Every network of the set, all of them, not a selection ({hardware(threat)}): {threat.change}.",
            "The set around the network of the stated hash, batch norms merged, with its hard threshold, reset "
            "and T steps, and the rounding of the arithmetic that it runs in.",
            "However such a network comes about: by manufacture, by ageing, or by an adversary.",
        ),
        (
            "Other networks: numbers further off, noise that changes from step to step, other resets, another T.",
            "Inputs other than those stated, and other kinds of change: rotation, weather, a worn sensor.",
            UNCOVERED[-1],
        ),
        "Each sample's radius is the size of the smallest set that holds a network which misclassifies it. Below "
        "the lower end it is proved that there is none. At the upper end one was found and run. The radius lies "
        "between them, in the shaded band; where both ends meet within the tolerance it is called exact. A sample "
        "that is misclassified as it is has radius 0.",
        "Rightly classified samples that the smallest sets break, with what the network found makes of them. Each "
        "was run. Smaller sets may break them, too.",
    )
