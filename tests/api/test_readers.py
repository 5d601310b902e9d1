"""Whatever reads a file has a row in SECURITY.md, a fuzzer and a test: what the code opens is listed here."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fuzz.readers import readers

from support.modules import ROOT, Module, modules

LIMITS = "tests/training/test_data.py::"
EVERYWHERE = "tests/files/test_everywhere.py::test_it_is_refused_at_once_in_one_line"


@dataclass(frozen=True)
class Row:
    """A kind of file.

    Attributes:
        starts: the row of SECURITY.md, by how it begins.
        readers: what reads such a file, `file:function`; none for one that takes a text.
        fuzzers: by their names.
        test: one that tries a hostile file.
    """

    starts: str
    readers: tuple[str, ...]
    fuzzers: tuple[str, ...]
    test: str


OF_HDF5 = "tests/conversion/test_nir.py::test_files_from_strangers_can_not_take_the_memory_or_read_elsewhere"
STRANGERS = "tests/models/test_strangers.py::test_no_description_takes_memory_that_the_file_has_not"
PROOFS = (
    "proof",
    "image-proof",
    "timed-proof",
    "network-of-proof",
    "network-of-image-proof",
    "network-of-timed-proof",
)
ROWS = (
    Row("model", ("models/files/storage.py:load",), ("model",), STRANGERS),
    Row(
        "weights of code",
        ("models/files/storage.py:read_state",),
        ("weights",),
        "tests/api/test_attack_code.py::test_weights_of_another_module_or_of_no_safetensors_are_refused",
    ),
    Row(
        "record",
        (
            "reports/records/records.py:load_record",
            "reports/making/combining.py:load_radii",
            "reports/pages/safety_case.py:load_checked",
        ),
        ("record", "radii", "checked", "member"),
        EVERYWHERE,
    ),
    Row("run file", ("api/runs/configuration.py:load_configuration",), ("configuration", "protocol"), EVERYWHERE),
    Row(
        "features (`.toml`)",
        ("asking/boxes.py:load_features",),
        ("features",),
        EVERYWHERE,
    ),
    Row(
        "data of a network (`data.toml` beside it)",
        ("asking/trained_on.py:read_trained_on",),
        ("trained-on",),
        EVERYWHERE,
    ),
    Row("plant (`.toml`)", ("api/runs/plants.py:load_plant",), ("plant",), EVERYWHERE),
    Row("VNN-LIB property", ("formats/vnnlib.py:_text",), ("vnnlib", "vnnlib-gz"), EVERYWHERE),
    Row("instances of the competition", ("api/runs/instances.py:read_instances",), ("instances",), EVERYWHERE),
    Row("competition result", (), ("result",), "tests/formats/test_limits.py::"),
    Row(
        "proof, and its model",
        (
            "checking/network/model.py:read_network",
            "checking/certificates/trials.py:check",
            "checking/certificates/trials.py:elaborate",
        ),
        ("checked-model", "elaborated-proof", *PROOFS),
        EVERYWHERE,
    ),
    Row(
        "certificate of a proof",
        ("checking/kernel/certificates.py:lines_of",),
        ("proof-certificate",),
        "tests/checking/kernel/test_certificates.py::test_a_line_without_end_is_refused_before_it_is_held",
    ),
    Row(
        "folder of `--resume`",
        ("certify/engines/certification.py:BatchStore", "certify/engines/certification.py:_parsed"),
        ("batch", "problem"),
        EVERYWHERE,
    ),
    Row("finished part", ("reports/making/parts.py:PartStore",), ("part",), EVERYWHERE),
    Row(
        "checkpoint of training",
        ("training/state.py:CheckpointStore",),
        ("checkpoint",),
        "tests/training/test_fit.py::test_a_forged_checkpoint_is_one_line",
    ),
    Row("history of training", ("training/journal.py:epochs_of",), (), EVERYWHERE),
    Row("result of a protocol's run", ("api/protocols/results.py:_read",), ("run-result",), EVERYWHERE),
    Row("NIR graph", ("models/conversion/nir/nir_reading.py:read_file",), ("nir",), OF_HDF5),
    Row(
        "Xylo's configuration",
        ("models/chips/xylo_files.py:from_xylo",),
        ("xylo",),
        "tests/models/chips/test_xylo_files.py::test_a_file_that_is_too_large_is_refused",
    ),
    Row(
        "network of lava-dl",
        ("models/chips/lava_files.py:from_lava",),
        ("lava",),
        "tests/models/chips/test_lava_files.py::test_a_file_that_unpacks_to_much_is_refused",
    ),
    Row(
        "ONNX file",
        ("formats/onnx/writing.py:read_onnx",),
        ("onnx",),
        "tests/formats/test_onnx.py::test_a_small_file_can_not_ask_for_large_inputs",
    ),
    Row("certificates", ("analysis/certificates/checking.py:read_content",), ("certificates",), EVERYWHERE),
    Row(
        "your own arrays",
        ("training/data/arrays.py:load_arrays", "training/data/arrays.py:_Folder"),
        ("npz",),
        f"{LIMITS}test_an_archive_is_unpacked_in_proportion",
    ),
    Row(
        "your own tables",
        ("training/data/tables.py:read_table", "training/data/tables.py:_parquet"),
        ("table",),
        "tests/training/test_tables.py::test_what_is_no_table_is_one_line",
    ),
    Row(
        "your own pictures",
        ("training/data/folders.py:_pixels",),
        ("picture",),
        "tests/training/test_own_data.py::test_a_small_folder_can_not_ask_for_much",
    ),
    Row(
        "MNIST, Fashion-MNIST",
        ("training/data/mnist.py:read_idx",),
        ("idx",),
        f"{LIMITS}test_packed_images_are_unpacked_as_far_as_their_header_says",
    ),
    Row(
        "CIFAR-10, CIFAR-100",
        ("training/data/cifar.py:read_batch",),
        ("cifar",),
        f"{LIMITS}test_a_packed_batch_is_unpacked_as_far_as_its_limit",
    ),
    Row(
        "N-MNIST recording",
        ("training/data/recordings/neuromorphic.py:read_recording",),
        ("nmnist",),
        f"{LIMITS}test_a_recording_that_is_too_large_is_refused",
    ),
    Row(
        "SHD, SSC",
        ("training/data/recordings/neuromorphic.py:read_words",),
        ("shd", "ssc"),
        f"{LIMITS}test_an_shd_file_of_another_kind_is_refused",
    ),
    Row(
        "DVS-Gesture",
        (
            "training/data/recordings/dvs_gesture.py:read_aedat",
            "training/data/recordings/dvs_gesture.py:_trials",
            "training/data/recordings/dvs_gesture.py:_gestures",
        ),
        ("gestures", "gesture table"),
        "tests/training/test_gestures.py::test_a_gesture_recording_that_is_too_large_is_refused",
    ),
    Row("installed packages", (), (), "tests/api/test_plug_ins.py::test_a_reader_that_fails_is_one_line"),
    Row(
        "Python",
        ("api/runs/sources.py:_module", "api/runs/sources.py:_run_file"),
        (),
        "tests/training/test_own_data.py::test_the_command_line_takes_an_archive_and_a_function",
    ),
)
OTHERS = {
    "models/files/storage.py:read_tensors": "those that call it have rows",
    "training/data/splits.py:packed": "those that call it have rows",
    "training/data/splits.py:read": "those that call it have rows",
    "checking/network/files.py:read": "those that call it have rows",
    "api/certified_networks/keeping.py:_read": "a file of this package",
    "api/protocols/configuration.py:_read": "a file of this package",
    "reports/pages/html_page.py:_template": "a file of this package",
    "files/hdf5_child.py:main": "it is given bytes by what has a row",
    "files/hdf5.py:read_hdf5": "it reads what its child made",
    "api/__init__.py:__getattr__": "names of this package",
    "api/runs/instances.py:_kept": "answers that its own runs keep; what is none is decided anew",
    "api/runs/instances.py:InstanceBatch": "a property, which has a row",
    "api/cli.py:command_of": "a command of this package",
    "models/elements/registry.py:files_of": "files of this package",
    "certify/lirpa/relaxation.py:load": "names of an installed library",
    "processes/piped.py:main": "a program of this package",
    "processes/memory.py:free_memory": "what Linux says of its memory",
    "kernels/loading.py:_chosen": "what this package was built of, or what SPIKECERT_KERNELS names",
    "kernels/building.py:has": "what Linux says of its processor",
    "kernels/building.py:digest": "files of this package",
    "kernels/building.py:checksum": "files of this package",
    "kernels/building.py:_compile": "files of this package",
    "kernels/building.py:_read": "files of this package",
}
"""What reads no file of a stranger, and why."""
READS = re.compile(
    r"^(?:[A-Z_]+|FileKind\(.*\))\.(?:content|text|json)$|\.(?:read_bytes|read_text)$|^h5py\.File$|^(?:np|torch)\.load$"
    r"|spec_from_file_location$|import_module$|run_path$",
    re.DOTALL,
)
"""Calls that read a file, or run it."""
WRAPPERS = {
    ("spikecert.files", "regular_content"),
    ("spikecert.files", "regular_lines"),
    ("spikecert.models.files.storage", "read_tensors"),
    ("spikecert.training.data.splits", "packed"),
    ("spikecert.training.data.splits", "read"),
    ("spikecert.checking.network.files", "read"),
}


def reading(module: Module) -> Iterator[str]:
    """Yield the functions and classes of a module that read a file."""
    names = {name for source, name in WRAPPERS if (source, name) in module.imports or source == module.name}
    for top in module.tree.body:
        calls = {ast.unparse(node.func) for node in ast.walk(top) if isinstance(node, ast.Call)}
        if isinstance(top, ast.FunctionDef | ast.ClassDef) and (calls & names or any(map(READS.search, calls))):
            yield f"{module.path.relative_to(ROOT).as_posix()}:{top.name}"


def test_whatever_reads_a_file_is_listed() -> None:
    """One that is not listed needs a row in SECURITY.md, a limit, a test and a fuzzer, or a reason why not."""
    found = {place for module in modules().values() for place in reading(module)}
    listed = [place for row in ROWS for place in row.readers]
    assert found - set(OTHERS) == set(listed)
    assert set(OTHERS) <= found, "these read no more"
    assert len(set(listed)) == len(listed)


def test_the_rows_are_those_of_the_page() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("## ")[2]
    rows = [line[2:] for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(ROWS)
    for row in ROWS:
        (found,) = (text for text in rows if text.startswith(row.starts))
        assert all(cell.strip() for cell in found.rstrip("|").split(" | ")), found


def test_each_fuzzer_is_that_of_a_row() -> None:
    assert sorted(name for row in ROWS for name in row.fuzzers) == sorted(readers())
    without = {row.starts for row in ROWS if not row.fuzzers}
    assert without == {
        "history of training",
        "Python",
        "installed packages",
    }  # of which lines are counted; which is run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.starts)
def test_each_row_has_a_test(row: Row) -> None:
    file, _, name = row.test.partition("::")
    assert f"def {name or 'test_'}" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "call", ["KIND.content(p)", "FileKind('a', 'b', 1).json(p)", "p.read_bytes()", "h5py.File(p)"]
)
def test_a_new_reader_is_seen(call: str) -> None:
    (node,) = (
        node for node in ast.walk(ast.parse(call)) if isinstance(node, ast.Call) and ast.unparse(node) == call
    )
    assert READS.search(ast.unparse(node.func))
