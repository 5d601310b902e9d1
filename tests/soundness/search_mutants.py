"""Ways to lose parts of a search: what is not proven must count as open, whoever had it when it was lost."""

from mutant import Mutant

BRANCHING = "certify/branching/"
SEARCH_MUTANTS = (
    Mutant(
        "branching: forget the roots that wait when the time is up",
        "certify/branching/nodes/frontier.py",
        "(self.waiting, *self.flying)",
        "(*self.flying,)",
    ),
    Mutant(
        "branching: forget what is underway when the time is up",
        "certify/branching/nodes/frontier.py",
        "(self.waiting, *self.flying)",
        "(self.waiting,)",
    ),
    Mutant(
        "branching: forget a leaf that there is no time for",
        "certify/branching/nodes/frontier.py",
        "                self.close(leaf.row, leaf.bound)\n            else:",
        "                pass\n            else:",
    ),
    Mutant(
        "branching: on Ctrl-C say what is known in the midst of a batch",
        BRANCHING + "search.py",
        "replace(frontier.known, expired=True",
        "replace(frontier.answer(), expired=True",
    ),
    Mutant(
        "branching: forget the open nodes where the memory is full",
        BRANCHING + "search.py",
        "return replace(known, full=True)",
        "return replace(known, bound=self.frontier.closed, full=True)",
    ),
    Mutant(
        "stages: make the first rows of a matrix again and again",
        "certify/bounds/prices/stages.py",
        "scatter(1, rows[:, None], 1.0)",
        "scatter(1, (rows - rows[0])[:, None], 1.0)",
    ),
    Mutant(
        "helpers: take an answer for that of another part",
        "certify/branching/processes/helpers.py",
        "given = helper.parts.popleft()",
        "given = helper.parts.pop()",
    ),
    Mutant(
        "helpers: settle the newest part by the oldest answer",
        "certify/branching/nodes/frontier.py",
        "self.flying.popleft()",
        "self.flying.pop()",
    ),
    Mutant(
        "helpers: send the question without its floors",
        "certify/branching/processes/sharing.py",
        'tensors.get("floor")',
        "None",
    ),
    Mutant(
        "helpers: share a question that is narrowed otherwise",
        "certify/branching/processes/sharing.py",
        "return same and question",
        "return question",
    ),
)
