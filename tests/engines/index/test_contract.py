"""What any collection does, in a file, in a folder and in a bucket: keep, find, follow what changes, survive a kill."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.errors import CollectionError
from engines.index import Collection, LanceCollection, Row, open_collection
from engines.protocol import KINDS
from tests.engines.index.makers import direction, row

ALL = frozenset(KINDS)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["file", "folder", "bucket"])
def where(request) -> Path | str:
    """A place for a collection, of each sort."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def collection(where) -> Iterator[Collection | LanceCollection]:
    with open_collection(where, model_digest="model-1", create=True) as made:
        yield made


def written(path: Path, text: str) -> tuple[Path, str]:
    """A file with its digest."""
    path.write_text(text)
    return path, hashlib.sha256(text.encode()).hexdigest()


# --- keeping and finding -----------------------------------------------------------------------------------------


def test_what_is_put_is_found_and_is_there_next_time(where, collection, tmp_path):
    path = tmp_path / "talk.mp4"
    rows = [row(path, 1, "clip", 0, 8, "a dog"), row(path, 2, "clip", 8, 16), row(path, 3, "speech", 0, 16, "hello")]
    collection.put(path, "d", rows)
    with open_collection(where, model_digest="model-1") as again:
        for opened in (collection, again):
            assert opened.n_rows == 3 and opened.files() == {str(path)} and opened.model_digest == "model-1"
            found, score = opened.search(direction(3), kinds=ALL, k=1)[0]
            assert (found.path, found.kind, found.start_s, found.end_s, found.text) == (
                str(path), "speech", 0, 16, "hello",
            )  # fmt: skip
            assert score == pytest.approx(1, abs=1e-3)
            assert np.allclose(found.vector, direction(3), atol=1e-3)


def test_hits_come_best_first_and_at_most_one_of_a_file_before_the_rest(collection, tmp_path):
    for n in range(3):
        path = tmp_path / f"{n}.mp4"
        near = [direction(0) + (0.1 * n + 0.01 * i) * direction(50 + n) for i in range(4)]
        collection.put(path, str(n), [Row(str(path), "clip", i, i + 1, vector) for i, vector in enumerate(near)])
    hits = collection.search(direction(0), kinds=frozenset({"clip"}), k=5)
    assert [(Path(hit.path).stem, hit.start_s) for hit, _ in hits] == [("0", 0), ("1", 0), ("2", 0), ("0", 1), ("0", 2)]


def test_only_the_kinds_asked_for_are_found(collection, tmp_path):
    for n, kind in enumerate(KINDS):
        collection.put(tmp_path / kind, kind, [row(tmp_path / kind, n, kind)])
    for kind in KINDS:
        hits = collection.search(direction(0), kinds=frozenset({kind}), k=9)
        assert [hit.kind for hit, _ in hits] == [kind]


def test_a_part_of_a_medium_is_found_only_where_it_is_asked_for(collection, tmp_path):
    path = tmp_path / "sign.jpg"
    rows = [row(path, 1), Row(str(path), "photo", 0, 0, direction(2), "Platform 12", "written")]
    collection.put(path, "d", rows)
    for source, text in (("", ""), ("written", "Platform 12")):
        ((hit, _),) = collection.search(direction(2), kinds=ALL, k=9, source=source)
        assert (hit.kind, hit.source, hit.text) == ("photo", source, text)
    assert collection.search(direction(2), kinds=ALL, k=9, source="said") == []


def test_rows_are_found_by_words_in_their_text(collection, tmp_path):
    for n, text in enumerate(("PLATFORM 12", "三号会议室", "Größe", "")):
        path = tmp_path / f"{n}.jpg"
        collection.put(path, str(n), [Row(str(path), "photo", 0, 0, direction(n), text, "written")])
    for parts, names in ((["platform"], ["0.jpg"]), (["会议", "xyz"], ["1.jpg"]), (["absent"], []), ([], [])):
        found = collection.with_words(parts, kinds=ALL, k=9)
        assert [Path(each.path).name for each in found] == names
    assert collection.with_words(["platform"], kinds=frozenset({"clip"}), k=9) == []
    (found,) = collection.with_words(["platform"], kinds=ALL, k=9)
    assert np.allclose(found.vector, direction(0), atol=1e-3)


def test_an_empty_collection_finds_nothing(collection):
    assert collection.search(direction(0), kinds=ALL, k=3) == []
    assert collection.n_rows == 0 and collection.files() == set() and collection.failures() == []


def test_putting_a_file_again_replaces_its_rows(collection, tmp_path):
    path = tmp_path / "a.jpg"
    collection.put(path, "old", [row(path, 1), row(path, 2)])
    collection.put(path, "new", [row(path, 3)])
    assert collection.n_rows == 1
    ((hit, score),) = collection.search(direction(1), kinds=ALL, k=9)
    assert np.allclose(hit.vector, direction(3), atol=1e-3) and score < 0.99


def test_a_forgotten_file_is_gone_with_its_rows(where, collection, tmp_path):
    for n in range(3):
        collection.put(tmp_path / f"{n}.jpg", str(n), [row(tmp_path / f"{n}.jpg", n)])
    collection.forget([tmp_path / "0.jpg", tmp_path / "2.jpg", tmp_path / "never-there.jpg"])
    for opened in (collection, open_collection(where)):
        assert opened.files() == {str(tmp_path / "1.jpg")} and opened.n_rows == 1
        assert len(opened.search(direction(0), kinds=ALL, k=9)) == 1


def test_a_file_of_no_rows_is_known_and_finds_nothing(collection, tmp_path):
    path, digest = written(tmp_path / "silence.txt", "x")
    collection.put(path, digest, [])
    assert collection.unchanged(path) and collection.n_rows == 0


def test_vectors_of_another_width_are_a_defect_and_change_nothing(collection, tmp_path):
    path = tmp_path / "a.jpg"
    collection.put(path, "d", [row(path, 1)])
    for rows in (
        [Row(str(path), "photo", 0, 0, direction(1, width=8))],
        [row(path, 1), Row("", "photo", 0, 0, np.ones(3))],
    ):
        with pytest.raises(ValueError, match="numbers in one collection"):
            collection.put(path, "d", rows)
    assert collection.n_rows == 1 and len(collection.search(direction(1), kinds=ALL, k=9)) == 1


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_not_text_are_kept_as_they_are(collection, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.write_bytes(b"x")
    collection.put(path, hashlib.sha256(b"x").hexdigest(), [row(path, 1)])
    assert collection.files() == {str(path)} and collection.unchanged(path)
    assert Path(collection.search(direction(1), kinds=ALL, k=1)[0][0].path).read_bytes() == b"x"


# --- what is refused ---------------------------------------------------------------------------------------------


def test_a_missing_collection_says_to_index_first_and_makes_nothing(where, tmp_path, store):
    with pytest.raises(CollectionError, match=r"^There is no collection holiday(\.fusion)?; index a folder first\.$"):
        open_collection(where)
    assert not list(tmp_path.iterdir()) and not store


def test_a_collection_of_another_model_says_to_index_again_and_can_be_reset(where, collection, tmp_path):
    collection.put(tmp_path / "a.jpg", "d", [row(tmp_path / "a.jpg", 1)])
    for create in (False, True):
        with pytest.raises(CollectionError, match="was made by another model, and this one cannot read it; index the"):
            open_collection(where, model_digest="model-2", create=create)
    collection.reset("model-2")
    assert collection.n_rows == 0 and collection.files() == set()
    with open_collection(where, model_digest="model-2") as again:
        path = tmp_path / "b.jpg"
        again.put(path, "d", [Row(str(path), "photo", 0, 0, direction(1, width=32))])  # of another width, too
        assert again.n_rows == 1 and again.search(direction(1, width=32), kinds=ALL, k=1)[0][0].path == str(path)


# --- what has changed --------------------------------------------------------------------------------------------


def test_a_file_is_unchanged_until_its_bytes_change(collection, tmp_path):
    path, digest = written(tmp_path / "a.txt", "one")
    assert not collection.unchanged(path)
    collection.put(path, digest, [row(path, 1, "text")])
    assert collection.unchanged(path)
    os.utime(path, ns=(1, 1))  # touched, or copied back
    assert collection.unchanged(path)
    written(path, "two")  # of the same size
    os.utime(path, ns=(2, 2))
    assert not collection.unchanged(path)
    written(path, "three")
    assert not collection.unchanged(path)
    path.unlink()
    assert not collection.unchanged(path)


def test_the_bytes_are_read_only_once_after_a_touch(collection, tmp_path, monkeypatch):
    path, digest = written(tmp_path / "a.txt", "one")
    collection.put(path, digest, [row(path, 1, "text")])
    os.utime(path, ns=(1, 1))
    assert collection.unchanged(path)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("read again"))
    assert collection.unchanged(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_file_is_never_read(collection, tmp_path):
    path = tmp_path / "notes.txt"
    path.touch()
    collection.put(path, hashlib.sha256(b"").hexdigest(), [])
    assert collection.unchanged(path)
    path.unlink()
    os.mkfifo(path)
    assert not collection.unchanged(path)


def test_a_file_that_is_gone_when_it_is_put_is_not_unchanged_when_it_is_back(collection, tmp_path):
    path = tmp_path / "a.txt"
    collection.put(path, hashlib.sha256(b"one").hexdigest(), [row(path, 1)])
    assert not collection.unchanged(path)
    written(path, "one")
    assert not collection.unchanged(path)


def test_failures_are_kept_with_their_reason_and_tried_again(where, collection, tmp_path):
    good, digest = written(tmp_path / "good.txt", "x")
    bad, _ = written(tmp_path / "bad.txt", "x")
    collection.put(good, digest, [row(good, 1)])
    collection.put(bad, digest, [row(bad, 2)])
    collection.fail(bad, "bad.txt is damaged.")
    collection.fail(tmp_path / "also.txt", "also.txt is empty.")
    for opened in (collection, open_collection(where)):
        assert opened.failures() == [
            (str(tmp_path / "also.txt"), "also.txt is empty."),
            (str(bad), "bad.txt is damaged."),
        ]
        assert opened.n_rows == 1 and len(opened.files()) == 3
    assert not collection.unchanged(bad)
    collection.put(bad, digest, [row(bad, 2)])
    assert collection.failures() == [(str(tmp_path / "also.txt"), "also.txt is empty.")]


# --- more than one at a time -------------------------------------------------------------------------------------


def test_another_program_sees_what_was_put_at_once(where, collection, tmp_path):
    with open_collection(where) as other:
        for n in range(5):
            collection.put(tmp_path / f"{n}.jpg", str(n), [row(tmp_path / f"{n}.jpg", n)])
            assert other.n_rows == n + 1
            assert other.search(direction(n), kinds=ALL, k=1)[0][0].path.endswith(f"{n}.jpg")
        other.forget([tmp_path / "0.jpg"])
        assert collection.n_rows == 4
        assert all(not hit.path.endswith("0.jpg") for hit, _ in collection.search(direction(0), kinds=ALL, k=9))


def test_one_thread_writes_while_others_search(where, collection, tmp_path):
    path = tmp_path / "anchor.jpg"
    collection.put(path, "d", [row(path, 0)])
    stop, wrong = threading.Event(), list[BaseException]()

    def search() -> None:
        try:
            while not stop.is_set():
                hits = collection.search(direction(0), kinds=ALL, k=3)
                assert hits[0][0].path == str(path) and hits[0][1] == pytest.approx(1, abs=1e-3)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    n_files = 150 if isinstance(where, Path) else 10
    for n in range(1, n_files):
        collection.put(
            tmp_path / f"{n}.jpg", str(n), [row(tmp_path / f"{n}.jpg", n), row(tmp_path / f"{n}.jpg", -n + 10**6)]
        )
        if n % 5 == 0:
            collection.forget([tmp_path / f"{n - 1}.jpg"])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and collection.n_rows == 1 + 2 * (n_files - 1 - (n_files - 1) // 5)


KILLED = """
import sys
from pathlib import Path
import numpy as np
from engines.index import Row, open_collection

rng = np.random.default_rng(0)
where = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
with open_collection(where, model_digest="model-1", create=True) as collection:
    for n in range(100_000):
        path = f"/media/{n}.mp4"
        vectors = rng.standard_normal((7, 16))
        collection.put(Path(path), str(n), [Row(path, "clip", i, i + 1, vector) for i, vector in enumerate(vectors)])
        print(n, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
@pytest.mark.slow
@pytest.mark.parametrize("n_before", [1, 20])
def test_a_kill_in_the_middle_of_indexing_loses_nothing_finished(where, n_before):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(where)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    finished = [int(child.stdout.readline()) for _ in range(n_before)]
    child.send_signal(signal.SIGKILL)
    finished += [int(line) for line in child.stdout if line.endswith("\n")]
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    with open_collection(where, model_digest="model-1") as collection:
        names = {int(Path(path).stem) for path in collection.files()}
        assert set(finished) <= names and names - set(finished) <= {finished[-1] + 1}  # at most one not yet told
        assert collection.n_rows == 7 * len(names)  # each with all its rows
        collection.put(Path("/media/x.mp4"), "x", [row(Path("/media/x.mp4"), 1)])
