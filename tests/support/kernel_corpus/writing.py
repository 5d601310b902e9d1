"""Choose certificates of drawn questions that take the kernel along all its ways; as a module, write them."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from spikecert.checking import Refused
from support.kernel_corpus.kept import FOLDER, Kept, Step
from support.kernel_corpus.making import certificate_of, proof_of_class
from support.kernel_corpus.questions import CLASSES, KINDS, drawn_class

MOST_BYTES = 6000
"""Of a certificate that is kept."""


def candidates(count: int) -> Iterator[Kept]:
    """Yield certificates of so many questions of each kind."""
    for kind, seed in [(kind, seed) for kind in KINDS for seed in range(count)]:
        rng = np.random.default_rng(seed)
        try:
            found = certificate_of(KINDS[kind](rng), rng)
        except Refused:  # of what it splits nothing is left on one side
            continue
        if found is not None:
            yield Kept(f"{kind}-{seed}", found[0], tuple(found[1]))
    for kind, seed in [(kind, seed) for kind in CLASSES for seed in range(max(2, count // 10))]:
        found = proof_of_class(drawn_class(np.random.default_rng(seed), kind), ("strict", "argmax")[seed % 2])
        if found is not None:
            yield Kept(f"class-{kind.replace(' ', '-')}-{seed}", found[0], tuple(found[1]))


def chosen(found: Sequence[Kept], often: int = 3, of_each: int = 3) -> list[Kept]:
    """Return some that take all steps that any of them takes, so often where so many do, short ones first.

    And of each kind those besides that take most of them.
    """
    steps, seen, kept = {case: case.steps() for case in found}, Counter[Step](), list[Kept]()
    for case in sorted(found, key=lambda case: sum(map(len, case.lines))):
        if any(seen[step] < often for step in steps[case]):
            kept.append(case)
            seen.update(steps[case])
    for kind in sorted({_kind(case) for case in found}):
        left = [case for case in found if _kind(case) == kind and case not in kept]
        kept += sorted(left, key=lambda case: -len(steps[case]))[:of_each]
    return kept


def _kind(case: Kept) -> str:
    return case.name.rpartition("-")[0]


def write(kept: Sequence[Kept]) -> None:
    """Write a corpus anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for case in kept:
        (FOLDER / f"{case.name}.safetensors").write_bytes(case.raw)
        (FOLDER / f"{case.name}.certificate").write_text("".join(f"{line}\n" for line in case.lines))
    said = {case.name: case.margins for case in kept}
    (FOLDER / "expected.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(chosen([case for case in candidates(int(sys.argv[1])) if sum(map(len, case.lines)) < MOST_BYTES]))
