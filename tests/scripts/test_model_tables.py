"""Documents get their figures from the evaluation file, and nothing else in them changes."""

from scripts.model_tables import ROWS, fill, measured

ROWS_MEASURED = {
    "caption.flickr8k.en.bleu4": {"value": 16.04, "n": 600, "unit": ""},
    "caption.flickr8k.en.cider": {"value": 41.26, "n": 600, "unit": ""},
    "sound.esc10.accuracy": {"value": 80.0, "n": 80, "unit": "%"},
    "sound.us8k.accuracy": {"value": None, "skipped": "no data"},
    "speech.speechocean762.word_error_rate": {"value": 25.25, "n": 300, "unit": "%"},
}


def test_rows_stand_side_by_side_and_incomplete_ones_are_left_out() -> None:
    table = measured(ROWS_MEASURED, "en")
    assert "| Captions, English: BLEU-4 / CIDEr | 16.0 / 41.3 | 600 |" in table
    assert "speechocean762, learners: WER | 25.2 % | 300 |" in table
    assert "ESC-10" not in table


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    document = "before\n<!-- measured zh -->\nold\n<!-- end measured -->\nafter 41.3\n"
    filled = fill(document, ROWS_MEASURED)
    assert filled.startswith("before\n<!-- measured zh -->\n| 任务 | 结果 | 数量 |")
    assert filled.endswith("<!-- end measured -->\nafter 41.3\n")
    assert "old" not in filled
    assert fill(filled, ROWS_MEASURED) == filled


def test_every_row_has_a_name_in_both_languages() -> None:
    assert all(english and chinese and keys for english, chinese, keys in ROWS)
    assert len({keys for _, _, keys in ROWS}) == len(ROWS)
