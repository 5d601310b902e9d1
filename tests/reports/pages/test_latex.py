"""The LaTeX table: its numbers, and that LaTeX would read it."""

import re

from spikecert.reports.pages.latex import to_latex
from spikecert.reports.pages.text import latex


def lines(text):
    return [line for line in text.splitlines() if line.endswith("\\\\")]


def test_rows_hold_the_accuracies(handmade):
    rows = lines(to_latex(handmade("A", "B")))
    heads = r"Model & $\varepsilon$ & Clean & Robust (ensemble) & Certified (interval) & Certified (trains)"
    assert rows[0] == rf"{heads} & Undecided \\"
    assert rows[1] == r"A & $2/255$ & 90.0 & 90.0 & 60.0 & 80.0 & 10.0 \\"
    assert rows[2] == r" & $4/255$ & 90.0 & 80.0 & 30.0 & 60.0 & 20.0 \\"
    assert rows[4].startswith("B & $2/255$")
    assert len(rows) == 1 + 2 * 3


def test_latex_would_read_it(handmade):
    text = to_latex(handmade("100 % & <ρ_1> {x} \\ # $ ~ ^ → λ"))
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    columns = re.search(r"begin\{tabular\}\{(l r*|lr*)\}", text)
    assert columns is not None
    for row in lines(text):
        assert len(re.split(r"(?<!\\)&", row)) == len(columns[1])
    assert [line.split("{")[1].split("}")[0] for line in text.splitlines() if line.startswith("\\begin")] == [
        "table",
        "tabular",
    ]
    assert text.isascii()


def test_the_caption_tells_the_conditions_and_mixes_nothing(handmade):
    text = to_latex(handmade())
    caption = next(line for line in text.splitlines() if line.startswith(r"\caption"))
    for needed in (r"$\ell_\infty$", "T = 8", "10 test samples of digits", "upper bound", "lower bound"):
        assert needed in caption
    assert "median radius over 10 samples between 0.01800 (certified) and 0.03251 (attacked)" in caption


def test_escaping_stays_on_one_line():
    assert latex("a\nb_c") == r"a b\_c"
