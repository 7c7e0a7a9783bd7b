"""A training folder in miniature: texts and media in the shared layout, and what a tiny model's towers make of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace

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
from engines.training import library, losses
from engines.training.batches import Feeds
from engines.training.shelf import Shelf
from engines.training.store import Ragged, Towers, fill_speech, photo_rows, quiet_rows, recorded, sound_rows
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
    """Sums in one order, so that the same steps give the same numbers."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
def run(tmp_path_factory: pytest.TempPathFactory, data: Path, towers: Towers) -> Path:
    """Tokenizer and stores: two views of the photos, sounds, speech, and a voice that describes each photo."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(BUILTIN / TOKENIZER_FILE, folder / TOKENIZER_FILE)
    features = folder / "features"
    features.mkdir()
    for view in (0, 1):
        rows = photo_rows(towers, archives.photos(data, "train"), view)
        Ragged.write(features / f"photos_train_{view}", rows, log="photos")
    Ragged.write(
        features / "sounds_train_0", sound_rows(towers, archives.sounds(data, "train"), 0, n_nothing=6), log="sounds"
    )
    Ragged.write(features / "quiet_train", quiet_rows(towers, archives.sounds(data, "train"), 6), log="quiet")
    fill_speech(towers, features, "speech_train_0", recorded(archives.speech(data, "train"), 0, {}))
    voices = (
        (tone(0.5 + 0.2 * i, hz=200.0 + 40 * i), {"text": text, "language": "en", "corpus": "synthetic", "photo": key})
        for i, (key, text) in enumerate(PHOTOS.items())
    )
    fill_speech(towers, features, "speech_train_voices", voices)
    return folder


@pytest.fixture(scope="session")
def feeds(data: Path, run: Path) -> Feeds:
    return Feeds(data, run)


class Relabelled:
    """A store of photos of which something else is known."""

    def __init__(self, store, **known: object) -> None:
        self.store = store
        self.meta = [{**meta, "mirrored": False, "concepts": [(0, 0.9)], **known} for meta in store.meta]
        self.lengths = store.lengths

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, i: int):
        return self.store[i]


@pytest.fixture(scope="session")
def naming(data: Path, run: Path) -> Feeds:
    """The tiny run with two classes, photos of the first and questions about it."""
    found = Feeds(data, run)
    store = found.photos[0]
    found.config = SimpleNamespace(concepts=CLASSES, concept_groups=GROUPS)  # type: ignore[assignment]
    found.photos = [Relabelled(store)]  # type: ignore[assignment]
    found.named = [Relabelled(store, label=0)]  # type: ignore[assignment]
    found.asked = [Relabelled(store, qa=[["What is it?", "cat"]])]  # type: ignore[assignment]
    found.grey = Relabelled(store)  # type: ignore[assignment]
    return found


@pytest.fixture(scope="session")
def shelf(data: Path, run: Path) -> Shelf:
    """The media themselves, photos as small as the tiny model sees them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "N_SILENT", 6)
        return library.opened(data, run, tiny(1).photo_px)


@pytest.fixture(scope="session")
def live(data: Path, run: Path, shelf: Shelf) -> Feeds:
    """The feeds of a run whose towers run at every step."""
    return Feeds(data, run, shelf=shelf)


def fresh(feeds: Feeds, *, seed: int = 0) -> FusionModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FusionModel(tiny(feeds.tokenizer.vocab_size))


def alike(texts: Sequence[str]) -> Tensor:
    """A teacher to whom texts are alike that hold as many of each letter: (B, 26) of length 1."""
    counts = [[text.lower().count(chr(ord("a") + i)) for i in range(26)] for text in texts]
    return F.normalize(torch.tensor(counts, dtype=torch.float32), dim=-1)


@pytest.fixture
def taught_feeds(data: Path, run: Path) -> Feeds:
    """The feeds of a run that has a teacher."""
    return Feeds(data, run, alike)  # type: ignore[arg-type]


@pytest.fixture
def every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses over the whole vocabulary, so that only what an objective itself draws is drawn."""
    monkeypatch.setattr(losses, "next_piece_of_few", partial(losses.next_piece_of_few, n_drawn=10**9))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
