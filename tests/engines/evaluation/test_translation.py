"""Translation in both directions, and what the machines of 2016 reach."""

from __future__ import annotations

import pytest

from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost
from tests.tiny_data import webp, write_lines, write_rows, write_tar


def test_translation_is_scored_in_both_directions_and_absent_languages_are_named(oracle, tiny):
    rows = rows_of(oracle, tiny, "translation")
    assert rows["translation.multi30k.en_de.bleu"].value == pytest.approx(100.0)
    assert rows["translation.multi30k.de_en.bleu"].value == pytest.approx(100.0)
    assert rows["translation.en_fr.bleu"].skipped == "the data has no text pairs en-fr of the split dev"


def test_captions_with_human_and_machine_translations_compare_us_with_the_machine(tmp_path):
    right = "早上好，今天天气很好。"
    line = {"image": "x", "en": ["Good morning ."], "zh_ht": [right], "zh_mt_google": [right]}
    write_rows(tmp_path / "photos" / "flickr8k_dev.jsonl.gz", [line])
    write_tar(tmp_path / "photos" / "flickr8k_dev.tar", {"x.webp": webp((1, 2, 3))})
    rows = rows_of(FakeHost(), tmp_path, "translation")
    machine, ours = (rows[f"translation.flickr8k_human.en_zh{end}"].value for end in (".machine_2016.bleu", ".bleu"))
    assert machine == pytest.approx(100.0)
    assert ours is not None
    assert ours < machine


def test_chinese_captions_are_scored_by_words_too(tmp_path):
    pytest.importorskip("jieba")
    write_lines(tmp_path / "text" / "en-zh.dev.tsv.gz", ["Good morning.\t早上好。\tflickr8kcn_human"])
    rows = rows_of(FakeHost(), tmp_path, "translation")
    assert rows["translation.flickr8kcn_human.en_zh.words_bleu1"].value == pytest.approx(100.0)
