"""The file that `spikecert run` repeats: samples, a network or its training, threats, what to measure."""

from dataclasses import dataclass
from typing import Annotated

from .question import ChangedEvents, Count, Methods, Samples, Seconds, Share, Ties, Verifier, Verifiers, Width
from .threats import ANY, LInfThreat, Threat
from .values import Mistake, Naming, Numeral, Saying, choice, real, text, whole

MOST_STEPS = 2**16
"""Of a network, as its own constants have it."""
Weight = Annotated[Numeral, real("a number from 0 on", 0.0)]
Positive = Annotated[Numeral, real("a number above 0", above=0.0)]
Name = Annotated[str, text(longest=200)]
RUN = "spikecert.run/2"


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """A network that exists already.

    Attributes:
        path: of its file, relative to this file's folder; or zoo:NAME.
    """

    path: Annotated[str, text("a path", longest=4096)]


@dataclass(frozen=True, kw_only=True)
class TrainStep:
    """A network to train.

    Attributes:
        network: architecture, such as mlp:128-64; or a network file or zoo:NAME, to train it further.
        neuron: lif, dlif (learns its input scale), plif (learns λ) or package:name.
        num_steps: T.
        decay: λ.
        threshold: θ.
        reset: zero, subtract or none.
        objective: ms-mppd, cross-entropy, certified, s-ibp; of events certified-flips, certified-shift
            (--objective certified-shift --help has their options); of real targets mse, huber; and
            +gain-penalty, +margin-over-gain or, of real targets, +certified-moves.
        rho: weight of the membrane perturbation.
        noise: single-step or gaussian: the perturbed copy.
        size: of that perturbation; ε of other objectives; a share of --range.
        gain_weight: weight of gain-penalty.
        margin_weight: weight of margin-over-gain.
        delta: what certified-moves lets an output move; where huber turns straight.
        events: which events change, and how, of certified-flips and certified-shift.
        epochs: passes over the training samples.
        batch_size: over all processes.
        learning_rate: default: the optimizer's.
        optimizer: sgd or adam.
        weight_decay: of all weights.
        precision: full, or bfloat16 for matrix products in training.
        steps_at_once: steps of activations to keep: memory for time; default: all.
        accumulate: parts of a batch, one after another, whose gradients add up: less memory.
        through: chip whose weights losses are of, and their bits: loihi:4, xylo:8, spinnaker:8 or, say, q8.8:6.
    """

    network: Name = "mlp:64-64"
    neuron: Name = "dlif"
    num_steps: Annotated[int, whole(1, MOST_STEPS)] = 8
    decay: Share = Numeral(0.99)
    threshold: Positive = Numeral(1.0)
    reset: Name = "zero"
    objective: Name = "ms-mppd"
    rho: Weight = Numeral(1.0)
    noise: Name = "single-step"
    size: Weight = Numeral(4 / 255, "4/255")
    gain_weight: Weight = Numeral(0.1)
    margin_weight: Weight = Numeral(1.0)
    delta: Weight = Numeral(0.1)
    events: ChangedEvents = ChangedEvents()
    epochs: Count = 20
    batch_size: Count = 64
    learning_rate: Positive | None = None
    optimizer: Name = "adam"
    weight_decay: Weight = Numeral(0.0)
    precision: Name = "full"
    steps_at_once: Count | None = None
    accumulate: Count = 1
    through: Name | None = None


@dataclass(frozen=True, kw_only=True)
class AttackStep:
    """Attacks by name.

    Attributes:
        methods: as in `spikecert attack --method`.
    """

    methods: Methods = ("ensemble",)


@dataclass(frozen=True, kw_only=True)
class CertifyStep:
    """Verifiers by name.

    Attributes:
        verifiers: as in `spikecert certify --verifier`.
        timeout: seconds for a sample, on average.
        require: the share that must be certified at each ε, else the status is 1.
    """

    verifiers: Verifiers = ("auto",)
    timeout: Seconds | None = None
    require: Share | None = None


@dataclass(frozen=True, kw_only=True)
class RadiusStep:
    """Radii of the first samples.

    Attributes:
        verifier: who proves.
        tolerance: the width at which a bracket counts as exact.
        timeout: seconds for a sample, on average, in all.
        samples: how many; default: all.
    """

    verifier: Verifier = "auto"
    tolerance: Width = Numeral(1e-3, "1e-3")
    timeout: Seconds | None = None
    samples: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A whole run. The result depends on this file alone, on one machine, as long as no time limit cuts it short.

    Attributes:
        schema_version: of the file.
        title: of the report; default: the file's name.
        seed: of everything random.
        device: cpu, cuda, cuda:1, …
        threads: of torch: sums over several threads may round otherwise.
        gains: whether gains are reported, too.
        data: which samples.
        model: a network that exists already.
        train: or one that is to be trained.
        threat: what may be done to samples, or to the network, and what must hold.
        attack: which attacks.
        certify: which proofs.
        radius: which radii.
        ties: what a tie of logits is; default: by the readout.
    """

    schema_version: Annotated[str, choice(RUN), Naming("schema")] = RUN
    title: Annotated[str, text(longest=1000)] | None = None
    seed: int = 0
    device: Name = "cpu"
    threads: Annotated[int, whole(1, 1024)] = 1
    gains: bool = True
    data: Samples = Samples()
    model: ModelStep | None = None
    train: TrainStep | None = None
    threat: Annotated[Threat, ANY] = LInfThreat()
    attack: AttackStep | None = None
    certify: CertifyStep | None = None
    radius: RadiusStep | None = None
    ties: Ties | None = None

    def __post_init__(self) -> None:
        if (self.model is None) == (self.train is None):
            got = "neither it nor train" if self.model is None else "both it and train"
            raise Mistake(("model",), Saying(got), "a table [model] or a table [train], one of the two")
        if self.data.mean is not None and self.model is None:
            told = "it with [model]: train on data as they are"
            raise Mistake(("data", "mean"), Saying("it with a table [train]"), told)
        if self.attack is None and self.certify is None and self.radius is None:
            raise Mistake(("attack",), Saying("none"), "one of the tables [attack], [certify] and [radius]")
        if self.threat.asked is not None and self.ties is not None:
            told = "none: a property says itself what a tie is"
            raise Mistake(("ties",), Saying(f"{self.ties!r} beside threat.property"), told)

    @property
    def limits(self) -> tuple[float, float]:
        """Return between which ends all inputs lie."""
        return self.threat.lower, self.threat.upper
