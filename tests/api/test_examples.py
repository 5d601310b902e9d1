"""The example scripts run as they stand."""

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_certify_digits_proves_most_of_what_is_not_broken():
    command = [sys.executable, str(EXAMPLES / "certify_digits.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    broken, proved = (int(part.split()[-2]) for part in done.stdout.splitlines()[-1].split(":")[1].split(","))
    assert 100 - broken >= proved > 60
