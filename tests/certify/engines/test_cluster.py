"""A ray cluster: the same verdicts, also when one of its machines is lost on the way."""

import signal
import sys
import time

import pytest

from spikecert.certify import verify
from spikecert.certify.engines import Ray
from support.fleets import Here, same, small_set

pytestmark = pytest.mark.filterwarnings("ignore")  # ray's own, about its processes and files

CHECKS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 300, "health_check_failure_threshold": 3}
"""How soon a machine that does not answer counts as lost."""


def test_ray_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"""engine: "ray" needs a package: pip install ray"""):
        verify(*small_set(), engine="ray")


def test_an_address_without_a_cluster_is_one_line() -> None:
    with pytest.raises(ConnectionError, match=r"address: no ray cluster answers at 'auto'") as caught:
        verify(*small_set(), engine=Ray("auto"))
    assert "\n" not in str(caught.value)


def test_a_cluster_that_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.exceptions import RayError

    def refused(**_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as ray takes it over
        raise RayError("InvalidAuthToken: the token is missing or incorrect\nmore lines")

    monkeypatch.setattr(ray, "init", refused)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ConnectionError, match="at 'head:6379': InvalidAuthToken: the token") as caught:
        verify(*small_set(), engine=Ray("head:6379"))
    assert "\n" not in str(caught.value)
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.slow
def test_a_cluster_that_loses_a_machine_loses_and_repeats_nothing() -> None:
    """Two machines of one processor each; the second is killed while it has batches."""
    import ray
    from ray.cluster_utils import Cluster

    case, told, nodes = small_set(), [], []
    head = {"num_cpus": 1, "include_dashboard": False, "_system_config": CHECKS}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = cluster.add_node(num_cpus=1)

        def progress(_: str, done: int, total: int) -> None:
            told.append(done)
            if len(told) == 4:
                nodes.append(alive())
                cluster.remove_node(second, allow_graceful=False)
            if done == total:
                nodes.append(eventually(1))

        def alive() -> int:
            return sum(node["Alive"] for node in ray.nodes())

        def eventually(count: int) -> int:
            """Return how many machines live once the cluster's own checks say `count`, or after a minute."""
            ends = time.monotonic() + 60
            while alive() != count and time.monotonic() < ends:
                time.sleep(0.2)
            return alive()

        verdicts = verify(*case, engine=Ray(cluster.address), workers=4, batch=1, progress=progress)
    finally:
        cluster.shutdown()
    assert nodes == [2, 1]
    assert told == list(range(23))
    assert same(verdicts, verify(*case, engine=Here(), batch=1))
