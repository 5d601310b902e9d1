"""Ways to break what is known of layers that move numbers, spread them or average them."""

from mutant import Mutant

SELECTING = "models/linear_maps/selecting.py"
SPREADING = "models/linear_maps/transposed.py"
AVERAGING = "models/linear_maps/averaging.py"
MOVING_MUTANTS = (
    Mutant(
        "padding: the sides of a sequence are those of its one row",
        SELECTING,
        "(*zeros_at(layer), 0, 0)",
        "(0, 0, *zeros_at(layer))",
    ),
    Mutant(
        "padding: any value is taken for 0",
        SELECTING,
        "if layer.value != 0:",
        "if False:",
    ),
    Mutant(
        "upsampling: copies of an input are taken for one",
        SELECTING,
        "return min(before, 1) if self.repeats else before",
        "return before",
    ),
    Mutant(
        "transposed: moduli keep their signs",
        SPREADING,
        "return replace(self, weight=self.weight.abs(), offset=None)",
        "return replace(self, offset=None)",
    ),
    Mutant(
        "transposed: a product is a term of every group",
        SPREADING,
        "self.channels // self.groups * self.weight[0, 0].numel()",
        "self.weight.shape[1] * self.weight[0, 0].numel()",
    ),
    Mutant(
        "transposed: products under a kernel that is not turned",
        SPREADING,
        ".flatten(0, 1).flip(2, 3)",
        ".flatten(0, 1)",
    ),
    Mutant(
        "averages: windows end an entry early",
        AVERAGING,
        "-((window + 1) * size // -count)",
        "((window + 1) * size // count).maximum(start + 1)",
    ),
    Mutant(
        "averages: squares are the averages over a window's size again",
        AVERAGING,
        "return self._averages(x, 2 * self.order)",
        "return self._averages(x, 3 * self.order)",
    ),
    Mutant(
        "averages: an adjoint adds up one window",
        AVERAGING,
        "self.terms + _most(self.inputs, self.outputs, 0) + 4",
        "0",
    ),
    Mutant(
        "reshape: an Unflatten may part the batch",
        "models/linear_maps/flattening.py",
        "if self.axis % x.dim() == 0:",
        "if False:",
    ),
    Mutant(
        "checker: an upsampling by 3",
        "checking/maps/moving.py",
        "any(factor & factor - 1 for factor in factors)",
        "False",
    ),
    Mutant(
        "checker: a padding names the first axis first",
        "checking/maps/moving.py",
        "for k in reversed(range(0, len(ends), 2))",
        "for k in range(0, len(ends), 2)",
    ),
    Mutant(
        "checker: a transposed kernel is turned",
        "checking/maps/spreading.py",
        "+ np.arange(count) * gap - side",
        "+ np.arange(count)[::-1] * gap - side",
    ),
    Mutant(
        "checker: windows of an average end an entry early",
        "checking/maps/spreading.py",
        "(place < -((window + 1) * size // -count))",
        "(place < np.maximum((window + 1) * size // count, window * size // count + 1))",
    ),
    Mutant(
        "checker: pixels of a shuffle the other way round",
        "checking/maps/moving.py",
        ".transpose(0, 3, 1, 4, 2)",
        ".transpose(0, 3, 2, 4, 1)",
    ),
)
