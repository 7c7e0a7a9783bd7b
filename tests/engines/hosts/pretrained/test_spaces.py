"""Dual encoders bring their own search; what they have no sense for is listed, not guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engines.errors import MediaError
from engines.protocol import EmbedRequest, IndexRequest, Photo, SearchRequest, run
from tests.conftest import tone, write_photo, write_sound


def plain(*colour: int) -> Photo:
    return Photo(np.full((40, 40, 3), colour, np.uint8))


def test_text_pictures_and_clips_get_vectors_of_length_one(opened, photo, clip, sound):
    host = opened("siglip")
    for media, kind in (("a dog", "text"), (photo, "photo"), (clip, "clip")):
        result: Any = run(host, EmbedRequest(media=media))
        assert result.kind == kind and np.linalg.norm(result.vector) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(MediaError, match=r"^siglip only sees, so this is left out"):
        run(host, EmbedRequest(media=sound))


def test_sounds_get_vectors_from_a_model_that_hears(opened, sound, photo):
    host = opened("clap")
    result: Any = run(host, EmbedRequest(media=sound))
    assert result.kind == "sound" and np.linalg.norm(result.vector) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(MediaError, match=r"^clap only hears, so this is left out"):
        run(host, EmbedRequest(media=photo))


def test_a_folder_is_indexed_and_searched_and_what_cannot_be_seen_is_listed(opened, tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    for n in range(3):
        write_photo(folder / f"{n}.png", plain(40 * n, 90, 200 - 40 * n))
    write_sound(folder / "beep.wav", tone(1.0))
    host = opened("siglip")
    indexed: Any = run(host, IndexRequest(folder=folder, collection=tmp_path / "c.db"))
    assert indexed.n_added == 3 and [name for name, _ in indexed.failures] == ["beep.wav"]
    found: Any = run(host, SearchRequest(query=folder / "1.png", collection=tmp_path / "c.db"))
    assert found.hits[0].path.name == "1.png" and all(0 <= hit.fit <= 1 for hit in found.hits)
