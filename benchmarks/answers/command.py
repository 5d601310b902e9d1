"""The command: `make` writes the answers, `compare` asks again and says which were lost."""

import argparse
import fnmatch
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .level import INSIDE, KEPT, LEVELS, again, reached

if TYPE_CHECKING:
    from .comparing import Comparison
    from .keeping import Corpus
    from .questions import Question

DONE, LOST, BAD = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status: 0 done, 1 an answer was lost, 2 what is kept can't be used."""
    asked = _parser().parse_args(arguments)
    if os.environ.get(INSIDE) != asked.level:
        if not reached(asked.level):
            print(
                f"level: this machine does not reach {asked.level}: the rule of other levels holds",
                file=sys.stderr,
            )
            arguments, asked.level = [*arguments, "--level", "default"], "default"
        return again(asked.level, arguments)
    from .keeping import Unusable

    try:
        return {"make": make, "compare": compare, "train": train}[asked.what](asked)
    except Unusable as error:
        print(error, file=sys.stderr)
        return BAD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python benchmarks/answers", description=__doc__)
    parser.add_argument("what", choices=("make", "compare", "train"))
    parser.add_argument("--level", choices=tuple(LEVELS), default=KEPT, help="what processors are assumed to have")
    parser.add_argument(
        "--sample", action="store_true", help="few questions that span all kinds: %(prog)s in seconds"
    )
    parser.add_argument("--kept", type=Path, help="the file of answers, if it is another one")
    parser.add_argument("--accepted", type=Path, help="the list of accepted losses, if it is another one")
    parser.add_argument("--only", default="*", help="questions whose names fit this pattern")
    parser.add_argument("--missing", action="store_true", help="of make: questions that have no kept answer")
    parser.add_argument("--processes", type=int, help="which ask at once; None: two, and one for a sample")
    return parser


def make(asked: argparse.Namespace) -> int:
    """Ask all questions and write what is answered, part by part: `--missing` goes on where it was stopped.

    Sizes and samples that are kept for the same weights stay.
    """
    from .keeping import FILE, Corpus, write
    from .questions import named
    from .running import ask, digests

    path, questions = asked.kept or FILE, named()
    weights = digests(questions.values())
    poses, answers = _known(path, asked.level, weights)
    open_ones = [question for name, question in questions.items() if not (asked.missing and name in answers)]
    chosen = _fitting(open_ones, asked.only)
    for new in ask(chosen, poses, asked.processes or 2 - asked.sample):
        poses, answers = poses | new[0], answers | new[1]
        answers = {name: answers[name] for name in questions if name in answers}
        used = dict.fromkeys(questions[name].pose for name in answers)
        write(path, Corpus(asked.level, weights, {name: poses[name] for name in used}, answers))
    print(f"{path.name}: {_count(answers)} answers to {len(answers)} questions, level {asked.level}")
    return _told_apart(answers)


def train(_: argparse.Namespace) -> int:
    """Train the networks of digits anew and keep their weights: their answers are then to be made anew."""
    from .trained import train

    train()
    return DONE


def compare(asked: argparse.Namespace) -> int:
    """Ask again what is kept, and say what became of it."""
    from .comparing import ACCEPTED, Comparison, accepted_losses
    from .keeping import FILE, Unusable, read
    from .running import ask, digests

    kept = read(asked.kept or FILE, KEPT)
    accepted = accepted_losses(asked.accepted or ACCEPTED)
    chosen = _chosen(asked, kept)
    for name, digest in digests(chosen).items():
        if (known := kept.weights.get(name, digest)) != digest:  # of a new subject nothing is known
            told = f"{name}: its weights or samples have digest {digest}, kept is {known}"
            raise Unusable(f"{told}: make them as they were, or make the answers anew")
    found = dict[str, Any]()
    for _, part in ask(chosen, kept.poses, asked.processes or 2 - asked.sample):
        found |= part
    answers = {question.name: found[question.name] for question in chosen}
    names = {question.name for question in chosen}
    whole = not asked.sample and asked.only == "*"
    before = {name: answer for name, answer in kept.answers.items() if whole or name in names}
    result = Comparison.of(before, answers, accepted, asked.level == KEPT)
    _print(result, len(answers), [name for name in answers if name not in kept.answers], whole)
    return LOST if result.fails else DONE


def _known(path: Path, level: str, weights: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is kept of sizes, samples and answers of subjects whose weights are as they were."""
    from .keeping import Unusable, read
    from .questions import named

    try:
        kept = read(path, level)
    except Unusable:
        return {}, {}
    same = {name for name, digest in weights.items() if kept.weights.get(name) == digest}
    poses = {name: pose for name, pose in kept.poses.items() if name.partition("/")[0] in same}
    known = {
        name: answer for name, answer in kept.answers.items() if name in named() and named()[name].pose in poses
    }
    return poses, known


def _chosen(asked: argparse.Namespace, kept: "Corpus") -> "Sequence[Question]":
    from .questions import questions, sample

    found = sample(questions(), kept.answers) if asked.sample else list(questions())
    return _fitting(found, asked.only)


def _fitting(questions: "Sequence[Question]", pattern: str) -> "list[Question]":
    from .keeping import Unusable

    found = [question for question in questions if fnmatch.fnmatchcase(question.name, pattern)]
    if not found:
        raise Unusable(f"only: got {pattern!r}, which fits none of {len(questions)} questions")
    return found


def _count(answers: Mapping[str, Any]) -> int:
    from .comparing import samples

    return sum(len(samples(answer)) for answer in answers.values())


def _told_apart(answers: Mapping[str, Any]) -> int:
    """Say which answers contradict each other, or a run, or what no refusal was raised by."""
    from .comparing import contradictions

    wrong = [str(one) for one in contradictions(answers)]
    wrong += [f"contradicted by a run: {name}" for name, each in answers.items() if _broken(each)]
    for line in wrong:
        print(line)
    for name, answer in answers.items():
        if "raised" in answer:
            print(f"raised: {name}: {answer['raised']}")
    return LOST if wrong else DONE


def _broken(answer: Mapping[str, Any]) -> bool:
    return any("broken" in one for one in answer.get("answers", ()))


def _print(found: "Comparison", asked: int, new: Sequence[str], whole: bool) -> None:
    """Print failures, what is accepted, and counts."""
    from .comparing import BETTER, CONTRADICTED, LOST, SAME

    for finding in found.failures:
        print(finding)
    for accepted in found.accepted:
        if any(accepted.holds(finding) for finding in found.findings):
            print(f"accepted: {accepted.question}: {accepted.reason}")
    for accepted in found.idle if whole else ():
        print(f"accepted, but not lost: {accepted.question}")
    if new:
        print(f"new: {len(new)} questions have no kept answer, such as {new[0]}: make them")
    counts = found.counts()
    shown = ", ".join(f"{counts[what]} {what}" for what in (BETTER, SAME, LOST, CONTRADICTED))
    sums = ", ".join(f"{name} {found.before[name]} → {found.now[name]}" for name in found.before)
    print(f"{asked} questions: {shown}; {sums}")
