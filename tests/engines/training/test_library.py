"""The media in memory: they are what the archives hold, as long as is said, and varied anew each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import archives
from engines.model.features import photo_tensor
from engines.protocol import RATE_HZ, Sound
from engines.training import casing, library, voices
from engines.training.augment import scaled
from engines.training.library import LONGEST_S, SAMPLES_PER_TOKEN, TAIL_TOKENS, Sounds, coded
from engines.training.shelf import Shelf
from engines.training.store import MAX_SPEECH_S, Towers
from tests.conftest import tone
from tests.tiny_data import LABELS, PHOTOS, WORDS, opus, write_rows, write_tar

seeds = st.integers(0, 2**32 - 1)
PAUSE = RATE_HZ // 2


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little silence and noise is made."""
    monkeypatch.setattr(library, "N_SILENT", 3)


def sounds(*lengths_s: float) -> Sounds:
    """Tones so long."""
    made = [coded(tone(length_s, hz=300.0 + 100 * i)).numpy() for i, length_s in enumerate(lengths_s)]
    return Sounds(made, [{"label": "dog_bark"}] * len(made))


def drawn_with(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- photos ------------------------------------------------------------------------------------------------------


def test_a_photo_is_the_whole_picture_as_a_square(shelf: Shelf, data: Path) -> None:
    plain = shelf.photos[0]
    records = archives.photos(data, "train")
    assert len(plain) == len(records) == len(PHOTOS)
    for i, record in enumerate(records):
        assert plain[i].dtype == torch.uint8
        assert torch.equal(scaled(plain[i][None])[0], photo_tensor(record.load().pixels, 64))
        assert plain.meta[i] == {"id": record.id, "captions": dict(record.captions), "mirrored": False}


def test_photos_are_there_once_more_in_a_mirror(shelf: Shelf) -> None:
    plain, mirrored = shelf.photos
    for i in range(len(plain)):
        assert torch.equal(mirrored[i], plain[i].flip(2))
        assert not torch.equal(mirrored[i], plain[i])
        assert mirrored.meta[i] == {**plain.meta[i], "mirrored": True}


def test_a_photo_is_as_many_tokens_as_the_tower_makes_of_it(shelf: Shelf, towers: Towers) -> None:
    pixels = np.ascontiguousarray(shelf.photos[0][0].permute(1, 2, 0).numpy())
    assert shelf.photos[0].lengths.tolist() == [len(towers.maps([pixels])[0][0])] * len(PHOTOS)


# --- sounds ------------------------------------------------------------------------------------------------------


def test_a_sound_in_a_clip_is_as_it_was_decoded(shelf: Shelf, data: Path) -> None:
    found = shelf.sounds[0]
    for i, record in enumerate(archives.sounds(data, "train")):
        samples = torch.from_numpy(record.load().samples)
        assert found.played(i, 1.0).dtype == torch.int16
        assert torch.allclose(found.played(i, 1.0).float() / 32768, samples, atol=1e-4)
        assert torch.allclose(found.played(i, 0.5).float() / 32768, samples / 2, atol=1e-4)


def test_sounds_keep_apart(rng: np.random.Generator) -> None:
    found = sounds(0.5, 1.0, 0.25)
    assert [len(found.played(i, 1.0)) / RATE_HZ for i in range(len(found))] == [0.5, 1.0, 0.25]
    for i in range(3):
        samples = found.played(i, 1.0).numpy()
        assert np.abs(np.fft.rfft(samples)).argmax() * RATE_HZ / len(samples) == 300 + 100 * i


def test_a_sound_too_loud_for_its_samples_is_cut() -> None:
    assert coded(np.array([-2.0, 0.0, 2.0], np.float32)).tolist() == [-32767, 0, 32767]


@pytest.mark.parametrize("seconds", [0.51, 1.0, 2.345])
def test_lengths_are_those_of_the_tower_with_the_silence_it_hears_behind(seconds: float, towers: Towers) -> None:
    last, _ = towers.layers(tone(seconds))
    assert abs(len(last) - int(sounds(seconds).lengths[0])) <= 1


@settings(max_examples=20)
@given(seed=seeds)
def test_a_row_is_varied_with_a_pause_before_and_after(seed: int) -> None:
    row = sounds(1.0).row(0, drawn_with(seed))
    assert row.dtype == torch.int16
    assert RATE_HZ / 1.1 - 1 <= len(row) <= RATE_HZ / 0.9 + 2 * PAUSE
    loud = (row.abs() > 1000).nonzero()[:, 0]
    assert int(loud[0]) <= PAUSE + 100 and len(row) - int(loud[-1]) <= PAUSE + 100


def test_a_row_is_varied_anew_each_time_and_as_the_generator_has_it(rng: np.random.Generator) -> None:
    found = sounds(1.0)
    rows = [found.row(0, rng) for _ in range(6)]
    assert len({len(row) for row in rows}) == 6
    assert torch.equal(rows[0], found.row(0, np.random.default_rng(0)))


@settings(max_examples=20)
@given(seed=seeds, n=st.integers(1, 300))
def test_an_end_fills_so_many_tokens_together_with_the_silence_behind_it(seed: int, n: int) -> None:
    found = sounds(2.0)
    end, row = found.end(0, n, drawn_with(seed)), found.row(0, drawn_with(seed))
    assert torch.equal(end, row[-len(end) :])
    assert len(end) == min(len(row), max(1, n - TAIL_TOKENS) * SAMPLES_PER_TOKEN)


@settings(max_examples=20)
@given(seed=seeds, seconds=st.floats(0.1, 4.0))
def test_a_window_is_so_long_or_all_there_is(seed: int, seconds: float) -> None:
    window = sounds(2.0).window(0, seconds, drawn_with(seed))
    wanted = round(seconds * RATE_HZ)
    assert min(wanted, int(2 * RATE_HZ / 1.1)) <= len(window) <= min(wanted, 2 * RATE_HZ / 0.9)


def test_a_window_begins_anywhere(rng: np.random.Generator) -> None:
    rising = Sounds([np.arange(RATE_HZ, dtype=np.int16)], [{"label": "siren"}])
    levels = [float(rising.window(0, 0.1, rng).float().mean()) for _ in range(60)]
    assert min(levels) < 0.2 * RATE_HZ and max(levels) > 0.6 * RATE_HZ


@settings(max_examples=5)
@given(seed=seeds)
def test_the_longest_speech_is_not_too_long_however_it_is_varied(seed: int) -> None:
    longest = Sounds([np.zeros(round(LONGEST_S * RATE_HZ), np.int16)], [{}])
    assert len(longest.row(0, drawn_with(seed))) <= MAX_SPEECH_S * RATE_HZ


# --- what is on the shelf ----------------------------------------------------------------------------------------


def test_sounds_come_with_their_labels_then_silence_and_noise(shelf: Shelf) -> None:
    meta = shelf.sounds[0].meta
    assert [known["label"] for known in meta[: len(LABELS)]] == list(LABELS)
    assert {known["corpus"] for known in meta[: len(LABELS)]} == {"esc10"}
    assert len(meta) == len(LABELS) + 6
    assert {known["label"] for known in meta[len(LABELS) :]} <= {"silence", "noise"}
    assert {known["corpus"] for known in meta[len(LABELS) :]} == {"made"}


def test_without_recorded_voices_people_alone_speak(shelf: Shelf) -> None:
    assert len(shelf.spoken) == 1
    for own in shelf.spoken[0]:
        assert [str(known["text"]).lower().rstrip(".") for known in own.meta[:2]] == list(WORDS)
        assert [known["language"] for known in own.meta] == ["en", "en", "de"]
        assert {known["corpus"] for known in own.meta} == {"an4"}


@pytest.mark.usefixtures("few")
def test_recorded_voices_speak_apart_from_people(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices, "speak", lambda text, language, rng: Sound(tone(0.02 * len(text))))
    n = voices.record(data, tmp_path / "voices")
    people, synthetic = (own for own, _ in library.opened(data, tmp_path, 64).spoken)
    assert {known["corpus"] for known in people.meta} == {"an4"}
    assert {known["corpus"] for known in synthetic.meta} == {voices.CORPUS}
    assert len(synthetic) == n
    for i, known in enumerate(synthetic.meta):
        assert len(synthetic.played(i, 1.0)) == pytest.approx(
            0.02 * len(str(known["text"])) * RATE_HZ, abs=RATE_HZ / 20
        )


@pytest.mark.usefixtures("few")
def test_transcripts_are_spelt_as_they_were_taught(data: Path, tmp_path: Path) -> None:
    (tmp_path / casing.FILE).write_text(json.dumps({"u0": "One, two, THREE."}))
    people, _ = library.opened(data, tmp_path, 64).spoken[0]
    assert [known["text"] for known in people.meta[:2]] == ["One, two, THREE.", "Good morning."]


@pytest.fixture
def other(data: Path, tmp_path: Path) -> Path:
    """The training folder with a long stretch of speech, and a sound in which there may be words."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "photos").symlink_to(data / "photos")
    said = [
        {"id": f"u{seconds}", "text": f"Here are {seconds} .", "lang": "de", "corpus": "an4", "split": "train"}
        for seconds in (1, 3, 2)
    ]
    write_rows(folder / "speech" / "manifest.jsonl.gz", said)
    write_tar(folder / "speech" / "speech-00.tar", {f"u{n}.opus": opus(400.0, float(n)) for n in (1, 2, 3)})
    labels = ("rain", "children_playing", "siren")
    heard = [{"id": label, "label": label, "corpus": "urbansound8k", "split": "train"} for label in labels]
    write_rows(folder / "sounds" / "manifest.jsonl.gz", heard)
    write_tar(folder / "sounds" / "sounds-00.tar", {f"{label}.opus": opus(500.0) for label in labels})
    return folder


@pytest.mark.usefixtures("few")
def test_what_is_too_long_or_not_quiet_is_left_out(
    other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "LONGEST_S", 2.5)
    found = library.opened(other, tmp_path, 64)
    people, _ = found.spoken[0]
    assert [known["text"] for known in people.meta] == ["Here are 1 .", "Here are 2 ."]
    assert [round(len(people.played(i, 1.0)) / RATE_HZ) for i in range(len(people))] == [1, 2]
    labels = [str(known["label"]) for known in found.sounds[0].meta]
    assert labels[:3] == ["rain", "children_playing", "siren"]
    assert [str(known["label"]) for known in found.quiet[0].meta] == ["rain", *labels[2:]]
    assert torch.equal(found.quiet[0].played(1, 1.0), found.sounds[0].played(2, 1.0))


@pytest.mark.usefixtures("few")
def test_several_processes_decode_the_same(data: Path, tmp_path: Path) -> None:
    alone, together = (library.opened(data, tmp_path, 64, n_processes=n) for n in (1, 2))
    assert torch.equal(alone.photos[0][3], together.photos[0][3])
    for one, other in ((alone.sounds[0], together.sounds[0]), (alone.spoken[0][0], together.spoken[0][0])):
        assert one.meta == other.meta
        assert all(torch.equal(one.played(i, 1.0), other.played(i, 1.0)) for i in range(len(one)))
