"""What `spikecert check-proof --property` asks of a proof's claim."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikecert.checking import Statement
    from spikecert.models import SpikingNetwork


@dataclass(frozen=True)
class PropertyAsked:
    """A property, as `certify --property` takes it, of one model file, whose run of the sample counts."""

    text: str
    network: "SpikingNetwork"

    @staticmethod
    def of(text: str, model: Path) -> "PropertyAsked":
        """Return what is asked.

        Raises:
            ValueError: for a text that is no property, or a file that is no network.
        """
        from spikecert.certify.questions.texts import property_of
        from spikecert.models import load

        property_of(text)
        return PropertyAsked(text, load(model))

    def missing(self, statement: "Statement") -> str:
        """Return what a proof lacks, or nothing: this property, about the outputs of the sample's run."""
        import torch

        from spikecert.certify.proofs import Prover
        from spikecert.certify.questions.texts import property_of

        sample = torch.from_numpy(statement.sample)
        asked = Prover.of(self.network).claimed(property_of(self.text), sample, None)
        if asked.stated is None or statement.prop is None:
            claimed = f"class {statement.label}" if statement.prop is None else str(statement.prop)
            same = asked.stated is statement.prop and (asked.label, asked.ties) == (
                statement.label,
                statement.ties,
            )
            return "" if same else f"proves {claimed} ({statement.ties}), not the property asked for"
        if asked.stated.clauses != statement.prop.clauses:
            return f"proves another property: {statement.prop}"
        if statement.prop.relative and asked.stated.own != statement.prop.own:
            told = f"{list(statement.prop.own)}, and a run here gives {list(asked.stated.own)}"
            return f"says that the sample's own outputs are {told}"
        return ""
