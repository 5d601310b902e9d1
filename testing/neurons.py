"""Hypothesis strategies of neurons, of which the registry of elements says what constants they have."""

from typing import Any, TypeVar

import torch

from ..models.elements.neuron import AdaptiveLIF
from ..models.elements.neurons import DLIF, LEAKY, LIF
from ..models.elements.registry import ELEMENTS, Nonnegative, Positive, Real, UpToOne, Wait, or_none

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("spikecert.testing needs a package: pip install hypothesis") from error

Neuron = TypeVar("Neuron", bound=LIF)

DECAYS = st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 1.0]) | st.floats(2.0**-126, 1.0)
"""0, or normal in both dtypes: a circuit refuses what is subnormal in the run."""
THRESHOLDS = st.sampled_from([1.0, 1.0, 0.25, 3.0])
RESETS = st.sampled_from(["zero", "subtract", "none"])
FIRES = st.sampled_from([">=", ">"])
AMOUNTS = st.sampled_from([None, None, 0.5, 1.25, 2.0])
"""What a subtracting reset takes away, as a share of θ; None: θ."""
RISES = st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(2.0**-100, 4.0)
"""What a spike adds to an adaptive threshold."""
FACTORS = st.sampled_from([-1.5, -0.5, 0.0, 0.5, 1.0, 1.25])
RESTS, SEEDS = st.integers(0, 3), st.integers(0, 2**31)
FORMS: dict[Any, st.SearchStrategy[Any]] = {
    UpToOne: DECAYS,
    Positive: THRESHOLDS,
    Nonnegative: RISES,
    Real: FACTORS,
    Wait: RESTS,
    or_none(Wait): st.none() | RESTS,
}
"""What is drawn of each type of field; leaky neurons' own are drawn together."""


@st.composite
def neurons(draw: st.DrawFn, num_steps: int, scaled: bool | None = None, reset: str | None = None) -> LIF:
    """Return a LIF, or a DLIF whose input scale may be negative, zero or constant.

    Args:
        num_steps: T, the length of a DLIF's input scale.
        scaled: True: a DLIF, False: a LIF, None: either.
        reset: "zero", "subtract" or "none"; None: any.
    """
    constants = draw(_constants(RESETS if reset is None else st.just(reset)))
    if not (draw(st.booleans()) if scaled is None else scaled):
        return LIF(**constants)
    neuron = DLIF(num_steps, **constants)
    neuron.input_scale.data = torch.tensor(draw(st.lists(FACTORS, min_size=num_steps, max_size=num_steps)))
    return neuron


@st.composite
def _constants(draw: st.DrawFn, resets: st.SearchStrategy[str]) -> dict[str, Any]:
    threshold, reset = draw(THRESHOLDS), draw(resets)
    constants = {"decay": draw(DECAYS), "threshold": threshold, "reset": reset, "fires_at": draw(FIRES)}
    share = draw(AMOUNTS) if reset == "subtract" else None
    return constants | {"reset_amount": None if share is None else share * threshold}


@st.composite
def adaptive_neurons(draw: st.DrawFn) -> AdaptiveLIF:
    """Return neurons of adaptive thresholds: those that never rise, too, and those that never come back."""
    return draw(registered(AdaptiveLIF, st.sampled_from(["zero", "subtract"])))


@st.composite
def registered(draw: st.DrawFn, kind: type[Neuron], resets: st.SearchStrategy[str] = RESETS) -> Neuron:
    """Return neurons of a type, each field of its element drawn by the field's type.

    Args:
        kind: whose constructor takes those fields by their names.
        resets: of those that have one.
    """
    fields, leaky = ELEMENTS[kind].fields or {}, draw(_constants(resets))
    own = {name: draw(FORMS[form]) for name, form in fields.items() if name not in LEAKY}
    return kind(**{name: value for name, value in leaky.items() if name in fields}, **own)
