"""Generated tables hold what was measured, side by side, in both languages; the rest of a document stays."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from engines.hosts.router import parse_routes
from scripts import tables
from scripts.hostile_files import FileTally
from scripts.tables import KNOWN, TEXTS, fill, known, lab, measured, trust, words

ROWS = {
    "caption.flickr8k.en.bleu4": {"value": 16.04, "n": 600, "unit": "points"},
    "caption.flickr8k.en.cider": {"value": 41.26, "n": 600, "unit": "points"},
    "sound.esc10.accuracy": {"value": 80.0, "n": 80, "unit": "%"},
    "sound.us8k.accuracy": {"value": None, "skipped": "no data"},
    "speech.speechocean762.word_error_rate": {"value": 25.25, "n": 300, "unit": "%"},
}
FEW = [one for one in KNOWN if one.name in ("openai/whisper-base", "google/gemma-3-4b-it")]


def test_rows_stand_side_by_side_and_incomplete_ones_are_left_out():
    table = measured(ROWS, "en")
    assert "| Captions, English: BLEU-4 / CIDEr | 16.0 / 41.3 | 600 |" in table
    assert "speechocean762, learners: WER | 25.2 % | 300 |" in table
    assert "ESC-10" not in table


def test_the_version_before_has_a_column_of_its_own():
    before = {**ROWS, "speech.speechocean762.word_error_rate": {"value": 30.0, "n": 300, "unit": "%"}}
    del before["caption.flickr8k.en.cider"]
    table = measured(ROWS, "en", before=before)
    assert table.startswith("| task | result | version before | n |\n|---|---|---|---|\n")
    assert "learners: WER | 25.2 % | 30.0 % | 300 |" in table
    assert "BLEU-4 / CIDEr | 16.0 / 41.3 | – | 600 |" in table


def test_every_row_has_a_name_in_both_languages():
    rows = [*TEXTS["headline"], *TEXTS["measured"]]
    assert all(row["en"] and row["zh"] and row["keys"] for row in rows)
    assert len({tuple(row["keys"]) for row in TEXTS["measured"]}) == len(TEXTS["measured"])


def test_a_document_keeps_all_but_its_block():
    document = "before\n<!-- lab en -->\nold\n<!-- end lab -->\nafter\n"
    filled = fill(document, {"lab": lambda language: f"new, {language}\n"})
    assert filled == "before\n<!-- lab en -->\nnew, en\n<!-- end lab -->\nafter\n"
    assert fill(document, {}) == document


def test_titles_and_columns_of_the_lab_are_put_into_chinese_and_names_stay():
    columns, rows = ["operator", "accuracy %", "picture missing %"], [["sum", "78.5 ± 1.2", None]]
    found = {"fusion": [{"key": "fusion", "columns": columns, "rows": rows}]}
    assert "| sum | 78.5 ± 1.2 | - |" in lab(found, "en")
    chinese = lab(found, "zh")
    assert "**融合**" in chinese and "| 融合方式 | 准确率, % | 缺图片, % |" in chinese and "| sum |" in chinese


def test_parameters_are_those_that_were_published():
    """Radford et al. 2022, table 1: 74 M; the card of Gemma 3: 4 B and a picture tower."""
    counted = {one.name: one.n_parameters() for one in FEW}
    assert counted["openai/whisper-base"] == pytest.approx(74e6, rel=0.03)
    assert counted["google/gemma-3-4b-it"] == pytest.approx(4.3e9, rel=0.01)
    for language in ("en", "zh"):
        head, _, base, gemma = known(language, FEW).splitlines()
        assert base.count("|") == gemma.count("|") == head.count("|")
        assert "| 0.2 GB | 0.1 GB |" in base and "| 4.32 B | 10.4 GB | 5.2 GB |" in gemma


def test_every_line_to_type_is_understood():
    for one in KNOWN:
        assert set(one.tabs) <= TEXTS["known_tabs"]["en"].keys() == TEXTS["known_tabs"]["zh"].keys()
        assert parse_routes([one.line.removeprefix("--model ")])[one.task] == one.name


def test_hostile_files_have_a_line_for_each_type_and_one_for_the_kills():
    row = FileTally(n=3, n_read=2, most_cpu_s=1.25, most_bytes=2**28)
    found = {"types": {"images": asdict(row)}, "kills": {"n": 5, "files": 90, "lost": 0}}
    lines = trust(found, "en").splitlines()
    assert lines[2] == "| images | 3 | 2 | 0 | 0 | 0 | 0 | 0 | 1.2 s | 256 MB |"
    assert lines[-1] == "5 kills while indexing 90 files: 0 lost or doubled."
    assert trust(found, "zh").splitlines()[-1] == "索引 90 个文件时终止 5 次：0 个丢失或重复。"


def test_words_in_pictures_are_a_table_in_both_languages():
    row = {"n": 5, "characters": 0.99, "lines": 0.9, "found": 1.0, "seconds": 2.0}
    found = dict.fromkeys(TEXTS["words_rows"]["en"], row) | {"photos": {"n": 7, "invented": 1 / 7}}
    assert "| English, rendered | 5 | 99.0 % | 90.0 % | 100.0 % | 2.0 s |" in words(found, "en")
    assert "1 of 7" in words(found, "en") and "7 张中 1 张" in words(found, "zh")


def test_what_was_not_seen_of_many_users_is_left_out():
    waits = dict.fromkeys(("alone_s", "beside_s", "p50_s", "p95_s"), 0.5) | {
        "n_requests": 9,
        "n_errors": 0,
        "left_at": 0,
    }
    found = {"users": 2, "seconds": 60.0, "minutes": 30.0, "waits": waits, "slope": None, "stop_s": None}
    assert tables.load(found, "en").count("\n") == 7
    assert "| memory, second half | +1.0 MB a minute |" in tables.load(found | {"slope": 1.0}, "en")
