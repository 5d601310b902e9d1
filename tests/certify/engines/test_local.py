"""Processes of this machine: the same verdicts, deaths on the way, and a run that is killed and resumed."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from multiprocessing import Pipe
from pathlib import Path

import pytest

from spikecert.certify import verify
from spikecert.certify.engines import Local
from spikecert.certify.engines.local import READY, SHARE, _Worker, _WorkerPool
from spikecert.certify.engines.work import Batch, Job, batches
from spikecert.models import save
from support.fleets import Here, expected, same, small_set
from support.processes import children


def test_processes_and_a_death_on_the_way_change_nothing(tmp_path: Path) -> None:
    """One process is killed after the first batch: its batch is decided again, and each is counted once."""
    case, seen, told = small_set(), [], []

    def progress(_: str, done: int, total: int) -> None:
        told.append((done, total))
        seen.append(set(children()))
        if len(told) == 2:
            os.kill(children()[0], signal.SIGKILL)

    verdicts = verify(*case, workers=2, batch=4, resume=tmp_path, progress=progress)
    assert same(verdicts, expected(4))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (22, 22)
    assert len(told) == 1 + 6
    assert len(set().union(*seen)) == 3  # two processes and a third in place of the killed one
    assert children() == []


def test_a_batch_that_kills_twice_is_an_error_and_what_is_finished_is_kept() -> None:
    stop = threading.Event()

    def killer() -> None:
        while not stop.wait(0.02):
            for child in children():
                os.kill(child, signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        with pytest.raises(
            ChildProcessError, match=r"two processes died over batch 0 \(the last with exit code -9"
        ):
            verify(*small_set(), workers=1, engine="local")
    finally:
        stop.set()
        thread.join()
    assert children() == []


def test_a_process_that_still_starts_gets_the_job_first() -> None:
    """Another one may have finished all other batches by then, and this one may share its own."""
    (batch,) = batches(*small_set()[1:3], 22, 0)
    here, there = Pipe()
    pool = _WorkerPool(b"the job", deque(), 4)
    pool.busy[here] = _Worker(None, here, batch)  # type: ignore[arg-type]
    pool._spread()
    assert not there.poll()
    there.send_bytes(READY)
    assert list(pool.finished()) == []
    job, given, share = (there.recv_bytes() for _ in range(3))
    assert (job, Batch.unpack(given).index, share) == (b"the job", 0, SHARE + b"4")
    assert not there.poll()


def test_what_deciding_raises_is_raised_here() -> None:
    case = small_set()
    job = Job("digest", case.network, case.perturbation, "magic", None, "cpu", "strict")
    with pytest.raises(ValueError, match="verifier: got 'magic'"):
        list(Local().run(job.pack(), batches(case.inputs, case.labels, 16, 0), 1))
    assert children() == []


SCRIPT = """
import sys, torch
from spikecert import LInf, verify, load
network, inputs = load(sys.argv[1]), torch.rand(22, 6, generator=torch.Generator().manual_seed(5))
with torch.no_grad():
    labels = network(inputs).argmax(1)
progress = lambda label, done, total: print(done, flush=True)
verify(network, inputs, labels, LInf(0.02), workers=1, batch=4, resume=sys.argv[2], progress=progress)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    """No batch that was reported is decided again."""
    case, folder = small_set(), tmp_path / "state"
    save(case.network, tmp_path / "network.safetensors")
    (tmp_path / "run.py").write_text(SCRIPT)
    command = [sys.executable, "run.py", "network.safetensors", str(folder)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 6:
            pass
        process.send_signal(how)
    kept = {int(path.stem.removeprefix("batch-")) for path in folder.glob("batch-*.safetensors")}
    assert 2 <= len(kept) < 6
    engine = Here()
    verdicts = verify(*case, engine=engine, batch=4, resume=folder)
    assert set(engine.decided) == set(range(6)) - kept
    assert same(verdicts, expected(4))
