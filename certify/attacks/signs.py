"""What of an attack says that the samples it left may be less robust than they seem, in words with a cure."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from ...models.deadline import LATE

READ = 'read a proof beside it, and ask method "standard", which has wider surrogates, where another was asked'


@dataclass(frozen=True)
class Signs:
    """Counts of samples, but `alike` of inputs.

    Attributes:
        samples: attacked in all.
        wrong: of them fail as they are: nothing is tried on them, and they count as broken.
        still: have no other input in their sets, as far as was looked: the budget is 0, or below the resolution of
            numbers.
        vanished: have a gradient of exactly 0; None where no gradient was asked for.
        odd: have a gradient that holds NaN or inf.
        unanswered: had an output of NaN at an input that was tried.
        blind: fell to attacks without gradients, after those with gradients before had left them.
        alike: inputs over the whole range at which the output was the same; 0 where it differed.
        late: are left by a search that a time limit ended.
    """

    samples: int = 0
    wrong: int = 0
    still: int = 0
    vanished: int | None = None
    odd: int = 0
    unanswered: int = 0
    blind: int = 0
    alike: int = 0
    late: int = 0

    @property
    def told(self) -> tuple[str, ...]:
        """Return one line for each sign: what is so, and what helps.

        Gradients that vanish lead nowhere; where an attack without gradients breaks what those with gradients
        before it left, these may be masked (athalye2018obfuscated).
        """
        left = f"of {self.samples - self.wrong} samples"
        cure = "" if self.samples > self.wrong else "; look at labels, scales and the order of classes"
        lines = (
            (
                self.wrong,
                f"{self.wrong} of {self.samples} samples fail as they are: they count as broken, and nothing is "
                f"tried on them{cure}",
            ),
            (
                self.alike,
                f"the output is the same at all {self.alike} inputs looked at, over the whole range: what is left "
                "is no robustness; look at the weights, and whether the module reads its input",
            ),
            (
                self.still,
                f"no other input lies in the sets of {self.still} {left}, as far as their dtype tells numbers "
                "apart: that they are left says nothing; choose a greater budget",
            ),
            (
                self.vanished,
                f"the gradient is exactly 0 at {self.vanished} {left}: attacks by it say little there; {READ}",
            ),
            (
                self.odd,
                f"the gradient is NaN or infinite at {self.odd} {left}: attacks by it go at random there; look "
                "for huge weights or a surrogate that divides by 0, and attack without gradients too",
            ),
            (
                self.unanswered,
                f"the output is NaN at inputs tried on {self.unanswered} {left}: these inputs count neither way; "
                "look for weights whose sums overflow",
            ),
            (
                self.blind,
                f"{self.blind} samples fell to attacks without gradients, after those before had left them: "
                f"gradients may be masked; {READ}",
            ),
            (self.late, f"{LATE} with {self.late} of {self.samples} samples left: more time may break them"),
        )
        return tuple(line for count, line in lines if count)


def summed(signs: Iterable[Signs]) -> Signs:
    """Return the counts of several batches; the output is alike only where it is in all of them."""
    known = list(signs)
    gradients = [one.vanished for one in known if one.vanished is not None]
    counted = (field.name for field in fields(Signs) if field.name not in ("vanished", "alike"))
    return Signs(
        **{name: sum(getattr(one, name) for one in known) for name in counted},
        vanished=sum(gradients) if gradients else None,
        alike=sum(one.alike for one in known) if all(one.alike for one in known) else 0,
    )
