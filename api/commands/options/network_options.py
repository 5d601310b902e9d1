"""Options that say which networks: beside --norm tolerance and --norm stuck."""

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import completed, number

if TYPE_CHECKING:
    from spikecert.reports.records.network_rules import NetworkRules

FIELDS = {
    "varied": "varied",
    "weight_tolerance": "weights",
    "threshold_tolerance": "threshold",
    "decay_tolerance": "decay",
    "stuck_layers": "layers",
    "with_epsilon": "around",
    "with_norm": "around",
}
"""Of a set's rules, by the option that says it."""


@dataclass(frozen=True)
class NetworkOptions:
    """What the seven options say; each field is the option of its name."""

    varied: Annotated[
        str | None,
        typer.Option(
            "--varied",
            autocompletion=completed(("weights", "threshold", "decay")),
            help="Of a tolerance: what ε is of: weights (and biases), threshold or decay; default: weights.",
        ),
    ] = None
    weight_tolerance: Annotated[
        str | None,
        typer.Option("--weight-tolerance", help="Of weights, where ε is of something else, such as 5%."),
    ] = None
    threshold_tolerance: Annotated[
        str | None, typer.Option("--threshold-tolerance", help="Of thresholds, beside ε of weights, such as 2%.")
    ] = None
    decay_tolerance: Annotated[
        str | None, typer.Option("--decay-tolerance", help="Of decays λ, beside ε of weights, such as 1%.")
    ] = None
    stuck_layers: Annotated[
        str | None,
        typer.Option(
            "--stuck-layers",
            help="Which spiking layers have stuck neurons, such as 0,1; default: all.",
            metavar="N,…",
        ),
    ] = None
    with_epsilon: Annotated[
        str | None,
        typer.Option(
            "--with-epsilon", help="How far inputs move besides the networks, such as 8/255; default: not."
        ),
    ] = None
    with_norm: Annotated[
        str | None,
        typer.Option(
            "--with-norm", autocompletion=completed(("linf", "l2")), help="Of --with-epsilon; default: linf."
        ),
    ] = None

    @property
    def given(self) -> dict[str, str]:
        """Return what was given, in the order of the options."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def rules(self, norm: str) -> "NetworkRules | None":
        """Return what the options say, None where none is given.

        Raises:
            ValueError: in one line, for a value that makes no sense, or an option that the norm does not have.
        """
        from pydantic import ValidationError

        from spikecert.reports.records.network_rules import OF_NETWORKS, NetworkRules
        from spikecert.reports.records.records import first_error

        for name in self.given:
            fits = [known for known, names in OF_NETWORKS.items() if FIELDS[name] in names]
            if norm not in fits:
                option = name.replace("_", "-")
                raise ValueError(f"{option}: got one with --norm {norm}, expected --norm {' or '.join(fits)}")
        if not self.given:
            return None
        try:
            return NetworkRules.model_validate(self._told())
        except ValidationError as error:
            raise ValueError(first_error(error).removeprefix("record: ").replace("Value error, ", "")) from None

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {} if self.varied is None else {"varied": self.varied}
        for name in ("weight_tolerance", "threshold_tolerance", "decay_tolerance"):
            if (text := getattr(self, name)) is not None:
                share = number(text, option := name.replace("_", "-"))
                if not 0 <= share < 1:
                    raise ValueError(f"{option}: got {text!r}, expected a share below 1, such as 2%")
                told[FIELDS[name]] = share
        if self.stuck_layers is not None:
            parts = [part.strip() for part in self.stuck_layers.split(",")]
            if not all(part.isdecimal() and len(part) < 6 for part in parts):
                raise ValueError(f"stuck-layers: got {self.stuck_layers!r}, expected numbers such as 0,1")
            told["layers"] = tuple(map(int, parts))
        if self.with_epsilon is not None:
            epsilon = number(self.with_epsilon, "with-epsilon")
            if epsilon <= 0:
                raise ValueError(f"with-epsilon: got {self.with_epsilon!r}, expected a number above 0")
            written = "".join(self.with_epsilon.split())
            told["around"] = {"norm": self.with_norm or "linf", "epsilon": epsilon, "written": written}
        elif self.with_norm is not None:
            raise ValueError(f"with-norm: got {self.with_norm!r} without --with-epsilon, which it is of")
        return told

    @property
    def repeated(self) -> str:
        """Return the options as text, for the command that a report tells to repeat.

        >>> NetworkOptions(threshold_tolerance="2%", with_epsilon="8/255").repeated
        ' --threshold-tolerance 2% --with-epsilon 8/255'
        """
        told = self.given.items()
        return "".join(f" --{name.replace('_', '-')} {shlex.quote(value)}" for name, value in told)


SAME_NETWORK = NetworkOptions()
"""No option given."""
