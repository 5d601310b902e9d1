"""Everything that takes a number, a row each: what must take every type of number, and refuse the rest."""

from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from spikecert import (
    DLIF,
    L2,
    LIF,
    MSMPPD,
    PLIF,
    SIBP,
    AdaptiveLIF,
    CertifiedEvents,
    CertifiedLoss,
    CertifiedMoves,
    ClosedLoop,
    CoupledLIF,
    Delay,
    GainPenalty,
    GaussianNoise,
    IntegerLIF,
    LInf,
    MarginOverGain,
    Normalize,
    OneSpikeLIF,
    PGDTraining,
    RateDraws,
    RefractoryLIF,
    Settings,
    Share,
    SingleStep,
    SpikeFlip,
    SpikeShift,
    SpikingNetwork,
    StuckNeurons,
    Synapse,
    Tolerance,
    WholeInput,
    abstains,
    architecture,
    attack,
    certified_radius,
    dataset,
    equivalent,
    fit,
    gain,
    mlp,
    moves_at_most,
    neuron_gain,
    output,
    output_range,
    quantize,
    robust,
    smooth,
    system,
    targeted,
    top_k,
    verify,
    vgg5,
    vgg11,
    wrn16_4,
)
from spikecert.analysis import constant_gain, neuron_bias
from spikecert.analysis.gains.gain_plots import frequency_response
from spikecert.analysis.lmi import adaptive, chain_gain, cuba, lif, recurrent, surrogate_gain, time_varying
from spikecert.analysis.patterns import train_interval
from spikecert.asking import Threat
from spikecert.certify import EventRegion, Form, PixelBox
from spikecert.certify.attacks import APGD, PGD, Gaussian, SpikeFlips, Square
from spikecert.certify.bounds.prices.narrowing import Narrowing, WindowSearch
from spikecert.certify.bounds.prices.price_search import PriceSearch
from spikecert.certify.branching.bounding import Climb
from spikecert.certify.branching.ranges import RangeSearch
from spikecert.certify.branching.search import Search
from spikecert.certify.engines import Fleet, Ray
from spikecert.certify.smoothing import lower_confidence_bound, rate_certificate, rate_radius, total_variation
from spikecert.certify.verifiers import Lirpa, Milp
from spikecert.formats.writing import robustness
from spikecert.models import (
    Arctan,
    ChipWeights,
    Dynamics,
    Neuron,
    Sigmoid,
    Triangle,
    WholeDecay,
    latency_code,
    quantization,
    strided,
)
from spikecert.reports.making.plans import Plan, RadiusPlan
from spikecert.training import (
    Augmentation,
    EventAugmentation,
    Huber,
    LocalFields,
    Ramp,
    Retraction,
    own_dataset,
    regression_dataset,
    start_firing,
)
from spikecert.training.data import Dataset, Split, digit_events, pulses
from support.constants import ENDS, NONE, Row, Value, neuron_rows, rows, several

NETWORK, INPUTS, LABELS = mlp((3, 4, 2), num_steps=2), torch.full((2, 3), 0.5), torch.tensor([0, 1])
EVENTS = mlp((3, 4, 2), num_steps=2, encoding="none")
SPLIT = Split(torch.rand(4, 3), torch.tensor([0, 1, 0, 1]))
DATA = Dataset("toy", SPLIT, SPLIT, SPLIT, (3,), 2)
SETTINGS = {
    "epochs": 1,
    "batch_size": 2,
    "learning_rate": 0.5,
    "momentum": 0.5,
    "weight_decay": 0.5,
    "seed": 1,
    "steps_at_once": 1,
    "accumulate": 2,
}
UNSET = {"learning_rate": NONE, "steps_at_once": NONE}


def of_recordings(duration: Value) -> Dataset:
    """Return the data set of ten recordings of an event each."""
    with TemporaryDirectory() as folder:
        path, none, each = f"{folder}/mine.npz", np.zeros(10, int), np.arange(10)
        np.savez(path, t=none, x=none, recording=each, labels=each % 2)
        return dataset(path, num_steps=2, duration=duration)


def closed_loop(**given: object) -> ClosedLoop:
    """Return a loop of one state."""
    return ClosedLoop(**{"network": mlp((1, 2, 1), 2), "A": [[0.5]], "B": [[1.0]], **given})  # type: ignore[arg-type]


MATRICES = [np.eye(1), np.eye(1)]
SPAN = {"lower": 0.0, "upper": 1.0}
RANGE = {"lower": ENDS, "upper": ENDS}
BUILT = {"bits": 8, "levels": 15, "keep": 0.5}
MODELS = [
    *rows(
        Dynamics,
        {"decay": 0.5, "threshold": 1.0, "reset_amount": 2.0},
        {"reset": "subtract"},
        {"reset_amount": NONE},
    ),
    *neuron_rows(LIF),
    *neuron_rows(DLIF, num_steps=2),
    *rows(RefractoryLIF, {"rest": 2, "start": 0.5}, None, {"rest": NONE}),
    *rows(OneSpikeLIF, {"start": 0.5}),
    *(
        row
        for kind in (RefractoryLIF, OneSpikeLIF)
        for row in rows(kind, {"decay": 0.5, "threshold": 0.5}, kept=False)
    ),
    *rows(AdaptiveLIF, {"adaptation": 0.5, "threshold_decay": 0.5}),
    *rows(CoupledLIF, {"others": 2}),
    *rows(Neuron, {"others": 2, "start": 0.5, "floor": -0.5, "steps": 3, "most": 1}, None, {"floor": NONE}),
    *rows(AdaptiveLIF, {"decay": 0.5, "threshold": 0.5}, kept=False),
    *rows(AdaptiveLIF, {"reset_amount": 2.0}, {"reset": "subtract"}, {"reset_amount": NONE}, kept=False),
    Row("DLIF", "num_steps", DLIF, 3, lambda neuron: len(neuron.input_scale)),
    *[
        Row(r.owner, r.name, r.give, r.good, None if r.name == "decay" else r.keep, r.allowed)
        for r in neuron_rows(PLIF)
    ],
    *(row for kind in (Triangle, Sigmoid, Arctan) for row in rows(kind, {"width": 0.5})),
    *rows(RateDraws, {"seed": 3}),
    *rows(Synapse, {"decay": 0.5, "delay": 2}),
    Row("Delay", "steps", Delay, 2, lambda layer: layer.delay),
    *rows(WholeDecay, {"shift": 12, "factor": 5}, {"cut": "truncate", "shift": 12, "factor": 5}),
    *rows(WholeInput, {"least": 1, "most": 7}, {"least": 1, "most": 7}),
    Row(
        "IntegerLIF",
        "threshold",
        lambda v: IntegerLIF(WholeDecay("shift", 2), v),
        8,
        lambda each: each.stepped.threshold,
    ),
    *rows(quantize, BUILT, {"network": NETWORK}, {"levels": NONE}, kept=False),
    *rows(quantization, BUILT, {"network": NETWORK}, {"levels": NONE}, kept=False),
    Row("Share", "start", Share, 0.5, lambda layer: float(layer.share.detach())),
    Row("RateDraws.thresholds", "num_steps", lambda v: RateDraws().thresholds(v, (2,)), 2),
    Row(
        "SpikingNetwork",
        "num_steps",
        lambda v: SpikingNetwork(nn.Linear(2, 2), num_steps=v),
        4,
        lambda n: n.num_steps,
    ),
    Row("mlp", "num_steps", lambda v: mlp((2, 2), v), 4, lambda network: network.num_steps),
    several(mlp, "sizes", 3, lambda v: mlp((v, 2))),
    several(Normalize, "mean", 0.5, lambda v: Normalize((v,), (1.0,))),
    several(Normalize, "std", 0.5, lambda v: Normalize((0.0,), (v,))),
    *(
        row
        for make in (vgg5, vgg11, wrn16_4)
        for row in rows(make, {"classes": 2, "num_steps": 2, "width": 0.015625}, {"width": 1 / 64}, kept=False)
    ),
    *(
        several(make, "input_shape", 8, lambda v, m=make: m((3, 8, v), width=1 / 64))
        for make in (vgg5, vgg11, wrn16_4)
    ),
    *rows(strided, {"classes": 2, "num_steps": 2}, {"widths": (2, 2)}, kept=False),
    several(strided, "input_shape", 8, lambda v: strided((3, 8, v), widths=(2, 2))),
    several(strided, "widths", 2, lambda v: strided(widths=(2, v))),
    *rows(
        architecture,
        {"classes": 2, "num_steps": 2},
        {"text": "mlp:3", "input_shape": (2,), "classes": 2},
        kept=False,
    ),
    *rows(latency_code, {"num_steps": 2}, {"inputs": torch.rand(2, 3)}, kept=False),
    several(architecture, "input_shape", 2, lambda v: architecture("mlp:3", (v,), 2)),
]
CERTIFY = [
    *(row for kind in (LInf, L2) for row in rows(kind, {"epsilon": 0.25, **SPAN}, {"epsilon": 0.1}, RANGE)),
    *rows(PixelBox, SPAN, {"radius": torch.ones(3)}, RANGE),
    *rows(SpikeFlip, {"count": 2}),
    *rows(Tolerance, {"weights": 0.25, "threshold": 0.25, "decay": 0.25}),
    *rows(StuckNeurons, {"count": 2}),
    several(StuckNeurons, "layers", 1, lambda v: StuckNeurons(1, (v,))),
    *rows(
        equivalent,
        {"timeout": 2.0, "seed": 1, "memory": 100, "workers": 1},
        {"a": NETWORK, "b": NETWORK, "inputs": INPUTS},
        {"timeout": NONE, "memory": NONE, "workers": NONE},
        kept=False,
    ),
    *rows(
        SpikeShift,
        {"jitter": 1, "count": 2, "total": 2},
        {"jitter": 1},
        {"jitter": NONE, "count": NONE, "total": NONE},
    ),
    *(
        several(EventRegion, name, 2, lambda v, name=name: EventRegion(**{name: (0, v)}))
        for name in ("steps", "polarities", "rows", "columns")
    ),
    *rows(PGD, {"steps": 2, "restarts": 2, "step_size": 0.5}, allowed={"step_size": NONE}),
    *rows(APGD, {"steps": 2, "restarts": 2, "rank": 1}, allowed={"rank": NONE}),
    *rows(Square, {"queries": 5, "share": 0.5}),
    *rows(Gaussian, {"draws": 2}),
    *rows(SpikeFlips, {"trials": 2, "swaps": 2}),
    *rows(
        attack,
        {"seed": 1, "batch_size": 1, "timeout": 5.0},
        {"network": NETWORK, "inputs": INPUTS, "labels": LABELS, "perturbation": LInf(0.1), "method": "fgsm"},
        {"timeout": NONE},
        kept=False,
    ),
    *rows(
        verify,
        {"timeout": 5.0, "seed": 1, "memory": 100, "workers": 1},
        {"network": NETWORK, "inputs": INPUTS, "labels": LABELS, "perturbation": LInf(0.1), "verifier": "trains"},
        {"timeout": NONE, "memory": NONE, "workers": NONE},
        kept=False,
    ),
    *rows(
        output_range,
        {"tolerance": 0.5, "timeout": 5.0, "seed": 1, "memory": 100, "workers": 1},
        {"network": NETWORK, "inputs": INPUTS, "perturbation": LInf(0.1), "form": output[0], "tolerance": 0.5},
        {"timeout": NONE, "memory": NONE, "workers": NONE},
        kept=False,
    ),
    *rows(Form, {"constant": 0.5}),
    *(
        several(Form, name, 0.5, lambda v, name=name: Form(**{name: ((0, v),)}))  # type: ignore[arg-type]
        for name in ("outputs", "inputs", "own")
    ),
    *rows(robust, {"label": 1}, None, {"label": NONE}),
    *rows(targeted, {"label": 1}),
    *rows(top_k, {"k": 2, "label": 1}, {"k": 1}, {"label": NONE}),
    *rows(moves_at_most, {"delta": 0.5, "place": 1}, {"delta": 0.5}, {"place": NONE}),
    *rows(abstains, {"threshold": 0.5, "label": 1}, {"threshold": 0.5}, {"label": NONE}),
    *(
        several(ClosedLoop, name, 0.5, lambda v, name=name: closed_loop(**{name: [[v]]}))
        for name in ("A", "B", "C")
    ),
    *(
        several(ClosedLoop, name, 0.5, lambda v, name=name: closed_loop(**{name: (v,)}))
        for name in ("scale", "gain", "disturbance", "noise")
    ),
    *rows(
        certified_radius,
        {"tolerance": 0.5, **SPAN, "timeout": 5.0, "seed": 1, "memory": 100, "workers": 1},
        {"network": NETWORK, "inputs": INPUTS, "labels": LABELS, "verifier": "trains", "tolerance": 0.5},
        {"timeout": NONE, "memory": NONE, "workers": NONE, **RANGE},
        kept=False,
    ),
    *(
        Row("verify in batches", r.name, r.give, r.good, None, r.allowed)
        for r in rows(
            verify,
            {"workers": 1, "batch": 2, "timeout": 5.0, "seed": 1, "memory": 100},
            {
                "network": NETWORK,
                "inputs": INPUTS,
                "labels": LABELS,
                "perturbation": LInf(0.1),
                "verifier": "trains",
                "engine": "local",
            },
            {"workers": NONE, "timeout": NONE, "memory": NONE},
            kept=False,
        )
    ),
    *rows(
        smooth,
        {"sigma": 0.5, "samples": 4, "alpha": 0.5, "selection": 4, "batch_size": 4},
        {
            "network": NETWORK,
            "inputs": INPUTS,
            "sigma": 0.1,
            "samples": 4,
            "alpha": 0.1,
            "generator": torch.Generator(),
        },
        kept=False,
    ),
    *rows(
        rate_certificate,
        {"samples": 4, "alpha": 0.5, "votes": 2, "selection": 4, "batch_size": 4},
        {"network": EVENTS, "inputs": INPUTS, "samples": 4, "alpha": 0.1, "generator": torch.Generator()},
        kept=False,
    ),
    *rows(
        total_variation,
        {"distance": 0.5, "draws": 4},
        {"distance": 0.1, "draws": 4},
        {"distance": ENDS},
        kept=False,
    ),
    *rows(rate_radius, {"probability": 0.75, "draws": 4}, {"probability": 0.75, "draws": 4}, kept=False),
    *rows(
        lower_confidence_bound,
        {"successes": 3, "samples": 5, "alpha": 0.5},
        {"successes": 3, "samples": 5, "alpha": 0.5},
        kept=False,
    ),
    *rows(Milp, {"tolerance": 0.5}, allowed={"tolerance": ENDS - {"-inf"}}),
    *rows(Lirpa, {"iterations": 2}),
    *rows(
        PriceSearch,
        {"iterations": 2, "rate": 0.5, "regroup": 2, "momentum": 0.5, "outlook": 2.0, "reach": 2.0},
        allowed={"outlook": ENDS, "reach": ENDS},
    ),
    *rows(WindowSearch, {"iterations": 2, "rate": 0.5}),
    *rows(Narrowing, {"rounds": 2, "reach": 0.5}, allowed={"reach": ENDS}),
    *rows(RangeSearch, {"iterations": 2, "rate": 0.5, "neurons": 2, "cuts": 2}),
    *rows(Climb, {"iterations": 2, "rate": 0.5, "regroup": 2, "memory": 0.5}),
    several(Climb, "momenta", 0.5, lambda v: Climb(momenta=(v, 0.9))),
    several(RangeSearch, "momenta", 0.5, lambda v: RangeSearch(momenta=(v, 0.9))),
    *rows(
        Search,
        {"batch": 2, "most_bytes": 2, "patience": 2, "memory": 2},
        allowed={"patience": NONE, "memory": NONE},
    ),
    *rows(Fleet, {"workers": 2, "batch": 2}, allowed={"workers": NONE}),
    *rows(Ray, {"retries": 2}),
]
TRAINING = [
    *rows(
        CertifiedLoss,
        {"epsilon": 0.25, "weight": 0.5, "ramp": 0.5, "small_box": 0.5, "q": 0.5, **SPAN},
        None,
        RANGE,
    ),
    *rows(
        CertifiedEvents,
        {"weight": 0.5, "ramp": 0.5, "share": 0.5, "q": 0.5},
        {"threat": SpikeFlip(1)},
    ),
    *rows(CertifiedEvents, {"margin": 0.5}, {"threat": SpikeFlip(1), "bounds": "prefix"}),
    *rows(CertifiedMoves, {"epsilon": 0.5, "delta": 0.5, "ramp": 0.5, **SPAN}, None, RANGE),
    *rows(Huber, {"width": 0.5}),
    *rows(SIBP, {"epsilon": 0.25, "kappa": 0.5, "ramp": 0.5, **SPAN}, None, RANGE),
    *rows(GainPenalty, {"weight": 0.5, "target": 2.0, "iterations": 2}, allowed={"target": NONE}),
    *rows(MarginOverGain, {"weight": 0.5, "epsilon": 0.5}),
    *rows(MSMPPD, {"rho": 2.0, "mix": 0.5}),
    *rows(Ramp, {"start": 0.5, "stop": 2.0, "begin": 0.5, "end": 0.5}, {"start": 0.0, "stop": 1.0}),
    *rows(GaussianNoise, {"sigma": 0.5, **SPAN}, None, RANGE),
    *rows(SingleStep, {"epsilon": 0.5, "start": 0.5, **SPAN}, None, RANGE),
    *rows(PGDTraining, {"epsilon": 0.5, "steps": 2, "step_size": 0.5, **SPAN}, None, {"step_size": NONE, **RANGE}),
    *rows(Retraction, {"beta": 0.5, "share": 0.5}),
    *rows(ChipWeights, {"bits": 4}, {"target": "loihi"}),
    *rows(Augmentation, {"crop": 2, "cutout": 2}),
    *rows(EventAugmentation, {"pixels": 2, "steps": 2}),
    *rows(
        LocalFields,
        {
            "height": 8,
            "width": 8,
            "smallest": 0.5,
            "largest": 2.0,
            "opposed": 0.5,
            "norm": 2.0,
            "reach": 2.0,
            "seed": 2,
        },
    ),
    *rows(
        start_firing,
        {"mean": 0.5, "spread": 0.5},
        {"network": mlp((3, 4, 2), num_steps=2), "images": torch.rand(9, 3)},
        kept=False,
    ),
    *rows(
        own_dataset,
        {"classes": 4, "seed": 1},
        {"name": "mine", "train": (torch.rand(40, 3), torch.arange(40) % 2)},
        {"classes": NONE},
        kept=False,
    ),
    *rows(fit, SETTINGS, {"network": NETWORK, "dataset": DATA, "epochs": 1}, UNSET, kept=False),
    *rows(Settings, SETTINGS, {}, UNSET),
    several(
        own_dataset,
        "limits",
        2.0,
        lambda v: own_dataset("mine", (torch.rand(40, 3), torch.arange(40) % 2), limits=(0.0, v)),
    ),
    *rows(
        regression_dataset,
        {"seed": 1},
        {"name": "mine", "train": (torch.rand(40, 3), torch.arange(40) / 2)},
        kept=False,
    ),
    several(
        regression_dataset,
        "limits",
        2.0,
        lambda v: regression_dataset("mine", (torch.rand(40, 3), torch.rand(40)), limits=(0.0, v)),
    ),
    Row("dataset", "duration", of_recordings, 2.0, allowed=NONE),
    several(dataset, "limits", 1.0, lambda v: dataset("digits", limits=(0.0, v))),
    *rows(dataset, {"seed": 1, "num_steps": 2}, {"name": "digit-events", "num_steps": 2}, kept=False),
    *rows(digit_events, {"num_steps": 2, "noise": 0.5, "seed": 1}, {"num_steps": 2}, kept=False),
    *rows(pulses, {"num_steps": 9, "channels": 2, "samples": 4, "seed": 1}, {"task": "order"}, kept=False),
]
ANALYSIS = [
    *rows(
        neuron_gain,
        {"decay": 0.5, "horizon": 2.0},
        {"decay": 0.5, "horizon": 2},
        {"horizon": ENDS - {"-inf"}},
        kept=False,
    ),
    several(neuron_gain, "input_scale", 0.5, lambda v: neuron_gain(0.5, 2, input_scale=(v, 1.0))),
    *rows(
        neuron_bias,
        {"decay": 0.5, "horizon": 2.0, "initial": 0.5},
        {"decay": 0.5, "horizon": 2},
        {"horizon": ENDS - {"-inf"}},
        kept=False,
    ),
    *rows(
        constant_gain, {"decay": 0.5, "horizon": 2.0}, {"decay": 0.5, "horizon": 2}, {"horizon": ENDS}, kept=False
    ),
    *rows(system, {"layer": 0}, {"network": NETWORK}, {"layer": frozenset({"text"})}, kept=False),
    Row("gain", "horizon", lambda v: gain(NETWORK, horizon=v).layers[0].gain, 2.0, None, NONE | ENDS - {"-inf"}),
    Row("lif", "decay", lif, 0.5),
    *rows(cuba, {"decay": 0.5, "synaptic": 0.5}, {"decay": 0.5, "synaptic": 0.5}, kept=False),
    *rows(
        adaptive,
        {"decay": 0.5, "adaptation": 0.5, "coupling": 0.5},
        {"decay": 0.5, "adaptation": 0.5, "coupling": 0.5},
        kept=False,
    ),
    Row("recurrent", "decay", lambda v: recurrent(v, np.eye(1)), 0.5),
    Row("time_varying", "decay", lambda v: time_varying(v, (1.0, 1.0)), 0.5),
    several(time_varying, "input_scale", 0.5, lambda v: time_varying(0.5, (v, 1.0))),
    several(chain_gain, "decays", 0.5, lambda v: chain_gain((v,), MATRICES, (1.0,))),
    several(chain_gain, "slopes", 0.5, lambda v: chain_gain((0.5,), MATRICES, (v,))),
    several(surrogate_gain, "decays", 0.5, lambda v: surrogate_gain((v,), MATRICES, (1.0,))),
    several(surrogate_gain, "slopes", 0.5, lambda v: surrogate_gain((0.5,), MATRICES, (v,))),
    Row("frequency_response", "decay", lambda v: frequency_response(v, np.ones(1)).tolist(), 0.5),
    Row("train_interval", "num_steps", lambda v: train_interval(torch.ones(1).double(), LIF(), v), 2),
]
THREAT = Threat.of("linf", 0.1)
REPORTS = [
    *rows(
        RadiusPlan, {"tolerance": 0.5, "timeout": 2.0, "samples": 2}, allowed={"timeout": NONE, "samples": NONE}
    ),
    *rows(Plan, {"timeout": 2.0, "seed": 1}, {"threat": THREAT}, {"timeout": NONE}),
    *rows(
        robustness,
        {"label": 1, "classes": 3},
        {"lower": torch.zeros(2), "upper": torch.ones(2), "label": 1, "classes": 3},
        kept=False,
    ),
]
EVERYTHING = [*MODELS, *CERTIFY, *TRAINING, *ANALYSIS, *REPORTS]
