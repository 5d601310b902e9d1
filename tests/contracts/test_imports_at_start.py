"""What `from spikecert import verify, SpikingNetwork` may load beyond torch."""

import subprocess
import sys

PERMITTED = {"spikecert", "pydantic", "pydantic_core", "annotated_types", "typing_inspection", "safetensors"}
PROGRAM = """
import sys
import torch
before = set(sys.modules)
from spikecert import verify, SpikingNetwork
packages = {name.split(".")[0] for name in set(sys.modules) - before}
print(" ".join(package for package in packages if package not in sys.stdlib_module_names))
"""


def test_import_loads_only_named_third_party_packages() -> None:
    """A new heavy package (scipy, cvxpy, matplotlib) at import fails here: import it where it is used."""
    output = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    loaded = {name for name in output.split() if not name.startswith(("_sysconfigdata", "torch"))}
    assert loaded <= PERMITTED, f"beyond torch, the import also loads {sorted(loaded - PERMITTED)}"
