"""Random networks: what is verified has a proof, and no proof is ever accepted of what can be falsified."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from spikecert import L2, LInf, save, verify
from spikecert.certify.proofs import Prover, Unproven
from spikecert.checking import Refused, check
from spikecert.checking.short import FORMAT
from spikecert.models.files.storage import read_tensors, write_tensors
from spikecert.testing import Case, cases, image_networks, points, sequence_networks
from support.checked_samples import check_samples
from support.examples import THOROUGH, examples
from support.mutations import mutate
from support.oracles import line_margin
from support.readouts import has_a_form, read_out

RADII = st.sampled_from([0.0, 0.02, 0.2])


@examples(40)
@given(cases(encodings=("direct",)), st.integers(0, 2**31))
def test_what_is_verified_has_a_proof_that_no_sampled_input_contradicts(tmp_path_factory, case, seed):
    assume(has_a_form(case.network))
    folder = tmp_path_factory.mktemp("proofs")
    prover, ball = Prover.of(case.network), LInf(case.epsilon)
    save(case.network, folder / "network.safetensors")
    verdicts = verify(case.network, case.inputs, case.labels, ball, "complete", timeout=5.0)
    with torch.no_grad():
        sampled = points(case, 60, torch.Generator().manual_seed(seed))
        logits = torch.stack([case.network(part) for part in sampled]).double()
    for index, verdict in enumerate(verdicts):
        label = int(case.labels[index])
        try:
            proof = prover.prove(case.inputs[index], label, ball, timeout=5.0)
        except Unproven as error:
            late = "time was up" in str(error)
            assert late or verdict.status != "verified" or (verdict.margin or 0.0) < 1e-3
            continue
        assert verdict.status != "falsified"
        proof.save(folder / "sample.proof")
        margin = check(folder / "sample.proof", folder / "network.safetensors").margin
        own = logits[:, index, label]
        others = logits[:, index].clone()
        others[:, label] = -torch.inf
        assert float((own - others.amax(1)).min()) > 0
        assert float((own - others.amax(1)).min()) >= margin - 1e-4 * float(logits.abs().max())


@examples(60)
@given(
    cases(most_layers=2, features=1, dtypes=(torch.float64,), encodings=("direct",)),
    st.sampled_from([1e-4, 1e-2, 0.05]),
    st.integers(0, 2**31),
)
def test_no_mutation_proves_what_the_line_oracle_falsifies(tmp_path_factory, case, small, seed):
    """A proof of a small ball is changed, at random, into one of a ball that holds a counterexample."""
    assume(has_a_form(case.network))
    wide, generator = 0.5, np.random.default_rng(seed)
    prover, folder = Prover.of(case.network), tmp_path_factory.mktemp("mutants")
    save(case.network, folder / "network.safetensors")
    for index in range(len(case.inputs)):
        label, middle = int(case.labels[index]), float(case.inputs[index])
        low, high = max(0.0, middle - wide), min(1.0, middle + wide)
        if line_margin(case.network, low, high, label) > 0:
            continue
        try:
            prover.prove(case.inputs[index], label, LInf(small), 5.0).save(folder / "sample.proof")
        except Unproven:
            continue
        for _ in range(8):
            text, tensors = read_tensors(folder / "sample.proof", FORMAT)
            tensors["radius"] = torch.tensor([wide], dtype=torch.float64)
            for _ in range(int(generator.integers(0, 4))):
                mutate(tensors, generator)
            write_tensors(folder / "mutant.proof", FORMAT, text, tensors)
            try:
                check(folder / "mutant.proof", folder / "network.safetensors")
            except Refused:
                continue
            raise AssertionError("a proof was accepted of a sample that has a counterexample")


@examples(48)
@given(
    image_networks(side=4, most_channels=2, most_steps=3, pools=("average",)),
    st.sampled_from([0.0, 0.01, 0.05]),
    st.integers(0, 2**31),
)
def test_no_sampled_image_contradicts_a_proof(tmp_path_factory, network, epsilon, seed):
    assume(has_a_form(network))
    folder, generator = tmp_path_factory.mktemp("images"), torch.Generator().manual_seed(seed)
    batch = torch.rand((2, 1, 4, 4), generator=generator).to(network.dtype)
    with torch.no_grad():
        labels = network(batch).argmax(1)
    case = Case(network, batch, labels, epsilon)
    check_samples(case, LInf(epsilon), folder, points(case, 40, generator))


@examples(48)
@given(
    sequence_networks(most_channels=2, most_steps=3, encodings=("direct", "none"), pools=("average",)),
    st.sampled_from([0.0, 0.01, 0.05]),
    st.integers(0, 2**31),
)
def test_no_sampled_sequence_contradicts_a_proof(tmp_path_factory, network, epsilon, seed):
    assume(has_a_form(network))
    folder, generator = tmp_path_factory.mktemp("sequences"), torch.Generator().manual_seed(seed)
    shape = (network.num_steps, 1, 8) if network.timed else (1, 8)
    batch = torch.rand((2, *shape), generator=generator).to(network.dtype)
    with torch.no_grad():
        labels = network(batch).argmax(1)
    case = Case(network, batch, labels, epsilon)
    check_samples(case, LInf(epsilon), folder, points(case, 40, generator))


@examples(40 if THOROUGH else 24)
@given(
    cases(encodings=("direct",)),
    st.sampled_from(["spikes", "potential", "scaled potential"]),
    st.integers(0, 2**31),
)
def test_no_input_contradicts_a_proof_of_another_readout(tmp_path_factory, case, readout, seed):
    network = read_out(case.network, readout)
    assume(has_a_form(network))
    with torch.no_grad():
        case = replace(case, network=network, labels=network(case.inputs).argmax(1))
    sampled = points(case, 40, torch.Generator().manual_seed(seed))
    check_samples(case, LInf(case.epsilon), tmp_path_factory.mktemp("readouts"), sampled)


@examples(60)
@given(cases(most_layers=2, most_steps=4, encodings=("none",)), st.integers(0, 2**31))
def test_no_input_over_time_contradicts_a_proof(tmp_path_factory, case, seed):
    assume(has_a_form(case.network))
    sampled = points(case, 40, torch.Generator().manual_seed(seed))
    check_samples(case, LInf(case.epsilon), tmp_path_factory.mktemp("timed"), sampled)


@examples(24)
@given(cases() if THOROUGH else cases(most_layers=2, most_steps=4), RADII, st.integers(0, 2**31))
def test_no_input_of_an_l2_ball_contradicts_a_proof(tmp_path_factory, case, radius, seed):
    assume(has_a_form(case.network))
    generator, ball = torch.Generator().manual_seed(seed), L2(radius)
    spread = torch.stack([ball.sample(case.inputs, generator) for _ in range(20)])
    edges = [case.inputs + 9 * torch.randn(case.inputs.shape, generator=generator) for _ in range(20)]
    edges = torch.stack([ball.project(edge.to(case.inputs.dtype), case.inputs) for edge in edges])
    check_samples(case, ball, tmp_path_factory.mktemp("balls"), torch.cat([spread, edges]))
