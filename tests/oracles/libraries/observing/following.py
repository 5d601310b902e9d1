"""What each layer is given must be known, and of one step: a guess that fits what was compared is no proof."""

from collections.abc import Mapping

from spikecert.models.conversion.refusal import ConversionRefused

from .data_flow import leaves, told
from .hearing import common_origin
from .observed_layers import Call, ObservedLayer
from .places import at

EXPECTED = (
    "expected layers in one chain, sums of two signals of one shape, products of spikes, and nothing else between "
    "them (a function, an encoder: give encoded inputs with encoding='none')"
)


def not_given(observed: ObservedLayer) -> ConversionRefused:
    """Return the refusal of a layer that is given something else than what it is said to be given."""
    given = f"is not given what {told(observed.origin)} gives{at(observed.place)}"
    return ConversionRefused(f"{observed.name}: {given}; {EXPECTED}")


def check_followed(layers: Mapping[str, ObservedLayer], calls: Mapping[str, list[Call]]) -> None:
    """Raise where it is not known what a layer is given, or it is what another one gave at an earlier step.

    Raises:
        ConversionRefused: even if what was compared is the same, as where nothing fires.
    """
    for name, observed in layers.items():
        if common_origin(calls[name]) is None:
            raise not_given(observed)
        for step, call in enumerate(calls[name]):
            _check_step(observed, call, step, calls)


def _check_step(observed: ObservedLayer, call: Call, step: int, calls: Mapping[str, list[Call]]) -> None:
    assert call.origin is not None
    for leaf in leaves(call.origin):
        before = calls.get(leaf.name, [])
        expands = len(before) == 1 and before[0].expands
        several = min(len(before[0].gave) if expands else len(before), len(calls[observed.name])) > 1
        if several and leaf.call != step and (expands or leaf.call is not None):
            raise ConversionRefused(
                f"{observed.name}: is not given what {leaf.name} gives at the same step{at(call.place)}; expected "
                "that, or a layer that hears its own last spikes and adds to its own current"
            )
