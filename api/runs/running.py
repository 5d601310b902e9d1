"""Do what a run file says: train or load, then attack, certify and bracket radii, and make the record."""

import hashlib
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikecert.asking.boxes import BoxThreat
from spikecert.asking.run_files import Configuration, ModelStep, TrainStep
from spikecert.asking.values import plain, written
from spikecert.models import SpikingNetwork, save
from spikecert.models.deadline import Progress
from spikecert.reports import Plan, RadiusPlan, Training
from spikecert.training import Dataset

from ..runs import building
from .examining import Examined, Subject, examine
from .sources import ZOO, kept_data, label_of, network_of


def execute(chosen: Configuration, path: Path, out: Path, root: Path | None, progress: Progress) -> Examined:
    """Return what the run found; training and finished parts are kept in `out`, and the same call goes on there.

    Args:
        chosen: the content of the file.
        path: the file, whose folder relative paths start from, and whose name the record's command tells.
        out: the folder of results.
        root: the folder of the data set's files.
        progress: told after each step.

    Raises:
        ValueError, TypeError, FileNotFoundError: for what does not fit, before anything is trained if possible.
        KeyboardInterrupt: on Ctrl-C before the first part was finished.
    """
    torch.set_num_threads(chosen.threads)
    plan = plan_of(chosen)
    building.checked_device(chosen.device)
    chosen = replace(chosen, title=chosen.title or path.stem)
    chosen, subject = _subject(chosen, path, out, root, progress)
    return examine(
        subject,
        plan,
        command=f"spikecert run {shlex.quote(path.name)}",
        progress=progress,
        out=out,
        gains=chosen.gains and chosen.threat.asked is None,
        title=chosen.title,
        configuration=written(chosen, full=True),
    )


def plan_of(chosen: Configuration) -> Plan:
    """Return what is to be measured."""
    wanted = chosen.radius
    return Plan(
        chosen.threat,
        () if chosen.attack is None else tuple(dict.fromkeys(chosen.attack.methods)),
        () if chosen.certify is None else tuple(dict.fromkeys(chosen.certify.verifiers)),
        None if chosen.certify is None else chosen.certify.timeout,
        chosen.seed,
        radii=None if wanted is None else RadiusPlan(**vars(wanted)),
        ties=chosen.ties,
    )


def _subject(
    chosen: Configuration, path: Path, out: Path, root: Path | None, progress: Progress
) -> tuple[Configuration, Subject]:
    """Return what is measured; a network from a file is copied, to lie beside the record."""
    if chosen.model is not None:
        given = Path(chosen.model.path)
        network, training = network_of(given if given.name.startswith(ZOO) else path.parent / given), None
        kept = f"{label_of(given)}.safetensors"
        data = kept_data(replace(chosen.data, root=root), network.num_steps, chosen.limits)
        save(network, out / kept)
        network = building.scaled(network, data, chosen.data)
        chosen = replace(chosen, model=ModelStep(path=kept))
    else:
        assert chosen.train is not None
        start = building.kept_network(chosen.train)
        steps = chosen.train.num_steps if start is None else start.num_steps
        data = kept_data(replace(chosen.data, root=root), steps, chosen.limits)
        network, training = _trained(chosen, chosen.train, start, data, out, progress)
    samples = building.fitting(network, data, chosen.data.samples, chosen.device)
    return chosen, Subject(str(chosen.title), network, data, samples, training)


def _trained(
    chosen: Configuration,
    step: TrainStep,
    start: SpikingNetwork | None,
    data: Dataset,
    out: Path,
    progress: Progress,
) -> tuple[SpikingNetwork, Training]:
    aim = building.objective(step)
    if aim.targets != "classes" and chosen.threat.asked is None:
        told = "which learns numbers, expected one of classes, or threat.property"
        raise ValueError(f"objective: got {step.objective!r}, {told}: a run counts what holds")
    features = chosen.threat.features if isinstance(chosen.threat, BoxThreat) else None
    run = building.trained(
        step,
        data,
        chosen.seed,
        out / "training" / _key(chosen, step),
        features,
        start,
        progress=progress,
        device=chosen.device,
    )
    save(run.network, out / building.NETWORK)
    settings = {**_told(step), "seed": chosen.seed, "best_epoch": run.best_epoch}
    return run.network, Training(settings=settings, seconds=run.seconds)


def _told(step: TrainStep) -> dict[str, Any]:
    """Return the settings as plain values; which events change, where that is told, as text."""
    told = plain(step)
    events = {name: value for name, value in told.pop("events").items() if value is not None}
    return {**told, **({"events": json.dumps(events)} if events else {})}


def _key(chosen: Configuration, step: TrainStep) -> str:
    """Return what tells the checkpoints of one training from another's."""
    told = [_told(step), chosen.data.data, chosen.seed, chosen.device, chosen.threads]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]
