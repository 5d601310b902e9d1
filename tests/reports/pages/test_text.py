"""No text of a file acts on what shows a report: a terminal, a browser, Markdown, LaTeX or a spreadsheet.

The LaTeX table: its numbers, and that LaTeX would read it.
"""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from jinja2 import Environment
from pydantic import ValidationError

from spikecert.commands.attack import summary
from spikecert.reports import Record, render
from spikecert.reports.pages.rendering import RENDERERS, to_latex
from spikecert.reports.pages.wording import FORMULAS, LATEX, cell, latex, markdown, page, plain
from spikecert.telling import show
from support.hostile import HOSTILE, TEXTS, spoiled, unsafe


@given(TEXTS)
@example(HOSTILE)
def test_a_terminal_is_only_told_to_print(text):
    assert unsafe(plain(text)) == []
    assert plain(plain(text)) == plain(text)


def read_markdown(text: str) -> str:
    """Return what Markdown prints, and fail where it would do anything else."""
    found = ""
    while text:
        if match := re.match(r"\\([\\`*_|\[\]#~$.)=+-])|&(amp|lt|gt);", text):
            found += match[1] or {"amp": "&", "lt": "<", "gt": ">"}[match[2]]
            text = text[match.end() :]
        else:
            assert text[0] not in "\\`*_|[]#~$<>&"
            found, text = found + text[0], text[1:]
    return found


@given(TEXTS)
@example(HOSTILE)
@example("<img src=x onerror=alert(1)>")
@example("1. a")
@example("- a")
@example("---")
@example("===")
def test_markdown_prints_a_text_as_it_is(text):
    found = markdown(text)
    assert read_markdown(found) == plain(text)
    assert not re.match(r"([-+]|\d{1,9}[.)])(\s|$)|(=+|-+)\s*$", found)
    assert unsafe(found) == []


def read_latex(text: str) -> str:
    """Return what LaTeX prints, and fail where it would do anything else."""
    shown = {made: sign for sign, made in LATEX.items()}
    forms = re.compile("|".join(map(re.escape, sorted(shown, key=len, reverse=True))))
    found = ""
    while text:
        match = forms.match(text)
        assert match or text[0] not in LATEX
        found += shown[match[0]] if match else text[0]
        text = text[match.end() if match else 1 :]
    return found


@given(TEXTS)
@example(HOSTILE)
@example("\\input{/etc/passwd}")
@example("[5cm] %")
def test_latex_prints_a_text_as_it_is(text):
    assert read_latex(latex(text)) == plain(text)
    assert unsafe(latex(text)) == []


@given(TEXTS)
@example(HOSTILE)
@example("=cmd|' /C calc'!A0")
@example("\t=1+1")
@example("@SUM(1)")
def test_a_cell_is_a_text_and_no_formula(text):
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow([cell(text), "next"])
    ((found, following),) = csv.reader(io.StringIO(written.getvalue()))
    assert following == "next"
    assert found.removeprefix("'") == plain(text).removeprefix("'")
    assert not found.startswith(FORMULAS)
    assert unsafe(found) == []


class _Shown(HTMLParser):
    """Collects the text of a page and its tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags = "", []
        self.feed(text)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


@given(TEXTS)
@example(HOSTILE)
def test_a_page_prints_a_text_as_it_is(text):
    template = Environment(autoescape=True, finalize=page).from_string('<p title="{{ text }}">{{ text }}</p>')
    found = template.render(text=text)
    shown = _Shown(found)
    assert shown.tags == [("p", [("title", shown.text)])]
    assert unsafe(found) == []


def test_a_page_keeps_what_ties_words():
    assert page("T\u00a0=\u00a08") == "T\u00a0=\u00a08"
    assert page(3) == 3


def hostile_record(handmade) -> tuple[Record, int]:
    """Return what a stranger could write: each text and key that may be anything is hostile; and how many are."""

    def accepts(data):
        try:
            return bool(Record.model_validate(data))
        except ValidationError:
            return False

    text = json.dumps(handmade().model_dump(mode="json", by_alias=True))
    data = json.loads(text)
    for name in ("ensemble", "interval", "linear", "layer 0", "pgd"):  # in many places at once
        renamed = json.loads(json.dumps(data).replace(json.dumps(name), json.dumps(f"{name}{HOSTILE}")))
        data = renamed if accepts(renamed) else data
    data, count = spoiled(data, accepts)
    return Record.model_validate(data), count


def test_no_text_of_a_record_reaches_a_form_as_it_is(handmade, capsys):
    record, count = hostile_record(handmade)
    assert count > 20
    assert len([name for name in (*record.models[0].attacks, *record.models[0].verifiers) if HOSTILE in name]) > 1
    for suffix in (".html", ".md", ".csv", ".tex"):
        text = RENDERERS[suffix](record)
        assert "alert(1)" in text
        assert "<script" not in text or suffix == ".csv", suffix
        assert unsafe(text, "\n\u00a0") == [], suffix
    show(summary(record))
    assert unsafe(capsys.readouterr().out, "\n") == []


def test_a_record_of_hostile_texts_has_the_lines_of_any_other(handmade, tmp_path):
    plainly, found = handmade("a"), handmade(HOSTILE, title=HOSTILE, command=HOSTILE)
    for suffix in (".md", ".csv", ".tex", ".html"):
        one, other = (render(record, tmp_path / f"r{suffix}").read_text() for record in (plainly, found))
        assert one.count("\n") == other.count("\n"), suffix


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_a_hostile_title_is_still_shown(handmade, suffix):
    assert "alert(1)" in RENDERERS[suffix](handmade(title=HOSTILE))


def lines(text):
    return [line for line in text.splitlines() if line.endswith("\\\\")]


def test_rows_hold_the_accuracies(handmade):
    rows = lines(to_latex(handmade("A", "B")))
    assert rows[0] == r" &  & \multicolumn{1}{c}{Robust} & \multicolumn{2}{c}{Certified} &  \\"
    assert rows[1] == r"$\varepsilon$ & Clean & ensemble & interval & trains & Open \\"
    assert rows[2] == r"\multicolumn{6}{l}{A} \\"
    assert rows[3] == r"$2/255$ & 90.0 & 90.0 & 60.0 & 80.0 & 10.0 \\"
    assert rows[4] == r"$4/255$ & 90.0 & 80.0 & 30.0 & 60.0 & 20.0 \\"
    assert rows[6] == r"\multicolumn{6}{l}{B} \\"
    assert len(rows) == 2 + 2 * (1 + 3)


def test_latex_would_read_it(handmade):
    text = to_latex(handmade("100 % & <ρ_1> {x} \\ # $ ~ ^ → λ"))
    plain = re.sub(r"\\[&%$#_{}]", "", text)
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    columns = re.search(r"begin\{tabular\}\{(l r*|lr*)\}", text)
    assert columns is not None
    for row in lines(text):
        wide = sum(int(count) - 1 for count in re.findall(r"\\multicolumn\{(\d+)\}", row))
        assert len(re.split(r"(?<!\\)&", row)) + wide == len(columns[1])
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
