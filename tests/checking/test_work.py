"""The limit of work: small files end soon, are refused in one line, and real proofs are far from it."""

import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikecert.checking import Refused, check, read_network
from spikecert.checking.certificates.trials import check_content
from spikecert.checking.network.files import read
from spikecert.checking.numbers.exact import Dyadic
from spikecert.checking.short import FORMAT
from spikecert.checking.work import LEAST, allowance, hold, limited, spend, spent, widen
from spikecert.cli import main
from support.heavy_layers import HEAVY_LAYERS
from support.heavy_proofs import HEAVY

KEPT = Path(__file__).parent / "proofs-0.1"
CHILD = """
import resource, sys
from spikecert.checking import Refused, check
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
try:
    check(sys.argv[1], sys.argv[2], work=float(sys.argv[3]))
except Refused as error:
    print(error)
(peak,) = (line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak)
"""
LONG = {"spans"}
"""What takes seconds before it is refused."""
ALL = HEAVY | HEAVY_LAYERS
REASON = r"work: takes at least \d+ [a-z ]+, more than|unknown: |more than 4096 splits"
LINE = re.compile(rf"(heavy\.proof|network\.safetensors): ({REASON})")
SMALL = {"pools_of_pools"}
"""Layers that ask for little, as each pool of a pool is found once, and whose proof is accepted."""
ENDS = {"sums", "sums_of_trains", "many_leaves", "narrowings"}
"""What is checked in time, as it asks for little."""


@pytest.mark.parametrize("name", HEAVY)
def test_a_file_that_asks_for_much_is_refused_in_one_line_and_soon(name, tmp_path):
    proof, model = HEAVY[name](tmp_path)
    started = time.process_time()
    if name in ENDS:
        assert check(proof, model).margin > 0
    else:
        with pytest.raises(Refused, match=LINE) as raised:
            check(proof, model, work=0.02)
        assert "\n" not in str(raised.value)
    assert time.process_time() - started < 5


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak of memory is told here")
@pytest.mark.parametrize("name", HEAVY_LAYERS)
def test_what_a_layer_asks_for_is_counted_before_it_is_made(name, tmp_path):
    proof, model = HEAVY_LAYERS[name](tmp_path)
    command = [sys.executable, "-c", CHILD, str(proof), str(model), "0.1" if name in LONG else "1.0"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    *refused, peak = found.stdout.splitlines()
    assert len(refused) == (name not in SMALL)
    assert all(len(line) < 200 for line in refused)
    assert int(peak) < 2**18  # KiB


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_a_file_that_asks_for_much_takes_seconds_and_no_gigabyte(name, tmp_path):
    proof, model = ALL[name](tmp_path)
    command = [sys.executable, "-m", "spikecert", "check-proof", str(proof), "--model", str(model)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert found.returncode in (0, 1, 2)
    assert "Traceback" not in found.stderr
    assert after.ru_utime - before.ru_utime < 15
    assert after.ru_maxrss < 2**20  # KiB; the greatest of all children so far


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.proof")), ids=lambda path: path.stem)
def test_a_real_proof_is_far_from_the_limit(path):
    network, content = read_network(path.with_suffix(".safetensors")), read(path, FORMAT)
    took = []
    for _ in range(2):
        with limited(10**12):
            check_content(content, network)
            took.append(spent())
    assert 1000 < took[0] == took[1] < 0.02 * allowance(content.size + network.size)


def test_the_usual_limit_may_be_raised_and_lowered(tmp_path):
    proof, model = HEAVY["many_leaves"](tmp_path)
    with pytest.raises(Refused, match="work: takes at least"):
        check(proof, model, work=0.001)
    assert check(proof, model, work=10).leaves == 2001


@pytest.mark.parametrize("work", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_is_a_number_above_0(work):
    path = KEPT / "dense.proof"
    with pytest.raises(ValueError, match=r"^work: got .*, expected a number above 0$"):
        check(path, path.with_suffix(".safetensors"), work=work)


def test_the_command_says_the_limit_in_one_line(tmp_path, capsys):
    proof, model = HEAVY["many_leaves"](tmp_path)
    arguments = ["check-proof", str(proof), "--model", str(model)]
    assert main([*arguments, "--work", "1/1000"]) == 1
    assert "REFUSED heavy.proof: work: takes at least" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accepted"] == 1
    assert main([*arguments, "--work", "0"]) == 2
    assert "work: got '0', expected a number above 0" in capsys.readouterr().err


def test_there_is_no_limit_outside_and_each_block_has_its_own():
    spend(10**15)
    with limited(100):
        spend(90)
        with limited(50):
            spend(40)
            assert spent() == 40
        assert spent() == 90
        with pytest.raises(Refused, match="work: takes at least 110 operations, more than the 100"):
            spend(20)
    assert spent() == 0


def test_long_numbers_count_for_more():
    with limited(10**9):
        spend(10, bits=255)
        assert spent() == 10
        spend(10, bits=256 * 31)
        assert spent() == 10 + 10 * (32 + 64)
        widen(256)
        spend(1)
        assert spent() == 970 + 3


def test_the_length_of_large_floats_is_known():
    with limited(10**9):
        assert (Dyadic.of([1e300]) + Dyadic.of([1.0])).shift == 0
        long = spent()
    with limited(10**9):
        assert (Dyadic.of([1e3]) + Dyadic.of([1.0])).shift == 0
        assert long > 3 * spent()


def test_numbers_that_are_held_have_a_limit_of_their_own():
    hold("products", 2**22)
    with pytest.raises(Refused, match="at least 4194305 products, more than the 4194304 that are held"):
        hold("products", 2**22 + 1)


def test_the_smallest_files_may_take_a_stated_number_of_operations():
    assert allowance(0) == LEAST
    assert allowance(1000, 2.0) == 2 * (LEAST + 1_024_000)
