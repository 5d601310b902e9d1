"""`spikecert vnnlib`: decide VNN-LIB properties of networks, and write the competition's result files."""

import shlex
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from spikecert.asking.options import Without, command, typed
from spikecert.asking.question import Count, Proving, Seed
from spikecert.asking.values import Mistake, Naming, Notation

from ..progress import Bars
from ..runs.sources import beside, network_of
from ..telling import plain, show, show_json, table, write_files, wrote

if TYPE_CHECKING:
    from spikecert.runs.instances import InstanceAnswer, InstanceBatch, Line


def _part(raw: Any) -> tuple[int, int]:
    first, slash, last = str(raw).partition("/")
    if not (slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 10_000):
        raise ValueError
    return int(first), int(last)


PART = Notation(_part, "a part such as 2/8", "K/N", text=lambda part: f"{part[0]}/{part[1]}")


@dataclass(frozen=True, kw_only=True)
class Instance(Proving):
    """One instance of the competition, or a file of many, and how they are answered.

    Attributes:
        model: a network file as written by `train`, or zoo:NAME (see `zoo`); or an instances.csv alone, with lines
            network,property,seconds.
        property_file: a .vnnlib or .vnnlib.gz file.
        timeout: seconds in all; of a file of many for each, where its line says no less.
        legacy: say sat and unsat for violated and holds.
        seed: of everything random.
        device: cpu, cuda, cuda:1, …
        workers: of many: processes that decide them beside each other.
        part: of many: of N parts the K-th alone, for one of N machines that share the folder --out.
        out: the result file, with the counterexample; of many a folder, where a killed run goes on.
        json: print JSON on standard output and nothing else.
    """

    model: Annotated[Path, Naming(argument=True)]
    property_file: Annotated[Path | None, Naming("property", argument=True)] = None
    legacy: bool = False
    seed: Seed = 0
    device: str = "cpu"
    workers: Count = 1
    part: Annotated[tuple[int, int], PART] | None = None
    out: Path | None = None
    json: bool = False

    def __post_init__(self) -> None:
        many = self.model.suffix == ".csv"
        if many != (self.property_file is None):
            got = f"{self.property_file} beside {self.model}" if many else "none"
            raise ValueError(f"property: got {got}, expected one beside a network, none beside an instances.csv")
        for name, given in (("workers", self.workers > 1), ("part", self.part is not None)):
            if given and not many:
                raise Mistake((name,), getattr(self, name), "none: it is of an instances.csv")
        if self.workers > 1 and (self.out is None or self.part is not None):
            raise Mistake(("workers",), self.workers, "--out FOLDER, and no --part, beside it")


@command
def vnnlib(asked: Annotated[Instance, Without("memory")]) -> int:
    """Decide a VNN-LIB property: is there an input whose outputs are unsafe? Or each of an instances.csv.

    The answer is holds, violated, timeout or unknown. Status 1 if a property is violated, 2 if an instance could
    not be read.
    """
    if asked.property_file is None:
        return _many(asked)
    from spikecert.formats import competition_result, read_vnnlib, verify_property
    from spikecert.formats.results import result_word
    from spikecert.runs.building import checked_device

    network = network_of(asked.model).to(checked_device(asked.device))
    prop = read_vnnlib(asked.property_file)
    limit = None if asked.timeout is None else float(asked.timeout)
    verdict = verify_property(network, prop, asked.verifier, limit, seed=asked.seed)
    if asked.out is not None:
        write_files(asked.out.parent, {asked.out.name: competition_result(verdict, asked.legacy, prop)})
    word = result_word(verdict.status, asked.legacy)
    if asked.json:
        counterexample = None if verdict.counterexample is None else verdict.counterexample.flatten().tolist()
        outputs = None if verdict.outputs is None else verdict.outputs.tolist()
        told = {"result": word, "verifier": verdict.verifier, "seconds": verdict.seconds, "reason": verdict.reason}
        show_json({**told, "counterexample": counterexample, "outputs": outputs})
    else:
        show(f"{word}: {verdict.reason} ({verdict.verifier}, {verdict.seconds:.2f} s)")
    return int(verdict.status == "violated")


def _many(asked: Instance) -> int:
    """Decide the instances of a file, and tell what came out."""
    from spikecert.runs.instances import InstanceBatch, write_results

    limit = None if asked.timeout is None else float(asked.timeout)
    batch = InstanceBatch(asked.model, asked.verifier, limit, asked.seed, asked.device, asked.out)
    lines = batch.lines
    if asked.part is not None:
        lines = lines[asked.part[0] - 1 :: asked.part[1]]
    with Bars() as bars:
        if asked.workers > 1:
            _beside(asked, batch, bars)
        answers = list(batch.decide(lines, bars))
    if asked.out is not None and asked.part is None:
        wrote(write_results(asked.out, answers))
    counts = Counter(found.result for _, found in answers)
    if asked.json:
        rows = [{"network": line.network, "property": line.prop, **asdict(found)} for line, found in answers]
        show_json({"schema": "spikecert.instances/1", "counts": dict(counts), "instances": rows})
    else:
        show(_told(answers, counts))
    return 2 if counts["error"] else int(counts["violated"] > 0)


def _beside(asked: Instance, batch: "InstanceBatch", bars: Bars) -> None:
    """Decide parts of the instances in processes of their own; their answers are then found in the folder."""
    import torch

    total = len(batch.lines)
    parts = min(total, 4 * asked.workers)
    own = [replace(asked, workers=1, part=(part, parts), json=False) for part in range(1, parts + 1)]
    commands = [shlex.split(typed("vnnlib", one))[1:] for one in own]
    threads = max(1, torch.get_num_threads() // asked.workers)
    beside(commands, asked.workers, threads, lambda: bars("instances", min(batch.finished, total), total))


def _told(answers: "list[tuple[Line, InstanceAnswer]]", counts: Counter[str]) -> str:
    rows = [
        (plain(line.network), plain(line.prop), found.result, f"{found.seconds:.2f}", plain(found.reason[:100]))
        for line, found in answers
    ]
    summary = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
    return f"{table(('network', 'property', 'result', 's', 'why'), rows)}\n\n{len(answers)} instances: {summary}"
