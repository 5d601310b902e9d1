"""Run files that a stranger wrote: every limit is one line, quickly, and nothing is built before."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikecert.asking.run_files import Configuration
from spikecert.files.texts import LONGEST_TEXT, read_toml
from spikecert.models import architecture
from spikecert.protocols import protocol
from spikecert.protocols.configuration import parse
from spikecert.protocols.planning import objective
from spikecert.runs.building import checked_device
from spikecert.runs.configuration import load_configuration

GOOD = '[train]\nnetwork = "mlp:8"\n[certify]\nverifiers = ["interval"]\n'
KEY = ".".join(["a"] * 60)
HALVES, NOUGHTS = "0.5,\n" * 10**4, "0,\n" * 10**4
ODD = {
    "a huge exponent": (
        '[threat]\nepsilon = ["1e30000000"]',
        r"threat.epsilon: got '1e30000000', expected a number",
    ),
    "a fraction of huge exponents": (
        '[threat]\nepsilon = ["1e30000000/1e30000001"]',
        "threat.epsilon: got .*, expected a number above 0",
    ),
    "a fraction of many digits": (
        f'[threat]\nepsilon = ["{"9 " * 10**5}/7"]',
        "threat.epsilon: got .*, expected a number above 0",
    ),
    "digits": (f"seed = {'9' * 10**5}", "more than 400 digits in a row"),
    "digits apart": (f"seed = {'9_' * 10**5}9", "more than 400 digits in a row"),
    "hexadecimal digits": (f"seed = 0x{'f' * 10**5}", "more than 400 digits in a row"),
    "a long dotted key": (".".join(["a"] * 10**5) + " = 1", "got 99999 dots in line 1, expected at most 64"),
    "a long table": (f"[{'.'.join(['a'] * 10**5)}]", "got 99999 dots in line 1, expected at most 64"),
    "a long text": ("#" * (LONGEST_TEXT + 1), "got 262145 characters, expected at most 262144"),
    "a longer text": ("#" * (4 * LONGEST_TEXT + 1), "has 1048577 bytes, expected at most 1048576"),
    "arrays within each other": (f"a = {'[' * 10**5}", "within each other too deeply"),
    "tables within each other": (
        "a = " + "{b = " * 200 + "1" + "}" * 200,
        "within each other, expected at most 64",
    ),
    "an array of many": (f"[threat]\nepsilon = [{HALVES}]", "epsilon: got 10000 of them, expected at most 1000"),
    "many wrong numbers": (
        f"[threat]\nepsilon = [{NOUGHTS}]",
        "epsilon: got 10000 of them, expected at most 1000",
    ),
    "many keys": (
        "".join(f"a{k} = 1\n" for k in range(10**4)),
        "a0: got a key that is not known, expected schema",
    ),
    "a long key": ("k" * 10**5 + " = 1", "kkk: got a key that is not known"),
    "a key twice": ("k" * 10**5 + " = 1\n" + "k" * 10**5 + " = 1", "is no TOML file: Cannot overwrite a value"),
    "a long name": (f'device = "{"x" * 10**5}"', "device: got 'xxx.*', expected a text"),
    "a seed beyond int64": (f"seed = {2**63}", "seed: got 9223372036854775808, expected a whole number from 0 on"),
    "very many threads": ("threads = 10_000_000", "threads: got 10000000, expected a whole number from 1 to 1024"),
    "very many steps": (
        "[train]\nnum_steps = 65537",
        "num_steps: got 65537, expected a whole number from 1 to 65536",
    ),
    "very many epochs": (f"[train]\nepochs = {10**30}", "train.epochs: got 1000000000.*, expected a whole number"),
    "no number": ("[certify]\ntimeout = nan", "certify.timeout: got nan, expected a positive number of seconds"),
    "infinite": ("[certify]\ntimeout = inf", "certify.timeout: got inf, expected a positive number of seconds"),
    "a date": ("seed = 1979-05-27", "seed: got datetime.*, expected a whole number from 0 on"),
}


@pytest.mark.parametrize(("text", "told"), ODD.values(), ids=ODD.keys())
def test_each_limit_is_one_line_in_little_time(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(ValueError, match=told) as refused:
        load_configuration(path)
    assert time.process_time() - started < 2
    assert len(str(refused.value)) < 600
    assert "\n" not in str(refused.value)


def test_the_worst_that_is_allowed_takes_little_time() -> None:
    lines = "".join(f"{k:x} = 1\n" for k in range(20_000))
    started = time.process_time()
    assert read_toml(f"[{KEY}]\n{lines}")
    assert time.process_time() - started < 5


def test_what_a_file_of_sense_says_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + '[threat]\nepsilon = ["8/255", 0.5, "1e-3", "1/3"]\n')
    found, before = load_configuration(path)
    assert before is None
    assert isinstance(found, Configuration)
    assert found.threat.epsilons == (1e-3, 8 / 255, 1 / 3, 0.5)


@pytest.mark.parametrize("device", ["meta", "abacus", "", "cuda:77", "privateuseone", "x" * 10**5])
def test_a_device_that_holds_no_numbers_is_one_line(device: str) -> None:
    with pytest.raises(ValueError, match=r"^device: got ") as refused:
        checked_device(device)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


def test_meta_in_a_run_file_is_one_line(run: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'device = "meta"\n{GOOD}')
    outcome = run("run", path, "--out", tmp_path / "out")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "device: got 'meta', which torch can't use here" in outcome.err


@pytest.mark.parametrize("kind", [None, "Exec", ["MSMPPD"], {"kind": "MSMPPD"}, 3])
def test_an_objective_of_another_kind_is_one_line(kind: Any) -> None:
    with pytest.raises(ValueError, match=r"^kind: got .*, expected one of CrossEntropy, MSMPPD"):
        objective([{"kind": kind}])


NUMBERS = ("1e30000000", "1e30000000/3", "9" * 10**5, "1/0", "nan", "1_")


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:12])
def test_numbers_of_protocols_and_architectures_are_limited_too(number: str) -> None:
    content = protocol("certified-digits").model_dump()
    with pytest.raises(ValueError, match=r"protocol: mine: decay: .*expected a number"):
        parse("mine", {**content, "decay": number})
    with pytest.raises(ValueError, match="expected a number or a fraction"):
        objective([{"kind": "CertifiedLoss", "epsilon": f"1{number}" if number == "nan" else number}])
    with pytest.raises(ValueError, match=r"^(architecture|width): ") as refused:
        architecture(f"vgg11:{number}", (3, 32, 32), 10)
    assert len(str(refused.value)) < 200
    with pytest.raises(ValueError, match=r"^architecture: got"):
        architecture(f"mlp:{number}x", (4,), 2)
