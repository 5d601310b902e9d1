"""What a type checker of a user's program knows of this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import spikecert


@pytest.mark.slow
def test_types_of_what_is_public_are_known(tmp_path: Path) -> None:
    tools = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    paths = {"PATH": tools, "PYTHONPATH": str(Path(spikecert.__file__).parents[1])}
    told = subprocess.run(
        [sys.executable, "-m", "pyright", "--verifytypes", "spikecert", "--ignoreexternal", "--outputjson"],
        cwd=tmp_path,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
    )
    found = json.loads(told.stdout)["typeCompleteness"]
    assert found["exportedSymbolCounts"]["withKnownType"] > 9000
    unknown = [symbol["name"] for symbol in found["symbols"] if not symbol["isTypeKnown"]]
    assert found["completenessScore"] >= 0.98, unknown
