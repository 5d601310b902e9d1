"""Write the table of elements into docs/conversion.md: every cell is tried.

PYTHONPATH=tests python benchmarks/element_table.py
"""

import warnings
from pathlib import Path

from support.element_table import written

PAGE = Path(__file__).parents[1] / "docs" / "conversion.md"
START, END = "<!-- elements -->\n", "<!-- end of elements -->\n"


def main() -> None:
    """Replace what stands between the two marks."""
    warnings.simplefilter("ignore")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    PAGE.write_text(before + START + written() + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
