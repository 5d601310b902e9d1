"""What the sets of a threat model are, in words."""

from ..records.network_rules import EventRules, in_words
from ..records.schema import Threat

NORM_SIGNS = {
    "linf": "ℓ∞",
    "l2": "ℓ2",
    "l1": "ℓ1",
    "box": "units of each feature",
    "l0": "flipped events",
    "shift": "shifted events",
    "l0+shift": "flipped events beside moves",
    "tolerance": "tolerance",
    "stuck": "stuck neurons",
}
NORMS = {
    "linf": "linf",
    "l2": "l2",
    "flips": "l0",
    "shift": "shift",
    "flips+shift": "l0+shift",
    "tolerance": "tolerance",
    "stuck": "stuck",
}
"""How people name norms, and how records do."""
DISTANCES = {
    "linf": "every input value may move by at most ε, each independently",
    "l2": "the Euclidean length of the whole change is at most ε",
}
FLIPS = {"flip": "inserted or deleted", "insert": "inserted", "delete": "deleted"}
SHIFTS = {
    "total": "events may come earlier or later, by ε steps in all",
    "count": "at most ε events may come earlier or later",
    "jitter": "each event may come up to ε steps earlier or later",
}
LIMITS = {
    "count": "at most {} of them",
    "jitter": "each by at most {} steps",
    "total": "by at most {} steps in all",
}
MERGED = {"add": "two in one entry are two", "refuse": "none onto another one"}


def sign(threat: Threat) -> str:
    """Return the norm in a few words, such as "ℓ∞" or "flipped events (kind insert, steps 0 to 2)"."""
    rules = threat.rules
    if threat.of_networks:
        return f"{NORM_SIGNS[threat.norm]} ({', '.join(_of_networks(threat))})"
    if threat.features:
        return f"{NORM_SIGNS[threat.norm]} ({in_words(threat.features)})"
    told = [f"{name} {value}" for name, value in rules.told.items() if name != "where"]
    told += _blocks(rules)
    return NORM_SIGNS[threat.norm] + (f" ({', '.join(told)})" if told else "")


def ends(threat: Threat) -> str:
    """Return between which ends inputs stay."""
    if not threat.features:
        return f"[{threat.lower:g}, {threat.upper:g}]"
    told = (f"{one.name} in [{one.lower:g}, {one.upper:g}] {one.unit}".rstrip() for one in threat.features)
    return f"their ranges ({', '.join(told)})"


def distance(threat: Threat) -> str:
    """Return what an adversary may change, as a clause."""
    if threat.norm in DISTANCES:
        return DISTANCES[threat.norm]
    if threat.of_networks:
        return members(threat)
    if threat.features:
        return f"each feature may move by ε times its own size: {in_words(threat.features)}"
    blocks = _blocks(threat.rules)
    where = f" in {', '.join(blocks)}" if blocks else ""
    if threat.norm == "l0":
        return _flips(threat.rules, where)
    if threat.norm == "l0+shift":
        moves = _moves("events may come earlier or later", threat.rules, where)
        return f"{moves}; and {_flips(threat.rules, where)}"
    return _moves(SHIFTS[threat.rules.budget], threat.rules, where)


def members(threat: Threat, size: str = "ε") -> str:
    """Return which networks a set of one size holds, as a clause."""
    others = threat.others
    if threat.norm == "stuck":
        layers = "" if others.layers is None else f" of spiking layers {', '.join(map(str, others.layers))}"
        told = [f"up to {size} of all neurons that fire{layers} may be stuck, each at silence or at firing"]
    else:
        shares = {name: getattr(others, name) for name in PLURALS} | {others.varied: size}
        parts = (
            f"every {PLURALS[name]} within {share if isinstance(share, str) else _percent(share)} of itself"
            for name, share in shares.items()
            if share
        )
        told = [f"{', '.join(parts)}, each number by itself"]
    around = others.around
    ball = "" if around is None else f"; and {DISTANCES[around.norm].replace('ε', around.text)}"
    return "".join(told) + (ball or "; inputs stay as they are")


PLURALS = {"weights": "weight and bias", "threshold": "threshold", "decay": "decay"}


def _of_networks(threat: Threat) -> list[str]:
    others = threat.others
    told = [others.varied] if threat.norm == "tolerance" else []
    told += [f"{name} {_percent(share)}" for name in PLURALS if (share := getattr(others, name)) is not None]
    told += [] if others.layers is None else [f"layers {' '.join(map(str, others.layers))}"]
    told += [] if others.around is None else [f"with {NORM_SIGNS[others.around.norm]} {others.around.text}"]
    return told or ["any layer"]


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


def _flips(rules: EventRules, where: str) -> str:
    return f"at most ε events{where} may be {FLIPS[rules.kind]}, over all steps together"


def _moves(what: str, rules: EventRules, where: str) -> str:
    parts = [what]
    limits = ((name, getattr(rules, name)) for name in LIMITS)
    parts += [LIMITS[name].format(limit) for name, limit in limits if limit is not None]
    parts += [f"only those{where}"] if where else []
    parts += [MERGED[rules.merge]] if rules.merge in MERGED else []
    parts += ["those at the border may leave"] if rules.border == "leave" else []
    return ", ".join(parts)


def _blocks(rules: EventRules) -> list[str]:
    """Return each interval of the region, both ends included."""
    found = () if rules.where is None else rules.where
    return [f"{name} {ends[0]} to {ends[1] - 1}" for name, ends in found if ends is not None]
