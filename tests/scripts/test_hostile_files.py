"""Hostile files of every type are made from a seed, cost little and get their sentence."""

from __future__ import annotations

import json
import random
import signal
import sys

import pytest

from engines.errors import MediaError
from engines.media import child
from scripts import hostile_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a decoder takes is read from /proc")


@pytest.mark.slow
def test_no_type_of_hostile_file_does_harm():
    rows = hostile_files.measure(len(hostile_files.TYPES), seed=1)
    for kind, row in rows.items():
        assert row.n == 1, kind
        assert (row.crashes, row.slow, row.large, row.outside, row.unsaid) == (0, 0, 0, 0, 0), kind


@pytest.mark.slow
def test_a_decoder_that_breaks_is_a_crash_and_its_memory_is_told(tmp_path, monkeypatch):
    def breaks(path):
        decoder = child._idle[-1].process
        decoder.send_signal(signal.SIGSEGV)
        decoder.wait()
        raise MediaError("damaged", "{name} is damaged.", name=path.name)

    monkeypatch.setattr(hostile_files, "READERS", (breaks,))
    row = hostile_files.FileTally()
    hostile_files._tried(tmp_path / "a.jpg", row, is_pointer=False)
    assert row.crashes == 1 and row.most_bytes > 0


@pytest.mark.slow
def test_what_a_kill_takes_is_lost_though_the_next_run_would_bring_it_back(monkeypatch):
    told = iter([0, 7, 7, 0])  # before the program, once it has told of rows, before the kill, after it
    monkeypatch.setattr(hostile_files, "_rows", lambda where: next(told, 50))
    assert hostile_files.kills(1, seed=0) == (7, 50)


@pytest.mark.parametrize("kind", ["images", "newer images", "newer animations", "sounds", "clips", "archives", "lists"])
def test_a_seed_makes_the_same_file_again(kind, tmp_path):
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = hostile_files._made(kind, tmp_path / name, 0, random.Random(5), tmp_path / "outside.wav")
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def test_what_was_counted_is_written_for_the_tables(tmp_path):
    out = tmp_path / "hostile_files.json"
    assert hostile_files.main(["--files", "1", "--kills", "0", "--out", str(out)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["types"]["images"]["n"] == 1 and found["kills"] == {"n": 0, "files": 0, "lost": 0}
