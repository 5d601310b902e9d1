"""CIFAR's files without an unpickler: what they hold is read, and whatever else a pickle can do is refused."""

import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikecert.training import dataset
from spikecert.training.data import cifar as plain_pickle
from spikecert.training.data.cifar import LAYOUTS, NotPlain, read_batch, read_plain
from support.cifar_files import published
from support.examples import examples

MAKER = b"cnumpy.core.multiarray\n_reconstruct\n"
EMPTY = MAKER + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
BYTES = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
PLAIN = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
START = b"\x80\x02"


def text(content: bytes) -> bytes:
    return b"T" + struct.pack("<I", len(content)) + content


def array(kind: bytes = BYTES + PLAIN, content: bytes = text(b"abcd"), shape: bytes = b"K\x04\x85") -> bytes:
    return EMPTY + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


def test_the_published_form_is_read(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 3072), dtype=np.uint8)
    labels = [k % 10 for k in range(300)]
    content = published(images, labels)
    assert pickle.loads(content, encoding="bytes")[b"filenames"][299] == b"picture_000299.png"
    (tmp_path / "data_batch_1").write_bytes(content)
    found, seen = read_batch(tmp_path / "data_batch_1", LAYOUTS["cifar10"])
    assert np.array_equal(found.reshape(300, 3072), images)
    assert seen.tolist() == labels


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_python_writes_is_read_as_python_reads_it(protocol: int) -> None:
    by_rows = np.random.default_rng(0).integers(0, 256, (7, 300), dtype=np.uint8)
    content = {
        b"data": by_rows,
        b"by columns": np.asfortranarray(by_rows),
        b"n": [0, 1, 255, 256, 70000, -1],
        b"s": "ü",
    }
    packed = pickle.dumps(content, protocol)
    found, expected = read_plain(packed), pickle.loads(packed)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert np.array_equal(found[key], value)
        assert type(found[key]) is type(value)


KEYS = st.binary(max_size=9) | st.text(max_size=5)
NUMBERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=9)


@examples(40)
@given(st.dictionaries(KEYS, NUMBERS, max_size=5))
def test_any_dictionary_of_lists_is_read(content: dict[bytes | str, list[int]]) -> None:
    assert read_plain(pickle.dumps(content, 4)) == content


ATTACKS: dict[str, tuple[bytes, str]] = {
    "a call of the array's type": (
        b"cnumpy\nndarray\nK\x01\x85U\x01O" + text(b"\x41" * 8) + b"\x87R.",
        "calls numpy.ndarray with other arguments",
    ),
    "an array of objects": (
        array(b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R" + PLAIN, text(b"\x41" * 8), b"K\x01\x85") + b".",
        "calls numpy.dtype with other arguments",
    ),
    "objects under another state": (
        array(b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNK\x08K\x08K\x3ftb") + b".",
        "a state that bytes do not have",
    ),
    "fields with offsets": (
        BYTES + b"(K\x03U\x01|N(U\x01xt}U\x01x(" + BYTES + b"J\x00\x00\x00\x7fts" + PLAIN[8:] + b".",
        "puts a tuple into a dictionary",
    ),
    "a shape beyond its bytes": (array(shape=b"J\xff\xff\xff\x7f\x85") + b".", "another shape than its 4 bytes"),
    "a negative shape": (array(shape=b"J\xff\xff\xff\xffJ\xfc\xff\xff\xff\x86") + b".", "another shape"),
    "many axes": (array(shape=b"(" + b"K\x01" * 60 + b"t") + b".", "another shape"),
    "sizes that overflow": (
        array(shape=b"J\x00\x00\x00\x40J\x00\x00\x00\x40J\x10\x00\x00\x00\x87") + b".",
        "another shape",
    ),
    "a list for bytes": (array(content=b"]") + b".", "into a tuple"),
    "a subclass": (
        MAKER + b"cnumpy\nmatrix\nK\x00\x85U\x01b\x87R.",
        "asks for numpy.matrix, which arrays of numbers do not need",
    ),
    "an array that is filled twice": (
        array() + b"(K\x01K\x04\x85" + BYTES + PLAIN + b"\x89U\x04abcdtb.",
        "a state",
    ),
    "an array without content": (b"}U\x04data" + EMPTY + b"s.", "an array without content"),
    "a call of another": (
        b"cos\nsystem\nU\x04true\x85R.",
        "asks for os.system, which arrays of numbers do not need",
    ),
    "a call by a name on the stack": (b"\x8c\x02os\x8c\x06system\x93U\x04true\x85R.", "asks for os.system"),
    "a name of names": (b"\x8c\x05numpy\x8c\x11core.ndarray.dump\x93.", "asks for numpy.core.ndarray.dump"),
    "a name that is a list": (b"]\x8c\x06system\x93.", "expected names"),
    "a name that moves the cursor": (b"cos\n\x1b[2J\n.", r"asks for 'os.\\x1b\[2J'"),
    "a name without an end": (b"c" + b"a" * 10**6, "a name that is not closed"),
    "another codec": (
        b"c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.",
        "calls _codecs.encode with other",
    ),
    "an instance": (b"(cos\nsystem\no.", "asks for os.system"),
    "an instance by its name": (b"(ios\nsystem\n.", "the instruction b'i'"),
    "a class that is made": (b"cnumpy\nndarray\n)\x81.", r"the instruction b'\\x81'"),
    "a persistent object": (b"Pname\n.", "the instruction b'P'"),
    "an extension": (b"\x82\x01.", r"the instruction b'\\x82'"),
    "a long number": (b"\x8b\xff\xff\xff\x7f" + b"\xff" * 100 + b".", r"the instruction b'\\x8b'"),
    "a number of many digits": (b"L" + b"9" * 5000 + b"L\n.", "the instruction b'L'"),
    "a buffer from outside": (b"\x97.", r"the instruction b'\\x97'"),
    "lists in lists": (b"]" * 1000 + b"a" * 999 + b".", "puts a list into a list"),
    "a list in itself": (b"]q\x00h\x00a.", "puts a list into a list"),
    "tuples in tuples": (b")" + b"\x85" * 1000 + b".", "puts a tuple into a tuple in a tuple"),
    "a dictionary in a dictionary": (b"}K\x01}s.", "puts a dict into a dictionary"),
    "a key that is a tuple": (b"})K\x01s.", "into the keys of a dictionary"),
    "a key without a value": (b"}(K\x01u.", "a key without a value"),
    "a text beyond the end": (b"T\xff\xff\xff\xffabc", "cut short"),
    "a text of 2⁶³ bytes": (b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc", "cut short"),
    "a text that is no text": (b"X\x01\x00\x00\x00\xff.", "its parts do not fit"),
    "a memo that is empty": (b"h\x07.", "entry 7 of its memo, which is not there"),
    "a stack that is empty": (b"a.", "cut short, or its parts do not fit"),
    "a mark that is taken for a value": (b"(\x85.", "takes more from its stack than there is"),
    "no mark": (b"]K\x01e.", "takes more from its stack than there is"),
    "nothing": (b".", "ends with 0 values"),
    "two values": (b"K\x01K\x01.", "ends with 2 values"),
    "no end": (b"K\x01", "cut short"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_no_array_of_bytes_is_refused(name: str) -> None:
    content, message = ATTACKS[name]
    with pytest.raises(NotPlain, match=message) as caught:
        read_plain(START + content)
    assert "\n" not in str(caught.value)


def test_a_memo_of_many_lists_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_pickle, "MOST_STEPS", 1000)
    lists = b"".join(b"]r" + struct.pack("<I", 2**32 - 1 - k) for k in range(500))
    with pytest.raises(NotPlain, match="ends with 499 values"):
        read_plain(START + lists[:-6] + b".")
    with pytest.raises(NotPlain, match="has more than 1000 instructions"):
        read_plain(START + lists + b".")


def test_a_text_that_is_encoded_a_thousand_times_is_refused() -> None:
    encoded = b"c_codecs\nencode\nh\x00U\x06latin1\x86R"
    content = START + b"(X" + struct.pack("<I", 2**20) + b"a" * 2**20 + b"q\x00" + encoded * 1000 + b"t."
    tracemalloc.start()
    with pytest.raises(NotPlain, match="makes more bytes of its texts than it has"):
        read_plain(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**20


def test_every_cut_of_a_batch_is_refused() -> None:
    content = published(np.zeros((2, 8), np.uint8), [1, 2])
    assert read_plain(content)[b"labels"] == [1, 2]
    for end in range(len(content)):
        with pytest.raises(NotPlain):
            read_plain(content[:end])


def test_a_label_of_many_letters_takes_no_memory(tmp_path: Path) -> None:
    """As an array each label would have as many letters as the longest."""
    labels = [0] * 999 + ["x" * 10**6]
    content = pickle.dumps({b"data": np.zeros((1000, 3072), np.uint8), b"labels": labels}, 2)
    (tmp_path / "data_batch_1").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match="one label a sample"):
        dataset("cifar10", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 2**20


def test_a_file_of_too_many_samples_is_refused(tmp_path: Path) -> None:
    content = published(np.zeros((10_001, 3072), np.uint8), [0] * 10_001)
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(ValueError, match="holds 10001 samples, expected at most 10000"):
        dataset("cifar10", tmp_path)
