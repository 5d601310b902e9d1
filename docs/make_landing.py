"""Draw the picture of the first page out of docs/tables.md: `python docs/make_landing.py`."""

import re
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE / "figures" / "landing.svg"
ROWS = {"natural": "trained as usual", "adversarial": "trained with attacks", "certified": "trained with bounds"}
LEFT, SCALE, HEIGHT = 170, 4.3, 66
KINDS = (("clean", 0, "#c9d3dc"), ("left by attacks", 2, "#7da7c9"), ("proved", 3, "#0b5c97"))
"""What a bar shows, the column that has it, its colour; each is drawn on the one before."""


def shares(tables: str) -> dict[str, list[float]]:
    """Return the percentages of the rows of objectives on digits: clean, PGD, ensemble, "trains", "auto"."""
    found = re.search(r"<!-- results-digits -->(.*?)\n\n\|  \| training", tables, re.DOTALL)
    if found is None:
        raise ValueError("tables.md: has no table results-digits")
    rows = (line.strip("| ").split(" | ") for line in found[1].splitlines() if line.startswith("| "))
    return {row[0]: [float(cell.split()[0]) for cell in row[1:6]] for row in rows if row[0] in ROWS}


def picture(found: dict[str, list[float]]) -> str:
    """Return the picture as SVG."""
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 246" font-family="sans-serif" font-size="14">'
    ]
    parts.append('<rect width="640" height="246" fill="#ffffff"/>')
    for place, (name, label) in enumerate(ROWS.items()):
        y = 12 + place * HEIGHT
        parts.append(f'<text x="{LEFT - 10}" y="{y + 28}" text-anchor="end" fill="#222">{escape(label)}</text>')
        for _, column, colour in KINDS:
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{found[name][column] * SCALE:.1f}" height="44" fill="{colour}"/>'
            )
        proved = found[name][3]
        parts.append(
            f'<text x="{LEFT + 8}" y="{y + 28}" fill="#fff" font-weight="bold">{proved:g} % proved</text>'
        )
    for place, (label, _, colour) in enumerate(KINDS):
        x = LEFT + place * 130
        parts.append(f'<rect x="{x}" y="214" width="14" height="14" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="226" fill="#222">{escape(label)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def drawn() -> str:
    """Return the picture of what the tables say now."""
    return picture(shares((HERE / "tables.md").read_text(encoding="utf-8")))


if __name__ == "__main__":
    TARGET.write_text(drawn(), encoding="utf-8")
    print(f"wrote {TARGET}")
