"""Signs that an attack says little, in a record, its parts, its pages and the command line."""

import torch
from torch import nn

from spikecert.certify.attacks import PGD, Ensemble, Square
from spikecert.certify.attacks.signs import Signs
from spikecert.commands.attack import summary
from spikecert.models import LIF, SpikingNetwork
from spikecert.reports import Data, Plan, Record, Threat, measure, record, render
from spikecert.reports.making.parts import merged
from spikecert.reports.pages.html_page import to_html
from spikecert.reports.pages.markdown import to_markdown
from spikecert.reports.records.signs import merged_signs, sign_row


def silent_record(methods: tuple[PGD | Ensemble, ...], samples: int = 4) -> Record:
    """Return a record about a network that fires nowhere, and whose gradient is 0 everywhere."""
    first, last = nn.Linear(6, 5), nn.Linear(5, 3)
    network = SpikingNetwork(first, LIF(), last, num_steps=4).eval()
    for parameter in network.parameters():
        parameter.data = torch.zeros_like(parameter)
    first.bias.data -= 5.0
    last.bias.data = torch.tensor([1.0, 0.0, -1.0])
    threat = Threat(norm="linf", epsilons=(0.1, 0.2), lower=0.0, upper=1.0)
    labels = torch.zeros(samples, dtype=torch.long)
    model = measure("mine", network, torch.full((samples, 6), 0.5), labels, Plan(threat, methods, ()))
    data = Data(name="mine", split="test", samples=samples, classes=3, shape=(6,))
    return record([model], data, threat, title="mine", command="", seeds={"seed": 0})


def test_signs_stand_where_an_attack_s_figures_stand(tmp_path) -> None:
    found = silent_record((PGD(steps=2), Ensemble((Square(2),), name="blind")))
    told = [(row.attack, row.epsilon, row.signs) for row in found.models[0].signs]
    assert told == [
        ("pgd", 0.1, Signs(samples=4, vanished=4, alike=24)),
        ("blind", 0.1, Signs(samples=4, vanished=4, alike=24)),
        ("pgd", 0.2, Signs(samples=4, vanished=4, alike=24)),
        ("blind", 0.2, Signs(samples=4, vanished=4, alike=24)),
    ]
    line = "Attack pgd, ε = 0.1: the gradient is exactly 0 at 4 of 4 samples"
    for text in (to_html(found).replace("\u00a0", " "), to_markdown(found), summary(found)):
        assert line in text
        assert text.count("which has wider surrogates") == 4
    path = render(found, tmp_path / "record.json")
    assert '"vanished": 4' in path.read_text()


def test_parts_say_together_what_the_whole_says() -> None:
    parts = [silent_record((PGD(steps=2),), samples).models[0] for samples in (3, 4)]
    shifted = parts[1].model_copy(
        update={"rows": tuple(row.model_copy(update={"index": row.index + 3}) for row in parts[1].rows)}
    )
    signs = merged([parts[0], shifted]).signs
    assert [(row.epsilon, row.samples, row.vanished, row.alike) for row in signs] == [
        (0.1, 7, 7, 23 + 24),
        (0.2, 7, 7, 23 + 24),
    ]


def test_an_attack_that_looked_in_one_part_only_counts_what_it_looked_at() -> None:
    parts = Signs(samples=3, blind=1), Signs(samples=2, vanished=2)
    (row,) = merged_signs(sign_row("square", 0.1, part) for part in parts)
    assert (row.samples, row.vanished, row.blind) == (5, 2, 1)
    assert merged_signs([]) == ()


def test_a_record_without_signs_is_as_before() -> None:
    """The fingerprint of a record that says nothing new is that of records before there were signs."""
    found = silent_record((PGD(steps=2),))
    plain = found.model_copy(update={"models": (found.models[0].model_copy(update={"signs": ()}),)})
    without = plain.model_dump(mode="json", by_alias=True)
    without["models"][0].pop("signs")
    assert Record.model_validate(without).fingerprint == plain.fingerprint != found.fingerprint
