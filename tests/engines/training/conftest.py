"""A training folder in miniature: texts and media in the shared layout, and the features of tiny towers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engines import archives
from engines.model import checkpoint
from engines.model.checkpoint import BUILTIN, TOKENIZER_FILE
from engines.model.config import Concept, ConceptGroup, tiny
from engines.model.fusion import FusionModel
from engines.training import feature_cache, in_memory, losses
from engines.training.batches import IGNORED, Batch, Batcher
from engines.training.feature_cache import FeatureFile, Towers
from engines.training.objectives import OBJECTIVES
from engines.training.sources import PhotoSources, Sources
from tests.conftest import tone
from tests.tiny_data import (
    CHINESE,
    LABELS,
    PHOTOS,
    WORDS,
    grey,
    opus,
    pitch_hz,
    webp,
    write_lines,
    write_rows,
    write_tar,
)

SPOKEN_DE = "Guten Morgen."
CLASSES = (Concept("tabby cat", "Tigerkatze", "chat tigré", "虎斑猫"), Concept("cup", "Tasse", "tasse", "杯子"))
GROUPS = (ConceptGroup(Concept("cat", "Katze", "chat", "猫"), (0,)),)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sum in one order, so that the same steps give the same numbers."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Six photos, five sounds, three clips of speech and pairs in three languages, all of the split train."""
    folder = tmp_path_factory.mktemp("data")
    photos = [
        {"image": key, "en": [text, *[f"Look : {text}"] * 4], "zh": [CHINESE[i]], "de": [f"Bild {i} links ."]}
        for i, (key, text) in enumerate(PHOTOS.items())
    ]
    write_rows(folder / "photos" / "flickr8k_train.jsonl.gz", photos)
    images = {f"{key}.webp": webp((grey(i),) * 3) for i, key in enumerate(PHOTOS)}
    write_tar(folder / "photos" / "flickr8k_train.tar", images)
    unseen = [
        {"image": "far", "en": ["Unseen ."], "de": ["Nie ."]},
        {"image": "near", "en": ["Close by .", "Not far ."]},
        {"image": "high", "en": ["Up there .", "On top ."], "de": ["Oben .", "Ganz oben ."]},
    ]
    write_rows(folder / "photos" / "captions_only.jsonl.gz", unseen)

    sounds = [{"id": label, "label": label, "corpus": "esc10", "split": "train"} for label in LABELS]
    write_rows(folder / "sounds" / "manifest.jsonl.gz", sounds)
    write_tar(folder / "sounds" / "esc10-train.tar", {f"{n}.opus": opus(pitch_hz(j)) for j, n in enumerate(LABELS)})

    line = {"speaker": "s", "corpus": "an4", "split": "train"}
    said = [*((text, "en") for text in WORDS), (SPOKEN_DE, "de")]
    speech = [{"id": f"u{k}", "text": text, "lang": language, **line} for k, (text, language) in enumerate(said)]
    write_rows(folder / "speech" / "manifest.jsonl.gz", speech)
    write_tar(folder / "speech" / "speech-00.tar", {f"u{k}.opus": opus(900.0 + 50 * k) for k in range(len(said))})

    for language, hello in (("de", "Ein Hund läuft."), ("fr", "Un chien court."), ("zh", "一只狗在跑。")):
        pairs = [f"{text}\t{hello} {i}\t{('multi30k', 'tatoeba')[i % 2]}" for i, text in enumerate(PHOTOS.values())]
        write_lines(folder / "text" / f"en-{language}.train.tsv.gz", pairs)
    write_lines(folder / "text" / "mono.zh.tsv.gz", list(CHINESE))
    return folder


@pytest.fixture(scope="session")
def towers() -> Towers:
    return Towers(checkpoint.tiny().model)


@pytest.fixture(scope="session")
def run(tmp_path_factory, data, towers) -> Path:
    """Tokenizer and feature cache: two views of the photos, sounds, speech, and a voice that describes each photo."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(BUILTIN / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    features = folder / "features"
    features.mkdir()
    photos, sounds = archives.photos(data, "train"), archives.sounds(data, "train")
    for view in (0, 1):
        FeatureFile.write(features / f"photos_train_{view}", feature_cache.photo_rows(towers, photos, view))
    FeatureFile.write(features / "sounds_train_0", feature_cache.sound_rows(towers, sounds, 0, n_non_speech=6))
    FeatureFile.write(features / "quiet_train", feature_cache.silent_rows(towers, sounds, 6))
    clips = feature_cache.speech_clips(archives.speech(data, "train"), 0, {})
    feature_cache.write_speech(towers, features, "speech_train_0", clips)
    voices = (
        (tone(0.5 + 0.2 * i, hz=200.0 + 40 * i), {"text": text, "language": "en", "corpus": "synthetic", "photo": key})
        for i, (key, text) in enumerate(PHOTOS.items())
    )
    feature_cache.write_speech(towers, features, "speech_train_voices", voices)
    return folder


@pytest.fixture(scope="session")
def cached(run) -> Sources:
    """The feature cache of the run."""
    return Sources(feature_cache.open_photos(run), feature_cache.open_sounds(run))


@pytest.fixture(scope="session")
def media(data, run) -> Sources:
    """The media in memory, photos as small as the tiny model sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_memory, "N_NON_SPEECH", 6)
        return Sources(in_memory.read_photos(data, tiny(1).photo_px), in_memory.read_sounds(data, run))


@pytest.fixture(scope="session")
def batcher(data, run, cached) -> Batcher:
    return Batcher(data, run, cached, tiny(10))


@pytest.fixture(scope="session")
def media_batcher(data, run, media) -> Batcher:
    return Batcher(data, run, media, tiny(10))


class Relabelled:
    """A source of photos with other meta."""

    def __init__(self, source, **known: object) -> None:
        self.source, self.entry, self.lengths = source, source.entry, source.lengths
        self.meta = [{**meta, "mirrored": False, "concepts": [(0, 0.9)], **known} for meta in source.meta]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> Tensor:
        return self.source[i]


@pytest.fixture(scope="session")
def naming(data, run, cached) -> Batcher:
    """A batcher with two classes, photos of the first and questions about it."""
    plain = cached.photos.captioned[0]
    photos = PhotoSources(
        captioned=[Relabelled(plain)],
        named=[Relabelled(plain, label=0)],
        asked=[Relabelled(plain, qa=[["What is it?", "cat"]])],
        grey=[Relabelled(plain)],
    )
    config = replace(tiny(10), concepts=CLASSES, concept_groups=GROUPS)
    return Batcher(data, run, Sources(photos, cached.sounds), config)


def new_model(batcher: Batcher, *, seed: int = 0) -> FusionModel:
    """A tiny model for the batches of a batcher."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusionModel(replace(batcher.config, vocab_size=batcher.tokenizer.vocab_size))


def draw(batcher: Batcher, task: str, seed: int = 0, size: int = 5) -> Batch:
    return OBJECTIVES[task].draw(batcher, size, np.random.default_rng(seed))


def targets(batcher: Batcher, batch: Batch) -> list[str]:
    """The texts that a batch asks the decoder to write."""
    return [batcher.tokenizer.decode([i for i in row if i != IGNORED]) for row in batch["targets"].tolist()]


def texts(batcher: Batcher, batch: Batch, name: str = "text") -> list[str]:
    """The texts that a batch gives to the text tower."""
    rows = zip(batch[name], batch[f"{name}_mask"], strict=True)
    return [batcher.tokenizer.decode(row[mask].tolist()) for row, mask in rows]


def equal(one: Batch, other: Batch) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def letter_counts(texts: Sequence[str]) -> Tensor:
    """A teacher to which texts are alike that contain the same letters: (B, 26) unit vectors."""
    counts = [[text.lower().count(chr(ord("a") + i)) for i in range(26)] for text in texts]
    return F.normalize(torch.tensor(counts, dtype=torch.float32), dim=-1)


@pytest.fixture
def teacher_batcher(data, run, cached) -> Batcher:
    return Batcher(data, run, cached, tiny(10), letter_counts)


@pytest.fixture
def every_token(monkeypatch) -> None:
    """Losses over the whole vocabulary, so that only what an objective itself draws is random."""
    monkeypatch.setattr(losses, "next_token_sampled", partial(losses.next_token_sampled, n_sampled=10**9))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
