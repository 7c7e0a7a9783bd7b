"""Several processes read a folder, each file ends up in the collection once, and any of them may be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import CheckpointError, DeviceError, RequestError
from engines.index import Collection, open_collection
from engines.protocol import IndexRequest, IndexResult
from engines.tasks import workers
from tests.engines.tasks import plain_host

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there"),
]
ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 120


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Six short texts. What is read is noted in the file that READ names."""
    monkeypatch.setenv("READ", str(tmp_path / "read.log"))
    (tmp_path / "texts").mkdir()
    for n in range(6):
        (tmp_path / "texts" / f"{n}.txt").write_text(f"text {n}")
    return tmp_path / "texts"


def request_for(folder: Path) -> IndexRequest:
    return IndexRequest(folder=folder, collection=folder.parent / "my.db")


def indexed(folder: Path, opener: Callable[[], object] = plain_host.opened) -> IndexResult:
    *_, last = workers.index(opener, request_for(folder), 2)
    return last


def was_read(folder: Path) -> list[str]:
    return sorted((folder.parent / "read.log").read_text().splitlines())


def until(happened: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < end_s, "it never happened"
        time.sleep(0.05)


def test_two_read_each_file_once_and_what_is_unchanged_is_left(folder):
    (folder / "photo.png").write_bytes(b"no photo")
    results = list(workers.index(plain_host.opened, request_for(folder), 2))
    last = results[-1]
    assert (last.n_added, last.n_rows, last.end, last.host, last.model_digest) == (6, 6, "finished", "plain", "letters")
    assert [(name, why.en) for name, why in last.failures] == [("photo.png", "photo.png is no text.")]
    assert was_read(folder) == [f"text {n}" for n in range(6)]
    assert {result.progress.total for result in results if result.progress and result.progress.total} == {7}
    with Collection(folder.parent / "my.db") as collection:
        vector = plain_host.Letters().text_vector("text 3")
        (hit, score), *_ = collection.search(vector, kinds=frozenset({"text"}), k=1)
        assert (Path(hit.path), hit.text) == (folder / "3.txt", "text 3") and score == pytest.approx(1, abs=1e-3)
    (folder / "3.txt").write_text("text three")
    (folder / "4.txt").unlink()
    again = indexed(folder)
    assert (again.n_added, again.n_unchanged, again.n_removed, again.n_rows) == (1, 4, 1, 5)


def test_a_reader_that_is_killed_has_its_file_read_by_another(folder):
    (folder / "2.txt").write_text("die once")
    last = indexed(folder)
    assert (last.n_added, last.n_rows, last.failures) == (6, 6, ())
    assert was_read(folder).count("die once") == 2


def test_a_file_that_kills_two_readers_becomes_a_failure_and_the_rest_goes_on(folder):
    (folder / "2.txt").write_text("die always")
    last = indexed(folder)
    sentence = "2.txt ended two workers that read it; it may be damaged, or too large for the memory."
    ((name, reason),) = last.failures
    assert (last.n_added, last.n_rows, name, reason.en) == (5, 5, "2.txt", sentence) and reason.zh != reason.en
    assert was_read(folder).count("die always") == workers.TRIES


def test_a_stop_ends_the_readers_and_the_next_run_goes_on(folder):
    (folder / "5.txt").write_text("sleep")
    before = set(multiprocessing.active_children())
    steps = workers.index(plain_host.opened, request_for(folder), 2)
    for result in steps:
        if result.n_added == 5:
            break
    assert set(multiprocessing.active_children()) - before
    steps.close()
    assert set(multiprocessing.active_children()) <= before
    (folder / "5.txt").write_text("text 5")
    last = indexed(folder)
    assert (last.n_unchanged, last.n_added, last.n_rows) == (5, 1, 6)


PARENT = """
import sys
from pathlib import Path
from engines.protocol import IndexRequest
from engines.tasks import workers
from tests.engines.tasks import plain_host

if __name__ == "__main__":
    request = IndexRequest(folder=Path(sys.argv[1]), collection=Path(sys.argv[2]))
    for result in workers.index(plain_host.opened, request, 2):
        print(result.n_added, *[str(child.pid) for child in workers.multiprocessing.active_children()], flush=True)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc here")
def test_when_the_first_process_is_killed_the_readers_end_and_nothing_finished_is_lost(folder, tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(PARENT)
    for n in range(6, 60):
        (folder / f"{n}.txt").write_text(f"text {n}")
    command = [sys.executable, str(program), str(folder), str(tmp_path / "my.db")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert parent.stdout is not None
    for line in parent.stdout:
        n_added, *pids = map(int, line.split())
        if n_added >= 3:
            break
    parent.send_signal(signal.SIGKILL)
    parent.stdout.close()
    parent.wait()
    until(lambda: not any(map(alive, pids)))
    with open_collection(tmp_path / "my.db") as collection:
        n_kept = len(collection.files())
        assert n_added <= n_kept < 60 and collection.n_rows == n_kept
    last = indexed(folder)
    assert (last.n_unchanged, last.n_added, last.n_rows) == (n_kept, 60 - n_kept, 60)


def test_what_keeps_a_host_from_opening_is_said_as_it_is(folder):
    with pytest.raises(CheckpointError, match=r"^The weights are damaged; fetch them again\.$"):
        indexed(folder, plain_host.refused)


def test_readers_that_die_before_they_read_end_the_run(folder):
    with pytest.raises(DeviceError) as caught:
        indexed(folder, plain_host.dead)
    assert caught.value.en == (
        "Workers ended before they had read anything, perhaps for want of memory; choose fewer with --workers."
    )


def test_a_ray_cluster_reads_each_file_once_though_a_worker_dies(folder, monkeypatch):
    pytest.importorskip("ray", reason="Ray is not installed (the extra `cluster`)")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (folder / "2.txt").write_text("die once")
    with workers.ray_workers("local") as (start, n_cores):
        assert n_cores >= 1
        *_, last = workers.index(plain_host.opened, request_for(folder), 2, start)
    assert (last.n_added, last.n_rows, last.failures, last.host) == (6, 6, (), "plain")
    assert was_read(folder).count("die once") == 2


def test_a_ray_cluster_of_two_nodes_reads_each_file_once(folder, monkeypatch):
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed (the extra `cluster`)")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (folder / "2.txt").write_text("die once")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        with workers.ray_workers(cluster.address) as (start, n_cores):
            assert n_cores == 2, "a core of each node"
            *_, last = workers.index(plain_host.opened, request_for(folder), 2, start)
    finally:
        cluster.shutdown()
    assert (last.n_added, last.n_rows, last.failures, last.host) == (6, 6, (), "plain")
    assert was_read(folder).count("die once") == 2


def test_ray_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(RequestError, match=r"^--ray needs the package ray; install it with: "),
        workers.ray_workers("auto"),
    ):
        pass
