"""The paper's evaluation attacks, at its ε = 8/255; their steps are shares of ε, so that they fit any other."""

from spikecert.certify import APGD, FGSM, PGD, Attack
from spikecert.certify.attacks import ATTACKS
from spikecert.models.validation import check_choice


def _pgd(steps: int, size: float) -> PGD:
    """Return PGD of `steps` steps of `size`/255 each, from the sample itself, as they are stated for ε = 8/255."""
    return PGD(steps=steps, restarts=1, step_size=size / 8.0, halve=False, name=f"pgd{steps}")


PAPER: dict[str, Attack] = {
    "fgsm": FGSM(),
    "pgd7": _pgd(7, 2.55),
    "pgd10": _pgd(10, 2.0),
    "pgd20": _pgd(20, 1.0),
    "pgd40": _pgd(40, 0.5),
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
