"""Ways to break bounds beside those of trains: affine maps, membranes, prices and readouts."""

from mutant import Mutant

BOUNDS = "certify/bounds/"
MAPS = "models/linear_maps/"
BOUND_MUTANTS = (
    Mutant(
        "membrane: forget the sign of the input scale",
        "certify/bounds/signals/membrane.py",
        "return Box(one.minimum(other), one.maximum(other))",
        "return Box(one, other)",
    ),
    Mutant(
        "membrane: forget the rounding of the run",
        "certify/bounds/signals/membrane.py",
        "        (lower - slack).expand(shape),\n        (upper + slack).expand(shape),",
        "        (lower + slack).expand(shape),\n        (upper - slack).expand(shape),",
    ),
    Mutant(
        "windows: one decay too many",
        "certify/bounds/signals/membrane.py",
        "(end - step).clamp_min(0)",
        "(end - step + 1).clamp_min(0)",
    ),
    Mutant(
        "windows: leave out their first step",
        "certify/bounds/signals/membrane.py",
        "(step >= start)",
        "(step > start)",
    ),
    Mutant(
        "windows: forget the input scale",
        "certify/bounds/signals/membrane.py",
        "rows = rows * scale",
        "rows = rows",
    ),
    Mutant(
        "box: round inward",
        "certify/bounds/signals/box.py",
        "Box(lower - _step(lower), upper + _step(upper))",
        "Box(lower + 1e4 * _step(lower), upper - 1e4 * _step(upper))",
    ),
    Mutant(
        "affine: W in place of |W|",
        "certify/bounds/signals/affine.py",
        "behind(self.linear, self.absolute, box.spread)",
        "behind(self.linear, self.linear, box.spread)",
    ),
    Mutant(
        "affine: a ball's rows without the square root",
        "certify/bounds/signals/affine.py",
        "return (self.squared(ones) + self.terms * torch.finfo(ones.dtype).tiny).sqrt()",
        "return self.squared(ones)",
    ),
    Mutant(
        "affine: batch norm's radius keeps the sign of its weight",
        MAPS + "normalizing.py",
        "return _Factor(self.factor.abs(), self.axes)",
        "return _Factor(self.factor, self.axes)",
    ),
    Mutant(
        "affine: a pixel that padding repeats counts once",
        MAPS + "convolution.py",
        "return (plain + lost) * _repeats(self, x)",
        "return plain + lost",
    ),
    Mutant(
        "affine: products lose nothing where factors flush to zero",
        "certify/rounding/sums.py",
        "terms * (1.0 + reach + largest)",
        "terms",
    ),
    Mutant(
        "affine: batch norm takes the last axis of sequences",
        MAPS + "normalizing.py",
        "if x.dim() != 1 + layer.axes:",
        "if False:",
    ),
    Mutant(
        "affine: any variance of a batch norm has a root",
        MAPS + "normalizing.py",
        "if not (least >= 0.0 and least + self.eps >= tiny):",
        "if False:",
    ),
    Mutant(
        "rounding: the threshold is compared without its own rounding",
        "certify/rounding/recursion.py",
        "return 8 * rounding.unit * threshold",
        "return 0 * threshold",
    ),
    Mutant(
        "rounding: a step of a recursion is exact",
        "certify/rounding/recursion.py",
        "return 8 * rounding.unit * (decay * before + entering)",
        "return 0 * (decay * before + entering)",
    ),
    Mutant(
        "rounding: reading a sum over time is exact",
        "certify/rounding/readouts.py",
        "return 16 * rounding.unit * magnitude",
        "return 0 * magnitude",
    ),
    Mutant(
        "rounding: lengths whose squares vanish are 0",
        "certify/rounding/units.py",
        "(values.square().sum(dim) + values.shape[dim] * torch.finfo(values.dtype).tiny).sqrt()",
        "values.square().sum(dim).sqrt()",
    ),
    Mutant(
        "potentials and readouts: never mind an overflow on the way",
        "certify/rounding/recursion.py",
        "if not most <= rounding.largest:",
        "if False:",
    ),
    Mutant(
        "prices: a bound that overflowed is infinite",
        "certify/bounds/prices/prices.py",
        "return bound.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)",
        "return bound",
    ),
    Mutant(
        "signals: forget one part of a residual sum",
        "certify/bounds/signals/signals.py",
        "self.first.steps() + self.second.steps()",
        "self.first.steps()",
    ),
    Mutant(
        "propagation: drop the spread of the last layer",
        BOUNDS + "propagation.py",
        "return gap - spread - slack",
        "return gap - slack",
    ),
    Mutant(
        "propagation: drop the rounding of the last layer",
        BOUNDS + "propagation.py",
        "return gap - spread - slack - slack.gather(1, labels[:, None])",
        "return gap - spread",
    ),
    Mutant(
        "propagation: the difference of moduli for the modulus of a difference, where classes are many",
        BOUNDS + "propagation.py",
        "(weight[label] - weight).abs()",
        "(weight[label].abs() - weight.abs()).abs()",
    ),
    Mutant(
        "propagation: the last potential's weights in reverse",
        BOUNDS + "readouts.py",
        'rows = {"potential": rows[-1:], ',
        'rows = {"potential": rows[-1:].flip(1), ',
    ),
    Mutant(
        "counts: the search asks for a positive margin less",
        "certify/bounds/prices/prices.py",
        "constant = constant - self.specifications.floor",
        "constant = constant - 2.0 * self.specifications.floor",
    ),
    Mutant(
        "gain: a train agrees at the step at which it first differs",
        "certify/bounds/prices/gain_rows.py",
        "device=current.device).triu()",
        "device=current.device).triu(1)",
    ),
    Mutant(
        "prices: the wrong corner of a row",
        "certify/bounds/prices/price_table.py",
        "(price * self.low).maximum(price * self.high)",
        "(price * self.low).minimum(price * self.high)",
    ),
    Mutant(
        "prices: forget the constant of a layer",
        "certify/bounds/prices/prices.py",
        "bound = bound + least.value + constant",
        "bound = bound + least.value",
    ),
    Mutant(
        "prices: rounding paid to the wrong side",
        "certify/bounds/prices/priced_layer.py",
        "paid = value - (prices.abs() * self.priced.slack).sum(0)",
        "paid = value + 1e3 * (prices.abs() * self.priced.slack).sum(0)",
    ),
    Mutant(
        "prices: a neuron settled at one step counts as settled",
        "certify/bounds/prices/priced_layer.py",
        "fixed = (spikes.lower == spikes.upper).flatten(2).all(0)",
        "fixed = (spikes.lower == spikes.upper).flatten(2).any(0)",
    ),
    Mutant(
        "prices: swap the signs of label and class",
        "certify/bounds/prices/prices.py",
        "scatter_(1, labels[samples, None], 1.0).scatter_(1, classes[:, None], -1.0)",
        "scatter_(1, labels[samples, None], -1.0).scatter_(1, classes[:, None], 1.0)",
    ),
    Mutant(
        "priced graph: the upper end of a current for its lower",
        "certify/bounds/prices/price_graph.py",
        "self.value[: t + 1].sub_(price * graph.lower[t])",
        "self.value[: t + 1].sub_(price * graph.upper[t])",
    ),
    Mutant(
        "priced graph: a new segment among the steeper ones",
        "certify/bounds/prices/price_graph.py",
        "above = (place > segments.rank[t])",
        "above = (place < segments.rank[t])",
    ),
    Mutant(
        "linear: prove by the compiled paths",
        "certify/bounds/prices/price_search.py",
        "Climbed(whole.evaluate(pair_prices(whole, kept)).bound, kept)",
        "Climbed(best, kept)",
    ),
)
