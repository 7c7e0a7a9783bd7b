"""Few-shot classes from vectors that tell them apart, and from too few of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.errors import MediaError
from engines.evaluation.harness import Harness
from engines.protocol import EmbedRequest, EmbedResult, Photo, Request, Result, Sound
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost
from tests.tiny_data import opus, webp, write_rows, write_tar

NOUNS = ("pool", "swing", "guitar", "horse", "bench", "boat")
N_EACH = 6


@pytest.fixture(autouse=True)
def few_episodes(monkeypatch) -> None:
    monkeypatch.setattr("engines.evaluation.fewshot.N_EPISODES", 40)


def test_few_shot_classes_are_told_apart_by_perfect_vectors(oracle, tiny):
    rows = rows_of(oracle, tiny, "fewshot")
    for shots in (1, 5):
        row = rows[f"fewshot.omniglot.5way_{shots}shot.accuracy"]
        assert row.value == pytest.approx(100.0)
        assert rows[f"fewshot.omniglot.5way_{shots}shot.logistic.accuracy"].value == pytest.approx(100.0)
        assert rows[f"fewshot.omniglot.5way_{shots}shot.adapted.accuracy"].value == pytest.approx(100.0)
        assert row.interval is not None


def by_level(request: Request) -> Iterator[Result]:
    """A photo lies on the axis of its grey, a sound on that of its pitch."""
    assert isinstance(request, EmbedRequest)
    if isinstance(request.media, Photo):
        axis = int(request.media.pixels[-1, -1, 0]) // 30
    else:
        assert isinstance(request.media, Sound)
        n_turns = np.count_nonzero(np.diff(np.signbit(request.media.samples[:8000])))
        axis = round(n_turns / 200)
    kind = "photo" if isinstance(request.media, Photo) else "sound"
    yield EmbedResult(request=request, kind=kind, vector=np.eye(256, dtype=np.float32)[axis], end="finished")


def test_photos_are_classes_by_their_nouns_and_sounds_by_their_labels(tmp_path):
    images = {f"{noun}{i}": (30 * n + 15,) * 3 for n, noun in enumerate(NOUNS) for i in range(N_EACH)}
    listed = [{"image": key, "en": [f"A {key[:-1]} is here."] * 5} for key in images]
    write_rows(tmp_path / "photos" / "flickr8k_dev.jsonl.gz", listed)
    write_tar(tmp_path / "photos" / "flickr8k_dev.tar", {f"{key}.webp": webp(grey) for key, grey in images.items()})
    heard = {f"{label}{i}": 200.0 * (n + 1) for n, label in enumerate("abcdef") for i in range(N_EACH)}
    listed = [{"id": key, "label": key[0], "corpus": "esc10", "split": "dev"} for key in heard]
    write_rows(tmp_path / "sounds" / "manifest.jsonl.gz", listed)
    write_tar(tmp_path / "sounds" / "esc10-dev.tar", {f"{key}.opus": opus(hz, 0.6) for key, hz in heard.items()})

    rows = rows_of(FakeHost(scripts={EmbedRequest: by_level}), tmp_path, "fewshot")
    assert rows["fewshot.drawings"].value is None, "there are no drawings, and that is said"
    for key in ("fewshot.photos.5way_5shot", "fewshot.esc10.5way_1shot"):
        for name in (
            "accuracy",
            "logistic.accuracy",
            "adapted.accuracy",
            "adapted.in_set_accuracy",
            "adapted.out_of_set_accuracy",
        ):
            row = rows[f"{key}.{name}"]
            assert row.value == pytest.approx(100.0) and row.n == 40, name
        assert '"none of these" is right' in rows[f"{key}.adapted.out_of_set_accuracy"].note


def test_an_example_that_cannot_be_read_is_left_out(oracle, tiny, monkeypatch):
    refused = []

    def vector(harness, media, against="photo"):
        if not refused:
            refused.append(media)
            raise MediaError("too_short", "Too short.")
        return measured(harness, media, against)

    measured = Harness.vector
    monkeypatch.setattr(Harness, "vector", vector)
    assert rows_of(oracle, tiny, "fewshot")["fewshot.omniglot.5way_1shot.accuracy"].value == pytest.approx(100.0)
    assert len(refused) == 1


def test_too_few_classes_are_said(oracle, tiny):
    row = rows_of(oracle, tiny, "fewshot")["fewshot.esc10.5way_5shot.accuracy"]
    assert row.value is None and "only 0 classes have more than 5 examples" in row.skipped
