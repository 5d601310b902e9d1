"""Ways to break what conversions know of the way that signals take."""

from mutant import Mutant

ARRANGING = "models/conversion/observing/arranging.py"
FLOW, GATES = "models/conversion/observing/data_flow.py", "models/conversion/observing/gates.py"
DRAWING = "models/conversion/observing/drawing.py"
FUNCTIONS, STATES = "models/conversion/observing/functions.py", "models/conversion/observing/states.py"
WATCHING, HEARING = "models/conversion/observing/watching.py", "models/conversion/observing/hearing.py"
CONVERSION_MUTANTS = (
    Mutant(
        "flow: a difference is a sum",
        FLOW,
        'Joined(one, other if name == "add" else negative(other))',
        "Joined(one, other)",
    ),
    Mutant("flow: the weight of a sum is 1", FLOW, 'kwargs.get("alpha", 1) != 1', "False"),
    Mutant("flow: what depends on the input is a constant", FLOW, "or id(value) not in self._constants or", "or"),
    Mutant("flow: drop the shortcut", ARRANGING, "Parallel(one, other) if one", "Parallel(one, ()) if one"),
    Mutant("flow: paths may cross", ARRANGING, "if twice is not None", "if twice is False"),
    Mutant("flow: a layer may lead nowhere", ARRANGING, "if unused is not None", "if unused is False"),
    Mutant(
        "flow: add for subtract",
        "models/conversion/layers.py",
        'if operation == "add" else number',
        'if operation == "sub" else number',
    ),
    Mutant("gates: any signal is spikes", GATES, "if not _is_binary(source, layers):", "if False:"),
    Mutant("gates: two signals meet at one spike", FLOW, "0.5 if self.inverted else 1.5", "0.5"),
    Mutant("gates: the complement of a sum is that of a spike", FLOW, "inner == negative(inner.source)", "True"),
    Mutant(
        "gates: any number less a spike is its complement", FLOW, '("add", {1.0})', '("add", set(origin.numbers))'
    ),
    Mutant(
        "gates: a maximum of currents is one of spikes",
        GATES,
        "pools and _is_binary(observed.origin, layers)",
        "pools",
    ),
    Mutant("gates: potentials are spikes", GATES, "return observed.neuron.threshold is not None", "return True"),
    Mutant(
        "elements: a constant padding is one of zeros",
        "models/conversion/adapting.py",
        "if module.value != 0:",
        "if False:",
    ),
    Mutant(
        "elements: windows that overlap are taken for equal ones",
        "models/conversion/adapting.py",
        "if any(size % count",
        "if any(False and size % count",
    ),
    Mutant("watching: memory is read unseen", WATCHING, "and (sets or name in UNSEEN.split())", "and False"),
    Mutant(
        "watching: numbers may change", WATCHING, "for key, value in vars(part).items()]", "for key, value in ()]"
    ),
    Mutant("flow: any cast is a move", FLOW, "            if narrow:", "            if False:"),
    Mutant("flow: what is written elsewhere is followed", FLOW, 'if "out" in kwargs:', "if False:"),
    Mutant(
        "converting: one batch stands for all",
        "models/conversion/converting.py",
        "for batch in others:",
        "for batch in ():",
    ),
    Mutant("watching: random numbers pass", WATCHING, "if self.draws:", "if False:"),
    Mutant(
        "observing: a second call may give anything",
        "models/conversion/observing/observing.py",
        "if not same:",
        "if False:",
    ),
    Mutant(
        "populations: any output is a sum of groups",
        "models/conversion/populations.py",
        "output.unflatten(-1, (classes, -1)).sum(-1)",
        "output.unflatten(-1, (-1, classes)).sum(-2)",
    ),
    Mutant(
        "nir: a threshold fires at a tie",
        "models/conversion/nir/nir_pointwise.py",
        'reset="none", fires_at=">")',
        'reset="none", fires_at=">=")',
    ),
    Mutant(
        "nir: the first factor of a channel stands for all",
        "models/conversion/nir/nir_pointwise.py",
        "len(shape) not in (1, 3) or bool((scale != scale[:, :1]).any())",
        "len(shape) not in (1, 3)",
    ),
    Mutant(
        "follow: what is not known is guessed",
        "models/conversion/observing/following.py",
        "if common_origin(calls[name]) is None:",
        "if False:",
    ),
    Mutant(
        "follow: signals of any step",
        "models/conversion/observing/following.py",
        "and leaf.call != step and",
        "and False and",
    ),
    Mutant("heard: spikes of any step", HEARING, "c.origin.call == t for", "c.origin.call <= t for"),
    Mutant("heard: a sum of any step", HEARING, "parts[0].call == call", "True"),
    Mutant("heard: the first step hears what it may", HEARING, "or not first.zero or", "or"),
    Mutant(
        "heard: others may read a feedback",
        HEARING,
        "heard is not None and not _read_by_others(name, heard, found)",
        "heard is not None",
    ),
    Mutant("functions: any function is a sum", FUNCTIONS, 'if done != ["add"] or', "if"),
    Mutant(
        "functions: a spike function may do anything", FUNCTIONS, "if not others and isinstance", "if isinstance"
    ),
    Mutant("functions: any comparison is one with 0", FUNCTIONS, "if alone and zeros else", "if alone else"),
    Mutant(
        "functions: numbers may differ within", FUNCTIONS, "or value.numel() == 1 else None", "or True else None"
    ),
    Mutant("functions: indices are masks", FUNCTIONS, 'name != "index_put" or', "True or"),
    Mutant(
        "states: any state of a layer is the last one",
        STATES,
        "(layer, key, call - 1) or not same",
        "None or not same",
    ),
    Mutant(
        "states: values need not be the same",
        STATES,
        "(layer, key, call - 1) or not same",
        "(layer, key, call - 1)",
    ),
    Mutant("states: a start may depend on the input", STATES, "if not state.fixed or not", "if not"),
    Mutant("states: what was turned is a state", STATES, "same = name in KEEPS and", "same = True and"),
    Mutant(
        "states: kept ones need not be the last",
        STATES,
        "return first, kept(module) | handed",
        "return first, handed",
    ),
    Mutant(
        "time: a neuron may take the batch for time",
        "models/conversion/observing/observed_layers.py",
        'once and shape[:2] == (steps, batch), "all',
        'True, "all',
    ),
    Mutant(
        "time: a neuron may take time for the batch",
        "models/conversion/observing/observed_layers.py",
        "alike and len(calls) == steps",
        "True",
    ),
    Mutant(
        "shipped: anyone's code will do",
        "models/conversion/libraries/shipped.py",
        "if package != library or function.__code__ not in _codes(home):",
        "if False:",
    ),
    Mutant(
        "heard: a delayed reset to zero is one at once",
        "models/conversion/libraries/snntorch.py",
        'found.reset == "zero" and leaky.reset_delay',
        "False",
    ),
    Mutant(
        "heard: what was zero once is zero for good",
        FLOW,
        "                self._zeros.pop(id(tensor), None)",
        "                pass",
    ),
    Mutant(
        "drawing: a share of the input is all of it",
        DRAWING,
        "drawn if encoder.share == 1.0 else",
        "drawn if True else",
    ),
    Mutant("drawing: any share of the input", DRAWING, "if not (0.0 < self.share <= 1.0 and", "if not (True and"),
    Mutant(
        "drawing: the stand-in fires at each draw's complement",
        DRAWING,
        "(thresholds < x.double())",
        "(1 - thresholds < x.double())",
    ),
    Mutant(
        "drawing: an encoder stays replaced",
        DRAWING,
        "        encoder.parent._modules[encoder.key] = encoder.module",
        "        pass",
    ),
    Mutant(
        "drawing: an encoder may be anywhere",
        "models/conversion/building.py",
        "if not alone or observed.gave.shape != shape:",
        "if False:",
    ),
    Mutant(
        "drawing: groups of a population draw anew",
        "models/conversion/populations.py",
        'network.draws if network.encoding == "rate" else None',
        "None",
    ),
)
