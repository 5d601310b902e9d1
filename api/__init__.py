"""spikecert: how far a spiking neural network can be trusted, with proof.

Names are imported on first use, so that `import spikecert` and the command line start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikecert.analysis import GainReport, Theorem, gain, mppd, neuron_gain, theorem, theorems
    from spikecert.certify import (
        L2,
        AttackResult,
        LInf,
        LogitBounds,
        Radius,
        SmoothedVerdict,
        SoundnessError,
        SpikeFlip,
        Verdict,
        attack,
        certified_radius,
        certify_set,
        reconcile,
        smooth,
        verify,
    )
    from spikecert.certify.verification import bounds
    from spikecert.models import (
        DLIF,
        LIF,
        PLIF,
        Arctan,
        Circuit,
        Conversion,
        ConversionCheck,
        ConversionRefused,
        Dynamics,
        Normalize,
        RateDraws,
        Residual,
        Share,
        Sigmoid,
        SpikingNetwork,
        Surrogate,
        Synapse,
        Trace,
        Triangle,
        architecture,
        check_conversion,
        circuit,
        convert,
        from_nir,
        from_norse,
        from_snntorch,
        from_spikingjelly,
        load,
        mlp,
        network_hash,
        save,
        settled,
        to_nir,
        vgg5,
        vgg11,
        wrn16_4,
    )
    from spikecert.reports import Record, load_record, measure, record, render
    from spikecert.training import (
        MSMPPD,
        SIBP,
        Augmentation,
        CertifiedLoss,
        CrossEntropy,
        GainPenalty,
        GaussianNoise,
        LocalFields,
        MarginOverGain,
        PGDTraining,
        Ramp,
        Retraction,
        SingleStep,
        TrainingRun,
        dataset,
        fit,
        own_dataset,
    )

__version__ = "0.1.0"

__all__ = [
    "DLIF",
    "L2",
    "LIF",
    "MSMPPD",
    "PLIF",
    "SIBP",
    "Arctan",
    "AttackResult",
    "Augmentation",
    "CertifiedLoss",
    "Circuit",
    "Conversion",
    "ConversionCheck",
    "ConversionRefused",
    "CrossEntropy",
    "Dynamics",
    "GainPenalty",
    "GainReport",
    "GaussianNoise",
    "LInf",
    "LocalFields",
    "LogitBounds",
    "MarginOverGain",
    "Normalize",
    "PGDTraining",
    "Radius",
    "Ramp",
    "RateDraws",
    "Record",
    "Residual",
    "Retraction",
    "Share",
    "Sigmoid",
    "SingleStep",
    "SmoothedVerdict",
    "SoundnessError",
    "SpikeFlip",
    "SpikingNetwork",
    "Surrogate",
    "Synapse",
    "Theorem",
    "Trace",
    "TrainingRun",
    "Triangle",
    "Verdict",
    "__version__",
    "architecture",
    "attack",
    "bounds",
    "certified_radius",
    "certify_set",
    "check_conversion",
    "circuit",
    "convert",
    "dataset",
    "fit",
    "from_nir",
    "from_norse",
    "from_snntorch",
    "from_spikingjelly",
    "gain",
    "load",
    "load_record",
    "measure",
    "mlp",
    "mppd",
    "network_hash",
    "neuron_gain",
    "own_dataset",
    "reconcile",
    "record",
    "render",
    "save",
    "settled",
    "smooth",
    "theorem",
    "theorems",
    "to_nir",
    "verify",
    "vgg5",
    "vgg11",
    "wrn16_4",
]

_FOLDERS = {
    "analysis": ("GainReport", "Theorem", "gain", "mppd", "neuron_gain", "theorem", "theorems"),
    "certify": (
        *(
            "L2",
            "AttackResult",
            "LInf",
            "LogitBounds",
            "Radius",
            "SmoothedVerdict",
            "SoundnessError",
            "SpikeFlip",
            "Verdict",
        ),
        *("attack", "certified_radius", "certify_set", "reconcile", "smooth", "verify"),
    ),
    "certify.verification": ("bounds",),  # `certify.bounds` is the folder
    "models": (
        *("Conversion", "ConversionCheck", "ConversionRefused", "check_conversion", "convert", "from_nir"),
        *("from_norse", "from_snntorch", "from_spikingjelly", "to_nir"),
        *("DLIF", "LIF", "Arctan", "Dynamics", "Normalize", "RateDraws", "Residual", "Share", "Sigmoid"),
        *(
            "SpikingNetwork",
            "Surrogate",
            "Synapse",
            "Trace",
            "Triangle",
            "architecture",
            "load",
            "mlp",
            "network_hash",
            "save",
        ),
        *("Circuit", "PLIF", "circuit", "settled", "vgg5", "vgg11", "wrn16_4"),
    ),
    "reports": ("Record", "load_record", "measure", "record", "render"),
    "training": (
        *("MSMPPD", "Augmentation", "CertifiedLoss", "CrossEntropy", "GainPenalty", "GaussianNoise"),
        *("LocalFields", "MarginOverGain", "PGDTraining", "Ramp", "Retraction", "SIBP", "SingleStep"),
        *("TrainingRun", "dataset", "fit", "own_dataset"),
    ),
}
_HOMES = {name: folder for folder, names in _FOLDERS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    if name in _FOLDERS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
