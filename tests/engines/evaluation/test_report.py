"""The table people read and the file programs read."""

from __future__ import annotations

import json

from engines.evaluation.harness import Harness, Row, Rows
from engines.evaluation.report import about, earlier, table, write
from tests.fake_host import FakeHost

ROWS: Rows = {
    "speech.an4.word_error_rate": Row(12.3456, 87, interval=(10.0, 15.04), note="500 words"),
    "caption.flickr8k.en.cider": Row(56.8, 600, "points"),
    "video_qa.mini.accuracy": Row(None, skipped="the data has no video"),
    "speed.caption.seconds": Row(0.1234, 5, "s"),
}


def test_the_table_is_aligned_and_sorted_and_names_what_was_skipped():
    lines = table(ROWS).splitlines()
    assert [line.split()[0] for line in lines] == ["key", *sorted(ROWS)]
    assert lines[1].index("56.8") + 4 == lines[2].index("12.3") + 4 == lines[3].index("0.123") + 5
    assert "10.0 to 15.0" in lines[2]
    assert lines[4].endswith("the data has no video")


def test_what_is_written_is_read_again_for_the_same_model_split_and_limit_only(tmp_path):
    file = tmp_path / "evaluation.json"
    harness = Harness(FakeHost(), tmp_path, "dev", 10)
    write(file, about(harness, {"speech": 1.23}), ROWS)
    rows, seconds = earlier(file, harness)
    assert rows.keys() == ROWS.keys()
    assert rows["caption.flickr8k.en.cider"] == ROWS["caption.flickr8k.en.cider"]
    assert seconds == {"speech": 1.2}
    assert earlier(file, Harness(FakeHost(), tmp_path, "test", 10)) == ({}, {})
    assert earlier(file, Harness(FakeHost(), tmp_path, "dev")) == ({}, {})


def test_a_file_of_another_kind_is_written_anew(tmp_path):
    harness = Harness(FakeHost(), tmp_path, "dev")
    for text in ("", "[1, 2]", '{"about": {}}', "not json"):
        file = tmp_path / "evaluation.json"
        file.write_text(text, encoding="utf-8")
        assert earlier(file, harness) == ({}, {})
    assert earlier(tmp_path / "absent.json", harness) == earlier(None, harness) == ({}, {})


def test_the_file_says_what_was_measured_and_nothing_of_where(tmp_path):
    file = tmp_path / "evaluation.json"
    write(file, about(Harness(FakeHost(), tmp_path, "dev"), {}), ROWS)
    content = json.loads(file.read_text(encoding="utf-8"))
    assert {"cpu", "date", "dtype", "host", "model_digest", "split", "versions"} <= content["about"].keys()
    assert content["video_qa.mini.accuracy"] == {"skipped": "the data has no video", "value": None}
    assert str(tmp_path) not in file.read_text(encoding="utf-8")
