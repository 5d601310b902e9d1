"""Ways to break what a network is read as: constants, rules, linear maps, circuits, readers, the checker."""

from mutant import Mutant

BOUNDS = "certify/bounds/"
CHECKING = "checking/"
CIRCUIT = "models/circuit/"
CONSTANTS = "models/constants.py"
LIRPA = "certify/lirpa/"
MAPS = "models/linear_maps/"
MILP = "certify/milp/"
RULES = "models/rules.py"
CONSTANT_MUTANTS = (
    Mutant(
        "constants: NaN is a number",
        CONSTANTS,
        "if math.isnan(found) or (math.isinf(found) and finite):",
        "if math.isinf(found) and finite:",
    ),
    Mutant(
        "constants: drop what is behind the point", CONSTANTS, "if not isinstance(number, Integral):", "if False:"
    ),
    Mutant("constants: a truth value is a number", CONSTANTS, "if isinstance(value, bool) or not", "if not"),
    Mutant("constants: a decay above 1", CONSTANTS, "if not 0.0 <= found <= 1.0:", "if not 0.0 <= found:"),
    Mutant(
        "constants: a threshold of 0",
        CONSTANTS,
        "if not 0.0 < found < math.inf:",
        "if not 0.0 <= found < math.inf:",
    ),
    Mutant(
        "constants: subnormal numbers are normal",
        CONSTANTS,
        "not limits.tiny <= abs(value) <= limits.max",
        "not 0.0 <= abs(value) <= limits.max",
    ),
    Mutant(
        "rules: a potential grows by θ alone",
        RULES,
        "return max(self.threshold, self.drop)",
        "return self.threshold",
    ),
    Mutant("rules: any decay is normal", RULES, '{"decay": self.decay, "threshold"', '{"threshold"'),
    Mutant("rules: any scale is normal", RULES, "for value in self.scale or ():", "for value in ():"),
    Mutant(
        "rules: a tensor is a plain constant",
        RULES,
        "if type(value) is not kind:",
        "if not hasattr(value, '__class__'):",
    ),
)
MAP_MUTANTS = (
    Mutant(
        "maps: a subclass runs as its base",
        MAPS + "base.py",
        "element = ELEMENTS.get(type(layer))",
        "element = next((each for kind, each in ELEMENTS.items() if isinstance(layer, kind)), None)",
    ),
    Mutant(
        "dense: |W| keeps signs",
        MAPS + "dense.py",
        "DenseMap(self.weight.abs(), None,",
        "DenseMap(self.weight, None,",
    ),
    Mutant(
        "dense: squares are moduli", MAPS + "dense.py", "self.weight.square().to(x)", "self.weight.abs().to(x)"
    ),
    Mutant(
        "dense: powers are moduli",
        MAPS + "dense.py",
        "weight=self.weight.abs() ** order",
        "weight=self.weight.abs()",
    ),
    Mutant(
        "dense: one term fewer",
        MAPS + "dense.py",
        "return self.weight.shape[1]\n",
        "return self.weight.shape[1] - 1\n",
    ),
    Mutant(
        "convolution: |K| keeps signs",
        MAPS + "convolution.py",
        "replace(self, weight=self.weight.abs(), offset=None)",
        "replace(self, weight=self.weight, offset=None)",
    ),
    Mutant(
        "convolution: |K| keeps its bias",
        MAPS + "convolution.py",
        "replace(self, weight=self.weight.abs(), offset=None)",
        "replace(self, weight=self.weight.abs())",
    ),
    Mutant(
        "convolution: powers keep signs",
        MAPS + "convolution.py",
        "weight=self.weight.abs() ** order",
        "weight=self.weight**order",
    ),
    Mutant(
        "convolution: one path where padding repeats pixels",
        MAPS + "convolution.py",
        'return 1 if before == 2 and self.padding_mode == "zeros" else 0',
        "return 1 if before == 2 else 0",
    ),
    Mutant(
        "convolution: a pixel that padding repeats has several products",
        MAPS + "convolution.py",
        'return partial(_kernel_products, self) if self.padding_mode == "zeros" else None',
        "return partial(_kernel_products, self)",
    ),
    Mutant(
        'convolution: "same" pads the larger half in front',
        MAPS + "convolution.py",
        "(total // 2, total - total // 2)",
        "(total - total // 2, total // 2)",
    ),
    Mutant(
        "convolution: rows padded as columns",
        MAPS + "convolution.py",
        "F.pad(x, (left, right, top, bottom), mode=mode)",
        "F.pad(x, (top, bottom, left, right), mode=mode)",
    ),
    Mutant(
        "convolution: the batch for channels",
        MAPS + "convolution.py",
        "        check_axes(self, x, 3)\n",
        "",
    ),
    Mutant(
        "convolution: a folded scale is exact",
        MAPS + "convolution.py",
        "offset=None, roundings=self.roundings + roundings)",
        "offset=None)",
    ),
    Mutant(
        "pool: overlapping windows do not mix",
        MAPS + "pooling.py",
        "all(step >= size for",
        "all(step >= size - 1 for",
    ),
    Mutant(
        "pool: padding changes no window's size",
        MAPS + "pooling.py",
        "plain = self.padding == (0, 0) and not self.ceil_mode",
        "plain = not self.ceil_mode",
    ),
    Mutant(
        "pool: windows beyond the edge are whole",
        MAPS + "pooling.py",
        "return not (self.ceil_mode or (any(self.padding) and not self.count_include_pad))",
        "return not (any(self.padding) and not self.count_include_pad)",
    ),
    Mutant(
        "pool: padding that does not count counts",
        MAPS + "pooling.py",
        "return not (self.ceil_mode or (any(self.padding) and not self.count_include_pad))",
        "return not self.ceil_mode",
    ),
    Mutant("pool: powers of half the size", MAPS + "pooling.py", "** (1 - order)", "** -order"),
    Mutant(
        "pool: take any divisor for the size",
        MAPS + "pooling.py",
        "if layer.divisor_override is not None:",
        "if False:",
    ),
    Mutant(
        "batch norm: squares are moduli",
        MAPS + "normalizing.py",
        "self._factor_of(x).square()",
        "self._factor_of(x).abs()",
    ),
    Mutant(
        "batch norm: forget the mean",
        MAPS + "normalizing.py",
        "self._column(exact(self.offset, self.mean) - self._shift)",
        "self._column(exact(self.offset, self.mean))",
    ),
    Mutant(
        "batch norm: forget eps",
        MAPS + "normalizing.py",
        "return weight / (self.variance + self.eps).sqrt()",
        "return weight / self.variance.sqrt()",
    ),
    Mutant(
        "batch norm: a subnormal weight is accurate",
        MAPS + "normalizing.py",
        "if bool(((part != 0) & (part.abs() < tiny)).any()):",
        "if False:",
    ),
    Mutant(
        "batch norm: statistics of a batch",
        MAPS + "normalizing.py",
        "if layer.running_mean is None or layer.running_var is None:",
        "if False:",
    ),
    Mutant("flatten: nothing mixes", MAPS + "flattening.py", "return before", "return 2"),
    Mutant("flatten: take the batch, too", MAPS + "flattening.py", "if layer.start_dim == 0:", "if False:"),
    Mutant("sequences: vectors for rows", MAPS + "sequences.py", "        check_axes(self, x, 2)\n", ""),
    Mutant(
        "sequences: padding on the wrong side", MAPS + "sequences.py", "(0, 0, left, right)", "(0, 0, right, left)"
    ),
    Mutant("sequences: no dilation", MAPS + "sequences.py", "(1, layer.dilation[0])", "(1, 1)"),
    Mutant(
        "sequences: pools step by their size",
        MAPS + "sequences.py",
        "(1, step), (0, padding)",
        "(1, size), (0, padding)",
    ),
    Mutant(
        "sequences: W for |W|", MAPS + "sequences.py", "return OneRowMap(self.inner.absolute())", "return self"
    ),
)
READER_MUTANTS = (
    Mutant(
        "lowering: a layer of no known type runs by its rule",
        CIRCUIT + "lowering.py",
        'changed = {"type"} if owner is None else',
        "changed = set() if owner is None else",
    ),
    Mutant(
        "lowering: a subclass of the network runs as the network",
        CIRCUIT + "lowering.py",
        "changed = overridden(type(network), SpikingNetwork)",
        "changed = set()",
    ),
    Mutant(
        "lowering: a shortcut for a branch",
        CIRCUIT + "lowering.py",
        "Added(name, (branch, shortcut))",
        "Added(name, (branch, branch))",
    ),
    Mutant(
        "lowering: a shortcut behind its branch",
        CIRCUIT + "lowering.py",
        "self.through(layer.shortcut, source,",
        "self.through(layer.shortcut, branch,",
    ),
    Mutant(
        "lowering: the last potential of neurons that reset",
        CIRCUIT + "lowering.py",
        'if getattr(rule, "reset", None) != "none":',
        "if False:",
    ),
    Mutant(
        "lowering: weights of several dtypes", CIRCUIT + "lowering.py", "if tensor.dtype != made.dtype or", "if"
    ),
    Mutant("lowering: any constant is normal", CIRCUIT + "lowering.py", "rule.check(made.dtype)", "pass"),
    Mutant(
        "lowering: a layer's hooks do not run",
        CIRCUIT + "lowering.py",
        "name: str) -> int:\n        check_unchanged(layer, name)",
        "name: str) -> int:",
    ),
    Mutant(
        "unchanged: hooks do not run",
        CIRCUIT + "unchanged.py",
        "if module._forward_hooks or module._forward_pre_hooks else []",
        "if False else []",
    ),
    Mutant(
        "unchanged: a forward of one module does not run",
        CIRCUIT + "unchanged.py",
        "callable(found) or isinstance(found, property)",
        "isinstance(found, property)",
    ),
    Mutant(
        "unchanged: a compiled module runs as it was written",
        CIRCUIT + "unchanged.py",
        'own += ["compile"] if module._compiled_call_impl is not None else []',
        "",
    ),
    Mutant(
        "unchanged: what is inside functions stays as it was",
        CIRCUIT + "bodies.py",
        "if not all(map(is_, self._now(), self._kept)):",
        "if False:",
    ),
    Mutant(
        "unchanged: closures stay as they were",
        CIRCUIT + "bodies.py",
        "map(HELD, self._cells)",
        "map(HELD, [])",
    ),
    Mutant(
        "unchanged: hooks on all modules do not run",
        CIRCUIT + "unchanged.py",
        'if any(getattr(nn.modules.module, f"_global{hooks}") for hooks in HOOKS):',
        "if False:",
    ),
    Mutant(
        "unchanged: replaced functions run as they did",
        CIRCUIT + "unchanged.py",
        "differing & {*RUNS, *_TYPES}.union(",
        "differing & _TYPES.union(",
    ),
    Mutant(
        "unchanged: the code of maps is as it was",
        CIRCUIT + "unchanged.py",
        "for folder in (elements, linear_maps, running) for",
        "for folder in (elements, running) for",
    ),
    Mutant(
        "registry: a layer that says no fields is told without them",
        "models/files/description.py",
        "if element is None or element.fields is None:",
        "if element is None:",
    ),
    Mutant(
        "registry: a layer that says no fields is read without them",
        "models/files/description.py",
        "for element in ELEMENTS.values() if element.fields is not None]",
        "for element in ELEMENTS.values()]",
    ),
    Mutant(
        "unchanged: a method that is added does not run",
        CIRCUIT + "unchanged.py",
        "for name in now.keys() | known.keys() if",
        "for name in known if",
    ),
    Mutant(
        "unchanged: what was looked at once is as it was",
        CIRCUIT + "unchanged.py",
        "    _THEN[place].update(vars(place))\n",
        "    _SEEN[:] = [row for row in _SEEN if row[0] is not place]\n",
    ),
    Mutant(
        "unchanged: the registry says what it said",
        CIRCUIT + "unchanged.py",
        "if not _ELEMENTS.items() <= ELEMENTS.items():",
        "if False:",
    ),
    Mutant(
        "unchanged: functions of torch run as they did",
        CIRCUIT + "unchanged.py",
        "    check_functions(_FILES)\n",
        "",
    ),
    Mutant("unchanged: no mode changes what runs", CIRCUIT + "unchanged.py", "    check_no_mode()\n", ""),
    Mutant(
        "shipped: any mode says on which device tensors are made",
        CIRCUIT + "shipped.py",
        "if type(mode) is not DeviceContext]",
        "if not mode]",
    ),
    Mutant(
        "shipped: no mode stands behind functions",
        CIRCUIT + "shipped.py",
        "if found or torch._C._len_torch_dispatch_stack():",
        "if found:",
    ),
    Mutant(
        "shipped: what was well once is well",
        CIRCUIT + "shipped.py",
        "not all(read(space) == seen for space, read, seen in _WATCHED)",
        "False",
    ),
    Mutant(
        "shipped: a function of Python is torch's",
        CIRCUIT + "shipped.py",
        'if code not in _codes(function.__globals__["__name__"]).get(code.co_qualname, ()):',
        "if False:",
    ),
    Mutant(
        "shipped: one function of torch's is as good as another",
        CIRCUIT + "shipped.py",
        "return code.co_qualname in (*names, *(owner + each for each in names))",
        "return True",
    ),
    Mutant(
        "shipped: methods of tensors are torch's",
        CIRCUIT + "shipped.py",
        "if counts and not ships(",
        "if False and not ships(",
    ),
    Mutant(
        "lowering: a learned decay's own class of tensor",
        CIRCUIT + "lowering.py",
        "for tensor in (*part._parameters.values(), *part._buffers.values()):",
        "for tensor in part._buffers.values():",
    ),
    Mutant(
        "arithmetic: any algorithm convolves by sums",
        "certify/arithmetic.py",
        "    if others:\n",
        "    if False:\n",
    ),
    Mutant(
        "maps: batches convolve as one sample does",
        MAPS + "base.py",
        "BATCHES = (1, 2, 16, 64)",
        "BATCHES = (1, 2)",
    ),
    Mutant("replay: alone is enough", "certify/replay.py", "for size in (1, TOGETHER):", "for size in (1,):"),
    Mutant(
        "replay: a batch is enough", "certify/replay.py", "for size in (1, TOGETHER):", "for size in (TOGETHER,):"
    ),
    Mutant(
        "unchanged: a subclass may compute",
        CIRCUIT + "unchanged.py",
        'TOLD = {"__init__",',
        'TOLD = {"forward", "run", "rule", "scale", "dynamics", "__init__",',
    ),
    Mutant(
        "folding: any rule is known",
        CIRCUIT + "folding.py",
        "if rule is not None and type(rule) not in listed and not automaton:",
        "if False:",
    ),
    Mutant(
        "folding: a rule's subclass is the rule",
        CIRCUIT + "folding.py",
        "if rule is not None and type(rule) not in listed and not automaton:",
        "if rule is not None and not isinstance(rule, listed) and not automaton:",
    ),
    Mutant(
        "folding: any encoding is known",
        CIRCUIT + "folding.py",
        "if isinstance(node, Input) and node.encoding not in algebra.encodings:",
        "if False:",
    ),
    Mutant(
        "folding: what comes later need not be known",
        CIRCUIT + "folding.py",
        "    for node in circuit.nodes:\n        check_known(node, algebra)",
        "    for node in circuit.nodes[:until]:\n        check_known(node, algebra)",
    ),
    Mutant(
        "folding: a node that is not known is passed by",
        CIRCUIT + "folding.py",
        '    if method is None:\n        raise algebra.refuse(node, f"a node of type {type(node).__name__}")',
        "    if method is None:\n        return lambda node, *values: values[0]",
    ),
    Mutant(
        "propagation: a sum of a branch with itself",
        BOUNDS + "propagation.py",
        "return SumSignal(x, y, self.of(node))",
        "return SumSignal(x, x, self.of(node))",
    ),
    Mutant(
        "lirpa: a sum of one step's shortcut",
        LIRPA + "graph.py",
        "(1.0, _at(x, t)), (1.0, _at(y, t))",
        "(1.0, _at(x, t)), (1.0, _at(y, 0))",
    ),
    Mutant(
        "lirpa: all layers have the first one's slack",
        LIRPA + "graph.py",
        "unrolling.neurons = iter(found.neurons)",
        "unrolling.neurons = itertools.repeat(found.neurons[0])",
    ),
    Mutant(
        "lirpa: the sum over time of currents in place of spikes",
        LIRPA + "graph.py",
        "lambda node: isinstance(node, Mapped), reversed",
        "lambda node: isinstance(node, Mapped | Fired), reversed",
    ),
    Mutant(
        "lirpa: a bias counts once for the sum over time",
        LIRPA + "graph.py",
        "if node is self.last[0] else x, math.fsum(self.weights)",
        "if node is self.last[0] else x, 1.0",
    ),
    Mutant(
        "lirpa: a negative weight keeps the ends",
        LIRPA + "nodes.py",
        "pair if weight >= 0 else pair[::-1]",
        "pair if weight >= 0 else pair",
    ),
    Mutant(
        "lirpa: an interval of one end's bias",
        LIRPA + "nodes.py",
        "return middle - radius + self.bias, middle + radius + self.bias",
        "return middle - radius + self.bias, middle + radius",
    ),
    Mutant(
        "lirpa: the spike may use itself",
        LIRPA + "relaxation.py",
        "        return least, least",
        "        return silent, fired",
    ),
    Mutant(
        "lirpa: a plane in v for one in z",
        LIRPA + "relaxation.py",
        "slack = slope.abs() * self.neuron.slack + self.neuron.relative * size",
        "slack = self.neuron.relative * size",
    ),
    Mutant(
        "lirpa: an upper bound from the lower plane",
        LIRPA + "nodes.py",
        "_relaxed(upper, planes[3], planes[2])",
        "_relaxed(upper, planes[2], planes[3])",
    ),
    Mutant(
        "lirpa: the cut of the other side",
        LIRPA + "graph.py",
        "(-sign * A).reshape",
        "(sign * A).reshape",
    ),
    Mutant(
        "milp: a layer's products are exact",
        MILP + "encoding.py",
        "slack = abs(weight) @ flow.slack + array(own.expand_as(sample).flatten())",
        "slack = abs(weight) @ flow.slack",
    ),
    Mutant(
        "milp: a sum of exact parts",
        MILP + "encoding.py",
        "_Flow(signal, steps, branch.slack + shortcut.slack + own)",
        "_Flow(signal, steps, 0.0 * own)",
    ),
    Mutant(
        "milp: a sum of a branch with itself",
        MILP + "encoding.py",
        "shortcut.steps[t % len(shortcut.steps)]",
        "branch.steps[t % len(branch.steps)]",
    ),
    Mutant(
        "milp: forget the bias",
        MILP + "encoding.py",
        "sample = layer.linear(torch.zeros_like(magnitude)) + layer.bias",
        "sample = layer.linear(torch.zeros_like(magnitude)) + 0.0 * layer.bias",
    ),
)
CHECKER_MUTANTS = (
    Mutant("checker: images for sequences", "checking/maps/sequences.py", "if len(shape) != 2:", "if False:"),
    Mutant("checker: two numbers for one", "checking/maps/sequences.py", "if len(value) != 1:", "if False:"),
    Mutant("checker: sequences with rows above", "checking/maps/sequences.py", '"padding": 0, ', '"padding": 1, '),
    Mutant(
        "checker: subnormal numbers are normal",
        "checking/numbers/arithmetic.py",
        "if 0 < abs(value) < self.tiny:",
        "if False:",
    ),
    Mutant(
        "checker: a batch norm's weight may be subnormal",
        "checking/maps/layers.py",
        'arithmetic.check_normal("a batch norm\'s weight", weight.fractions())',
        "pass",
    ),
    Mutant(
        "checker: a batch norm's factor may be subnormal",
        "checking/maps/layers.py",
        'arithmetic.check_normal("a batch norm\'s weight/√(var + eps)", scale.fractions())',
        "pass",
    ),
    Mutant(
        "checker: an input scale may be subnormal",
        "checking/network/neurons.py",
        'arithmetic.check_normal(f"{name}.input_scale", self.scale)',
        "pass",
    ),
    Mutant(
        "checker: a neuron's constants may be subnormal",
        "checking/network/neurons.py",
        'arithmetic.check_normal(f"{name}.{field}", [value])',
        "pass",
    ),
    Mutant(
        "checker: a batch norm of any shape",
        "checking/maps/layers.py",
        "len(shape) not in ((3,) if self.images else (1, 2))",
        "len(shape) not in (1, 2, 3)",
    ),
    Mutant(
        "checker: a variance may vanish",
        "checking/maps/layers.py",
        "if not LEAST_VARIANCE <= value <= 1 / LEAST_VARIANCE:",
        "if not 0 < value:",
    ),
    Mutant(
        "checker: fields that are not known are passed over",
        "checking/maps/layers.py",
        'if layer.keys() != fields | {"type"}:',
        'if not layer.keys() >= fields | {"type"}:',
    ),
)
CIRCUIT_MUTANTS = (*CONSTANT_MUTANTS, *MAP_MUTANTS, *READER_MUTANTS, *CHECKER_MUTANTS)
