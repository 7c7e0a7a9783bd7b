"""Captions: full marks for people's own, few for the same ones on other photos, a reason where there are none."""

from __future__ import annotations

import pytest

from engines.protocol import CaptionRequest
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import EVERYTHING, FakeHost


def test_captions_like_peoples_score_far_over_the_same_captions_on_other_photos(oracle, tiny):
    rows = rows_of(oracle, tiny, "caption")
    assert rows["caption.flickr8k.en.bleu4"].value == pytest.approx(100.0)
    english, blind = (rows[f"caption.flickr8k.en.cider{end}"].value for end in ("", ".blind"))
    assert english is not None
    assert blind is not None
    assert english > 500 > 100 > blind
    assert {f"caption.flickr8k.{language}.cider" for language in ("en", "zh", "de")} <= rows.keys()
    assert "caption.flickr8k.zh.through_english.cider" in rows


def test_what_a_host_does_not_serve_is_a_skipped_row_with_its_sentence(tiny):
    dumb = FakeHost(abilities=frozenset(a for a in EVERYTHING if a.request is not CaptionRequest))
    row = rows_of(dumb, tiny, "caption")["caption.flickr8k.en.cider"]
    assert (row.value, row.skipped) == (None, "fake does not caption; choose another model for it in Models & device.")
