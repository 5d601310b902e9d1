"""NIR: there and back, files, and what a graph lost on the way."""

import time
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from snntorch.export_nir import export_to_nir as snntorch_to_nir
from spikingjelly.activation_based import neuron as sj_neurons
from spikingjelly.activation_based.nir_exchange import export_to_nir as spikingjelly_to_nir
from torch import nn

from spikecert import DLIF, LIF, ConversionRefused, SpikingNetwork, from_nir, mlp, to_nir
from spikecert.models import Residual, check_conversion
from support.foreign import FOREIGN, nir, snntorch
from support.neurons import Late


@pytest.mark.parametrize("fires_at", [">=", ">"])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9, 1.0])
def test_there_and_back_is_the_same_network(decay, fires_at, tmp_path):
    torch.manual_seed(0)
    network = mlp((6, 20, 10, 3), num_steps=7, neuron=LIF(decay, fires_at=fires_at)).eval()
    for layer in network.layers[::2]:  # on a grid, so that potentials lie on thresholds
        layer.weight.data = (layer.weight.data * 16).round() / 4  # type: ignore[union-attr, operator]
        layer.bias.data.zero_()  # type: ignore[union-attr, operator]
    sample = (torch.rand(40, 6) * 4).round() / 4
    nir.write(tmp_path / "network.nir", to_nir(network, sample))
    back = from_nir(tmp_path / "network.nir", sample)
    assert (back.num_steps, back.readout) == (7, "mean")
    for ours, theirs in zip(network.trace(sample).spikes, back.trace(sample).spikes, strict=True):
        assert torch.equal(ours, theirs)
    assert check_conversion(to_nir(network, sample), network, sample).matches


def image_network() -> SpikingNetwork:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3, bias=False)
    layers = [conv, LIF(0.9, 0.2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5), LIF(0.8, reset="none")]
    return SpikingNetwork(*layers, num_steps=6, readout="potential").eval()


def test_images_and_potentials(tmp_path):
    network, sample = image_network(), torch.rand(5, 1, 8, 8)
    nir.write(tmp_path / "network.nir", to_nir(network, sample))
    back = from_nir(str(tmp_path / "network.nir"))
    assert back.readout == "potential"
    torch.testing.assert_close(back(sample), network(sample))


WITHOUT = {
    "no reset": (mlp((4, 3, 2), neuron=LIF(reset="none")), "neurons of NIR that fire reset"),
    "input scale": (mlp((4, 3, 2), neuron=DLIF(8)), "an input scale over time"),
    "rate code": (mlp((4, 3, 2), encoding="rate"), "encoding 'rate'"),
    "batch norm": (SpikingNetwork(nn.Linear(4, 3), nn.BatchNorm1d(3), LIF(), num_steps=2).eval(), "BatchNorm1d"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_nir_can_not_say_is_refused(name):
    network, reason = WITHOUT[name]
    with pytest.raises(ConversionRefused, match=reason):
        to_nir(network, torch.rand(1, 4))


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph:DeprecationWarning")
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_a_soft_reset_that_was_lost_is_found_by_the_origin(reset):
    torch.manual_seed(0)
    neurons = [
        snntorch.Leaky(
            beta=torch.full((n,), 0.9), threshold=torch.ones(n), reset_mechanism=reset, init_hidden=True
        )
        for n in (12, 3)
    ]
    module: Any = nn.Sequential(nn.Linear(8, 12), neurons[0], nn.Linear(12, 3), neurons[1])
    module[0].weight.data.mul_(4.0)
    graph, sample = snntorch_to_nir(module, torch.rand(8)), torch.rand(6, 8)
    from_nir(graph, sample, num_steps=8, reset=reset)
    if reset == "zero":
        from_nir(graph, sample, num_steps=8, origin=module)
        return
    for told in (None, "zero", "subtract"):  # snnTorch subtracts one step late
        with pytest.raises(ConversionRefused, match=r"^origin: the graph does not spike as"):
            from_nir(graph, sample, num_steps=8, origin=module, reset=told)


def test_spikingjellys_own_export():
    torch.manual_seed(0)
    module: Any = nn.Sequential(nn.Linear(8, 12), sj_neurons.LIFNode(), nn.Linear(12, 3), sj_neurons.IFNode())
    module[0].weight.data.mul_(4.0)
    graph = spikingjelly_to_nir(module, torch.rand(1, 8))
    network = from_nir(graph, torch.rand(6, 8), num_steps=8, origin=module)
    assert network.neurons[0].dynamics.threshold == pytest.approx(2.0)


def graph_of(*nodes: Any) -> Any:
    return nir.NIRGraph.from_list(*nodes, type_check=False)


def test_sum_pooling_is_a_convolution():
    torch.manual_seed(0)
    weight, pairs = np.ones((2, 1, 3, 3), dtype=np.float32), (np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = nir.Flatten({"input": np.array([2, 2, 2])}, 0, -1)
    ends = nir.Input(np.array([1, 6, 6])), nir.Output(np.array([8]))
    conv = nir.Conv2d((6, 6), weight, 1, 0, 1, 1, np.zeros(2, dtype=np.float32))
    fires = nir.IF(r=np.full((2, 2, 2), 1e4), v_threshold=np.full((2, 2, 2), 20.0), metadata={"reset": "zero"})
    network = from_nir(graph_of(ends[0], conv, nir.SumPool2d(*pairs), fires, flat, ends[1]), num_steps=4)
    given = torch.rand(3, 2, 4, 4)
    place = [layer is network.neurons[0] for layer in network.layers].index(True)
    pooled = nn.Sequential(*list(network.layers)[1:place])(given)
    scale = 20.0 / network.neurons[0].dynamics.threshold  # potentials are in units of the factor of the sums
    torch.testing.assert_close(scale * pooled, 4.0 * nn.AvgPool2d(2)(given))


def broken(change) -> Any:
    made = FOREIGN["nir"](1).source
    graph = nir.NIRGraph(dict(made.nodes), list(made.edges), type_check=False)
    change(graph)
    return graph


def loop(graph: Any) -> None:
    graph.edges.append((graph.edges[-2][1], graph.edges[0][1]))


def other_node(graph: Any) -> None:
    node = nir.Threshold(np.ones(3))
    node.__class__ = type("Odd", (nir.Threshold,), {})
    graph.nodes[graph.edges[0][1]] = node


def no_number(graph: Any) -> None:
    node = graph.nodes[graph.edges[0][1]]
    node.weight = node.weight * np.nan


def one_number(graph: Any) -> None:
    node = graph.nodes[graph.edges[0][1]]
    node.weight = node.weight.copy()
    node.weight.flat[0] = np.inf


BROKEN = {
    "recurrent": (loop, "graph: is recurrent .* expected no cycle"),
    "beyond the end": (lambda graph: graph.edges.append(("output", graph.edges[0][1])), "to be the end"),
    "given nothing": (lambda graph: graph.edges.pop(1), "is given nothing"),
    "no way out": (lambda graph: graph.edges.pop(), "is given nothing, expected a way"),
    "unknown": (other_node, r"\(nir Odd\): is no node that is known"),
    "NaN": (no_number, "weights that are not finite"),
    "one inf": (one_number, "weights that are not finite"),
    "nowhere": (lambda graph: graph.edges.__setitem__(0, (graph.edges[0][0], "gone")), "'gone', which is no node"),
    "no output": (lambda graph: graph.nodes.pop("output"), "several inputs or outputs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_graph_that_is_no_chain_of_known_nodes_is_refused(name):
    change, reason = BROKEN[name]
    with pytest.raises(ConversionRefused, match=reason):
        from_nir(broken(change), torch.rand(4, 4), num_steps=3)


def blocks() -> SpikingNetwork:
    """Return a network with a sum of two paths inside of another one."""
    torch.manual_seed(0)
    inner = Residual([nn.Linear(8, 8), LIF(0.5)])
    outer = Residual([nn.Linear(6, 8), LIF(0.5), inner, nn.Linear(8, 5)], [nn.Linear(6, 5), LIF(0.5)])
    network = SpikingNetwork(nn.Linear(4, 6), LIF(0.5), outer, LIF(0.5), nn.Linear(5, 3), num_steps=4)
    for parameter in network.parameters():
        parameter.data.mul_(3.0)
    return network.double().eval()


def test_sums_are_written_as_edges_and_read_again():
    network, sample = blocks(), torch.rand(5, 4, dtype=torch.float64)
    graph = to_nir(network, sample)
    found = [len([end for _, end in graph.edges if end == name]) for name in graph.nodes]
    assert sorted(found)[-2:] == [2, 2]
    again = from_nir(graph, sample)
    assert [type(layer).__name__ for layer in again.layers] == ["Linear", "LIF", "Residual", "LIF", "Linear"]
    fresh = torch.rand(40, 4, dtype=torch.float64)
    assert check_conversion(graph, again, fresh).matches
    with torch.no_grad():
        torch.testing.assert_close(again(fresh), network(fresh))


def test_a_signal_that_is_added_to_itself_is_not_written():
    network = SpikingNetwork(nn.Linear(2, 3), LIF(0.9), Residual([], []), nn.Linear(3, 2), num_steps=3)
    with pytest.raises(ConversionRefused, match=r"^layer 2 \(Residual\): adds one signal twice"):
        to_nir(network, torch.rand(2, 2))


def test_a_neuron_with_another_recursion_is_not_written_as_a_lif() -> None:
    network = SpikingNetwork(nn.Linear(2, 3), Late(0.9), nn.Linear(3, 2), num_steps=3)
    with pytest.raises(
        TypeError, match=r"^network: layer 1 \(Late\) is a Late of rule LateRule, expected plain leaky"
    ):
        to_nir(network, torch.rand(2, 2))


def test_pools_of_sequences_are_not_written() -> None:
    network = SpikingNetwork(
        nn.AvgPool1d(2, 1), nn.Conv1d(1, 2, 1), LIF(0.9), nn.Flatten(), nn.Linear(4, 2), num_steps=3
    )
    with pytest.raises(ConversionRefused, match=r"^layer 0 \(AvgPool1d\): is not written, expected one of Linear"):
        to_nir(network, torch.rand(2, 1, 3))


def test_files_that_are_no_graphs_are_refused_in_one_line(tmp_path):
    path = tmp_path / "network.nir"
    path.write_bytes(b"no HDF5")
    with pytest.raises(ConversionRefused, match="is no NIR graph") as caught:
        from_nir(path, num_steps=3)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        from_nir(tmp_path / "none.nir", num_steps=3)
    with pytest.raises(ValueError, match="num_steps: got None"):
        from_nir(FOREIGN["nir"](1).source)
    with pytest.raises(TypeError, match="graph: got int"):
        from_nir(3, num_steps=3)


def bomb(file: Any) -> None:
    file["node"].create_dataset("big", shape=(1 << 28,), dtype="f8", compression="gzip")


def outside(file: Any) -> None:
    file["node"]["away"] = h5py.ExternalLink("/etc/hostname", "/")


def round_about(file: Any) -> None:
    file["node"]["again"] = file["node"]


def one_text_often(file: Any) -> None:
    """Each entry leads to the same text."""
    texts = file["node"].create_dataset("edges of another kind", (4000,), dtype=h5py.string_dtype())
    texts[0] = "x" * 30_000
    for k in range(1, 4000):
        texts[k] = "y"
    file.flush()
    place = texts.id.get_offset()
    with open(file.filename, "r+b") as raw:
        raw.seek(place)
        first = raw.read(16)
        raw.seek(place)
        raw.write(first * 4000)


def one_name_often(file: Any) -> None:
    group = file.create_group("named")
    group["n" * 60_000] = 1.0
    for k in range(100):
        file["node"][f"group {k}"] = group


def many_texts(file: Any) -> None:
    file["node"].create_dataset("texts", (2**24,), dtype="S1", chunks=(2**20,), compression="gzip")


def rows_of_nothing(file: Any) -> None:
    file["node"].create_dataset("rows", shape=(2**40, 0), dtype="f4")


def pairs(file: Any) -> None:
    file["node"]["pairs"] = np.zeros(3, [("one", "f4"), ("other", "i4")])


def ragged(file: Any) -> None:
    file["node"].create_dataset("ragged", (2,), dtype=h5py.vlen_dtype(np.int32))


MORE = {
    "one text often": (one_text_often, "its names and texts have more than"),
    "one name often": (one_name_often, "its names and texts have more than"),
    "many texts": (many_texts, "it has more than 100000 parts"),
    "rows of nothing": (rows_of_nothing, "its arrays have more than"),
    "pairs": (pairs, "got data of type .* at 'pairs', expected numbers or text"),
    "ragged": (ragged, "got data of type object at 'ragged', expected numbers or text"),
    "nothing": (lambda file: file["node"].create_dataset("no", data=h5py.Empty("f4")), "got data of type float32"),
}
STRANGE = MORE | {"bomb": (bomb, "more than"), "outside": (outside, "has a link"), "cycle": (round_about, "deep")}


@pytest.mark.parametrize("name", STRANGE)
def test_files_from_strangers_can_not_take_the_memory_or_read_elsewhere(name, tmp_path):
    network, path = mlp((4, 3, 2), num_steps=3), tmp_path / "network.nir"
    nir.write(path, to_nir(network, torch.rand(1, 4)))
    from_nir(path, silent=True)
    change, reason = STRANGE[name]
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ConversionRefused, match=reason):
        from_nir(path)


def put(place: str, value: Any) -> Callable[[Any], None]:
    """Return what sets a number, or an array, of a file."""

    def change(file: Any) -> None:
        del file[place]
        file[place] = value

    return change


def nothing_stored(file: Any) -> None:
    del file["node/nodes/affine/weight"]
    file.create_dataset("node/nodes/affine/weight", shape=(11_000, 11_000), dtype="f4", chunks=True)


LARGE = {
    "weights of which nothing is stored": (nothing_stored, "its arrays have more than"),
    "many steps": (put("node/metadata/num_steps", 2**16), r"asks for 65536 steps of \d+ modules"),
    "a large image": (put("node/nodes/input/shape", np.array([1, 3000, 3000])), "can't run on inputs of shape"),
    "a wide padding": (put("node/nodes/conv2d/padding", np.array([3000, 3000])), "can't run on inputs of shape"),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_file_can_not_ask_for_a_run_out_of_proportion(name, tmp_path):
    network, path = image_network(), tmp_path / "network.nir"
    nir.write(path, to_nir(network, torch.rand(1, 1, 8, 8)))
    change, reason = LARGE[name]
    with h5py.File(path, "a") as file:
        change(file)
    started = time.process_time()
    with pytest.raises(ConversionRefused, match=reason) as refused:
        from_nir(path)
    assert time.process_time() - started < 2
    assert len(str(refused.value)) < 500


def test_nor_for_numbers_that_fit_its_neurons(tmp_path):
    """A layer of vectors takes any number of axes before them."""
    network, path = mlp((3, 4, 2), num_steps=3, neuron=LIF()).eval(), tmp_path / "network.nir"
    nir.write(path, to_nir(network, torch.rand(1, 3)))
    with h5py.File(path, "a") as file:
        put("node/nodes/input/shape", np.array([10**6, 3]))(file)
    with pytest.raises(ConversionRefused, match=r"graph: computes \d+ numbers for one sample, expected at most"):
        from_nir(path)


def test_steps_that_the_caller_gives_are_taken(tmp_path):
    network, path = mlp((3, 4, 2), num_steps=3, neuron=LIF()).eval(), tmp_path / "network.nir"
    nir.write(path, to_nir(network, torch.rand(1, 3)))
    with h5py.File(path, "a") as file:
        put("node/metadata/num_steps", 2**16)(file)
    assert from_nir(path, num_steps=5).num_steps == 5
