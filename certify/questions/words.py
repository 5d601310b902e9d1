"""A property's text as a sentence, for reports."""

from .texts import NAMED, property_of

SAYINGS = {
    "robust": "the class of the sample's own outputs keeps the greatest output, alone",
    "moves": "no output moves by more than {} from the sample's own",
    "top-k": "the class of the sample's own outputs stays among the {} greatest",
    "targeted": "no input is taken for class {}",
    "abstains": "no other class than that of the sample's own outputs leads all others by {}",
}
LEGEND = {"Y": "Y outputs", "X": "X inputs", "S": "S the sample's own outputs"}


def in_words(text: str) -> str:
    """Return what a property asks for, as a clause.

    Raises:
        ValueError: for a text that is no property.

    >>> in_words("moves=.1")
    "no output moves by more than .1 from the sample's own"
    >>> in_words("Y0 - S0 <= 1")
    "Y0 - S0 <= 1 (Y outputs, S the sample's own outputs)"
    """
    property_of(text)
    name, equals, number = (part.strip() for part in text.partition("="))
    if equals and name == "robust":
        return f"class {number} keeps the greatest output, alone"
    if name in NAMED and (equals or name == "robust"):
        return SAYINGS[name].format(number)
    told = ", ".join(meaning for letter, meaning in LEGEND.items() if letter in text)
    return f"{' '.join(text.split())} ({told})"
