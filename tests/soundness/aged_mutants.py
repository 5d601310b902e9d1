"""Ways to break trains that are told by age, and windows that are found in one walk back."""

from mutant import Mutant

TRAINS = "certify/bounds/long/long_trains.py"
TAILS = "certify/bounds/long/tails.py"
WINDOWS = "certify/bounds/signals/windows.py"
AGED_MUTANTS = (
    Mutant("ages: caps of a step more", TRAINS, "decay ** (i + 1), out=cap", "decay ** (i + 2), out=cap"),
    Mutant("ages: what gets old is forgotten", TRAINS, "        old.alive.bitwise_or_(last.alive)\n", ""),
    Mutant(
        "ages: what is old is where both are",
        TRAINS,
        "last.high, -math.inf).maximum(",
        "last.high, math.inf).minimum(",
    ),
    Mutant(
        "ages: old neurons never fire",
        TRAINS,
        ".minimum((old + ways[-1:])[0])\n            known",
        "\n            known",
    ),
    Mutant(
        "ages: a spike where θ is passed for certain", TRAINS, "self.high >= perhaps", "self.high > surely + 1e-3"
    ),
    Mutant(
        "ages: what must fire may be silent no more, at a step's start",
        TRAINS,
        "(self.low <= surely)",
        "(self.low <= surely - 1e-3)",
    ),
    Mutant("tails: what is old waits for ever", TAILS, ".minimum(fired + fires)", ""),
    Mutant("tails: a window of the trains of one node", TAILS, "found[:, 1, t - begin]", "found[:, 0, t - begin]"),
    Mutant("tails: no spike behind a silence", TAILS, "later[-1] | self.next[:, :, i]", "later[-1]"),
    Mutant("tails: nodes up to k are k", TAILS, "        both[1, k, :-1] |= both[1, k - 1, 1:]\n", ""),
    Mutant(
        "windows: a later signal's factors",
        WINDOWS,
        "torch.cat((self.factors[waits:], self.factors.new_ones(waits)))",
        "self.factors",
    ),
    Mutant("windows: a synapse forgets no step", WINDOWS, "ages * decay", "ages"),
    Mutant(
        "windows: a delay of a step less",
        WINDOWS,
        "    last = last - waits\n",
        "    last = last - max(0, waits - 1)\n",
    ),
)
