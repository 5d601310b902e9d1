"""Ask all questions, subject by subject, in two processes; what is asked where does not depend on time."""

import multiprocessing
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from .asking import asked
from .questions import Question, named
from .sets import NAMED, Pose, posed

BAR = 30


Results = tuple[dict[str, Any], dict[str, Any]]


def ask(questions: Sequence[Question], poses: Mapping[str, Any], processes: int) -> Iterator[Results]:
    """Yield poses and answers by name, part by part as they come.

    Args:
        questions: what is asked.
        poses: what is known of sizes and samples; others are found first.
        processes: how many ask at once.
    """
    done = 0
    for used, answers in _results(_parts(questions), poses, processes):
        done += len(answers)
        _tell(done, len(questions))
        yield used, answers


def _results(parts: Sequence[Sequence[Question]], poses: Mapping[str, Any], processes: int) -> Iterator[Results]:
    """Yield poses and answers of each part as they come; one process is this one."""
    told = [([question.name for question in part], _of(part, poses)) for part in parts]
    if processes == 1:
        yield from (part_asked(*each) for each in told)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        for future in as_completed([pool.submit(part_asked, *each) for each in told]):
            yield future.result()


def _parts(questions: Sequence[Question]) -> list[list[Question]]:
    """Return the questions of each network, hardest first."""
    found = dict[str, list[Question]]()
    for question in questions:
        found.setdefault(question.subject.origin, []).append(question)
    return sorted(found.values(), key=lambda part: -sum(question.work for question in part))


def _of(part: Sequence[Question], poses: Mapping[str, Any]) -> dict[str, Any]:
    return {question.pose: poses[question.pose] for question in part if question.pose in poses}


def part_asked(names: Sequence[str], poses: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return poses and answers of some questions, in this process."""
    found, part = dict(poses), [named()[name] for name in names]
    for question in part:
        if question.pose not in found:
            pose = posed(question.subject.plain, NAMED[question.family])
            found[question.pose] = [pose.size, list(pose.picked)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answers = {question.name: asked(question, _pose(found[question.pose])) for question in part}
    return found, answers


def _pose(kept: Sequence[Any]) -> Pose:
    size, picked = kept
    return Pose(float(size), tuple(picked))


def _tell(done: int, of: int) -> None:
    """Draw a bar where somebody sees it."""
    if sys.stderr.isatty():
        filled = BAR * done // of
        end = "\n" if done == of else ""
        sys.stderr.write(f"\r[{'#' * filled}{' ' * (BAR - filled)}] {done} of {of}{end}")
        sys.stderr.flush()


def digests(questions: Iterable[Question]) -> dict[str, str]:
    """Return the digest of each subject, by its name."""
    subjects = {question.subject.origin: question.subject.plain for question in questions}
    return {name: subject.digest for name, subject in subjects.items()}
