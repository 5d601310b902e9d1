"""Ways to write another network than the one that was proven, or to take one for it."""

from mutant import Mutant

WRITING = "formats/onnx/writing.py"
ONNX_MUTANTS = (
    Mutant("onnx: a threshold that is met fires nothing", WRITING, '"GreaterOrEqual" if', '"Greater" if'),
    Mutant("onnx: a subtracting reset takes the threshold", WRITING, "self._scalar(rule.drop)", "threshold"),
    Mutant("onnx: the first step's scale at each step", WRITING, "rule.scale[t]", "rule.scale[0]"),
    Mutant("onnx: nothing is forgotten", WRITING, "(residue, decay)", "(residue, self._scalar(1.0))"),
    Mutant(
        "onnx: spikes are summed, not averaged", WRITING, "self._scalar(float(len(signal)))", "self._scalar(1.0)"
    ),
    Mutant("onnx: left pads above", WRITING, "(top, left, bottom, right)", "(left, top, right, bottom)"),
    Mutant("onnx: a bias is left out", WRITING, "(linear.weight, linear.offset)", "(linear.weight, None)"),
    Mutant(
        "onnx: any file beside a network is that network",
        "formats/onnx/reading.py",
        "if not same:",
        "if False:",
    ),
)
