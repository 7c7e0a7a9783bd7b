"""Number formats: the same work in each, its results and seconds side by side."""

from __future__ import annotations

from engines.evaluation import speed
from engines.evaluation.harness import Harness
from engines.evaluation.speed import FORMATS, precision_rows
from engines.model import checkpoint
from tests.fake_host import FakeHost


def test_every_format_is_measured_by_captions_speech_and_translations(tiny, monkeypatch):
    monkeypatch.setattr(speed, "FORMATS", {name: FORMATS[name] for name in ("float32", "mixed")})
    asked = []
    small = checkpoint.tiny()
    monkeypatch.setattr(checkpoint, "load", lambda folder, **given: asked.append(given) or small)
    rows = precision_rows(Harness(FakeHost(), tiny, "dev", 1, quiet=True))
    assert [tuple(given.values()) for given in asked] == [FORMATS["float32"], FORMATS["mixed"]]
    measured = {f"{row}" for row in ("caption.cider", "speech.word_error_rate", "translation.bleu")}
    seconds = {f"{job}.seconds" for job in ("caption", "speech", "translation")}
    assert set(rows) == {f"precision.{name}.{row}" for name in ("float32", "mixed") for row in measured | seconds}
    assert all(row.value is not None and row.n == 1 for row in rows.values())
