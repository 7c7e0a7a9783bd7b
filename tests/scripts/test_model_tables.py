"""The table of measured figures has its rows side by side, and those of the version before beside them."""

from scripts.model_tables import ROWS, measured

ROWS_MEASURED = {
    "caption.flickr8k.en.bleu4": {"value": 16.04, "n": 600, "unit": ""},
    "caption.flickr8k.en.cider": {"value": 41.26, "n": 600, "unit": ""},
    "sound.esc10.accuracy": {"value": 80.0, "n": 80, "unit": "%"},
    "sound.us8k.accuracy": {"value": None, "skipped": "no data"},
    "speech.speechocean762.word_error_rate": {"value": 25.25, "n": 300, "unit": "%"},
}


def test_rows_stand_side_by_side_and_incomplete_ones_are_left_out():
    table = measured(ROWS_MEASURED, "en")
    assert "| Captions, English: BLEU-4 / CIDEr | 16.0 / 41.3 | 600 |" in table
    assert "speechocean762, learners: WER | 25.2 % | 300 |" in table
    assert "ESC-10" not in table


def test_the_version_before_has_a_column_of_its_own():
    before = {"sound.esc10.accuracy": {"value": 70.0, "n": 80, "unit": "%"}, **ROWS_MEASURED}
    before["speech.speechocean762.word_error_rate"] = {"value": 30.0, "n": 300, "unit": "%"}
    del before["caption.flickr8k.en.cider"]
    table = measured(ROWS_MEASURED, "en", before=before)
    assert table.startswith("| task | result | version before | n |\n|---|---|---|---|\n")
    assert "learners: WER | 25.2 % | 30.0 % | 300 |" in table
    assert "BLEU-4 / CIDEr | 16.0 / 41.3 | – | 600 |" in table


def test_every_row_has_a_name_in_both_languages():
    assert all(english and chinese and keys for english, chinese, keys in ROWS)
    assert len({keys for _, _, keys in ROWS}) == len(ROWS)
