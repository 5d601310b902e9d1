"""The paper's evaluation attacks, at its ε = 8/255; their steps are shares of ε, so that they fit any other.

PGD is there twice: "pgd7-paper" as the authors run it (a random start, the last iterate), "pgd7" from the sample
itself with the worst iterate, which breaks more. A sample that is misclassified anyway counts as broken by both.
"""

from spikecert.certify import APGD, FGSM, PGD, Attack
from spikecert.certify.attacks import ATTACKS
from spikecert.models.validation import check_choice


def _pgd(steps: int, size: float) -> PGD:
    """Return PGD of `steps` steps of `size`/255 each, from the sample itself, as they are stated for ε = 8/255."""
    return PGD(steps=steps, restarts=1, step_size=size / 8.0, halve=False, name=f"pgd{steps}")


STEPS = {7: 2.55, 10: 2.0, 20: 1.0, 40: 0.5}
"""The paper's numbers of steps and, in 255ths at ε = 8/255, their sizes."""

PAPER: dict[str, Attack] = {
    "fgsm": FGSM(),
    **{
        f"pgd{steps}-paper": PGD.published(steps, size / 8.0, f"pgd{steps}-paper") for steps, size in STEPS.items()
    },
    **{f"pgd{steps}": _pgd(steps, size) for steps, size in STEPS.items()},
    "apgd10-ce": APGD(steps=10, loss="cross-entropy", name="apgd10-ce"),
    "apgd10-dlr": APGD(steps=10, loss="dlr", name="apgd10-dlr"),
}


def resolve(name: str) -> Attack:
    """Return the paper's attack of that name, else the toolkit's.

    Raises:
        ValueError: for a name that neither knows.
    """
    if name in PAPER:
        return PAPER[name]
    check_choice("attack", name, (*PAPER, *ATTACKS))
    return ATTACKS[name]()
