"""The picture of a run: well-formed, one point an epoch, inside its panels, whatever the numbers are."""

from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from spikecert.training import EpochMetrics
from spikecert.training.picture import BOTTOM, TOP, picture
from support.examples import examples

SVG = "{http://www.w3.org/2000/svg}"
SHARES = st.floats(0, 1)


@st.composite
def histories(draw: st.DrawFn) -> list[EpochMetrics]:
    count = draw(st.integers(1, 6))
    terms = st.one_of(st.just({}), st.fixed_dictionaries({"epsilon": st.floats(0, 1)}))
    robust = st.one_of(st.none(), SHARES)
    losses = st.floats(-1e30, 1e30)
    return [
        EpochMetrics(k + 1, draw(losses), draw(terms), draw(SHARES), draw(robust), 0.1, 1.0) for k in range(count)
    ]


@examples(100)
@given(history=histories())
def test_each_epoch_has_its_points_inside(history: list[EpochMetrics]) -> None:
    drawn = ElementTree.fromstring(picture(history))
    heights = [float(dot.attrib["cy"]) for dot in drawn.iter(f"{SVG}circle")]
    assert all(TOP - 0.1 <= height <= BOTTOM + 0.1 for height in heights)
    robust = sum(metrics.robust_accuracy is not None for metrics in history)
    sizes = [metrics.terms["epsilon"] for metrics in history if "epsilon" in metrics.terms]
    assert len(heights) == 2 * len(history) + robust + (len(sizes) if any(sizes) else 0)


def test_better_is_higher_and_lines_have_names() -> None:
    first = EpochMetrics(1, 2.0, {"epsilon": 0.05}, 0.5, 0.25, 0.1, 1.0)
    text = picture([first, replace(first, epoch=2, loss=1.0, clean_accuracy=1.0)])
    heights = [float(dot.attrib["cy"]) for dot in ElementTree.fromstring(text).iter(f"{SVG}circle")]
    middle = (TOP + BOTTOM) / 2
    assert heights[:4] == [TOP, middle, middle, TOP]
    assert ">clean<" in text
    assert ">ε up to 0.05<" in text
    assert 'aria-label="loss 1, clean 100.0 % after 2 epochs"' in text
