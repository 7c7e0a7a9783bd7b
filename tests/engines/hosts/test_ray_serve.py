"""The API as Ray Serve runs it: two replicas, one of which is killed, lose no request of a client that tries again."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest

serve = pytest.importorskip("ray.serve", reason="Ray Serve is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")]
ROOT = Path(__file__).resolve().parents[3]
N_REQUESTS, N_BEFORE = 30, 5


@pytest.fixture
def address(monkeypatch) -> Iterator[str]:
    """Where two replicas of the built-in model answer."""
    import ray

    from engines.hosts.api_server import create

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("FUSION_STUDIO_DEVICE", "cpu")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        deployment = serve.deployment(num_replicas=2, ray_actor_options={"num_cpus": 1}, max_ongoing_requests=16)
        serve.run(deployment(serve.ingress(create)()).bind())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        serve.shutdown()
        ray.shutdown()


def replicas() -> list[psutil.Process]:
    """The processes of the replicas, which are named after what they run."""
    mine = psutil.Process().children(recursive=True)
    return [process for process in mine if "ServeReplica" in " ".join(process.cmdline())]


def test_a_replica_is_killed_and_no_request_is_lost(address):
    answers: list[int] = []
    begun, failures = threading.Event(), list[Exception]()

    def ask() -> None:
        with openai.OpenAI(base_url=address, api_key="none", max_retries=8) as client:
            for n in range(N_REQUESTS):
                try:
                    answers.append(len(client.embeddings.create(model="builtin", input=f"dog {n}").data))
                except openai.OpenAIError as error:
                    failures.append(error)
                if n == N_BEFORE:
                    begun.set()

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for thread in asking:
        thread.start()
    assert begun.wait(120)
    first, *others = replicas()
    assert others, "two replicas answer"
    first.send_signal(signal.SIGKILL)
    for thread in asking:
        thread.join(240)
    assert failures == [] and answers == [1] * (2 * N_REQUESTS)
