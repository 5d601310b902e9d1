"""`python tests/mutants`: the command line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutants.commands import main

sys.exit(main())
