"""Batches with names: what one training step of each task sees, drawn from the stores and the texts.

A batch is a dict of tensors, their shapes those of the stores (here of `SMALL`): `maps` (B, 64, 1280) of photos; `last`
(B, T, 512) and `mix` (B, T', 7, 512) of sounds with their masks; `ids` (B, L) what the decoder reads, `targets` (B, L)
what it should say (-100 where nothing is asked); `text` (B, L) with `text_mask` what the text tower reads; `group` (B,)
rows of the same thing. Everything is drawn from the generator given, so a run that is resumed sees what it would have
seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines import archives
from engines.protocol import LANGUAGES
from engines.text import Task, Tokenizer, normalise
from engines.training.clips import ClipPlan, plan
from engines.training.facts import SOUND_NAMES, photo_facts, sound_prompt
from engines.training.questions import Material
from engines.training.store import Ragged

Batch: TypeAlias = dict[str, Tensor]

IGNORED = -100
MIX_HZ = 5
QUIET_OF = 6
"""One row without speech to so many with: the decoder has to learn to say that nobody speaks."""
POOL = 8
"""Batches' worth of sentence pairs drawn at once, of which a run of like lengths is taken."""
SIDED = re.compile(r"\b(left|right|links|rechts|linken|rechten)\b|[左右]")
"""Captions that name a side are not given to a mirrored photo."""
DESCRIBE = {
    "en": ("What is happening?", "What is shown?", "What can be seen?", "Describe the clip.", "What is going on here?"),
    "zh": ("发生了什么？", "画面里有什么？", "描述一下这段视频。", "这里在做什么？"),
}


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation."""

    source: str
    target: str
    languages: tuple[str, str]


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows (n_i, ...) -> ((B, max n, ...), mask (B, max n))."""
    mask = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.bool)
    for i, row in enumerate(rows):
        mask[i, : len(row)] = True
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True), mask


class Feeds:
    """The stores and texts of a training folder, and a batch of any task drawn from them."""

    def __init__(self, data: Path, run: Path) -> None:
        self.tokenizer = Tokenizer.load(run / "tokenizer.model")
        features = run / "features"

        def stores(pattern: str) -> list[Ragged]:
            return [Ragged(path.with_suffix("")) for path in sorted(features.glob(f"{pattern}.json"))]

        self.photos, self.sounds = stores("photos_train_?"), stores("sounds_train_?")
        self.spoken = list(zip(stores("speech_train_*_last"), stores("speech_train_*_mix"), strict=True))
        self.quiet = stores("quiet_train")
        self.lists = {pair: self._pairs(data, pair) for pair in ("en-de", "en-fr", "en-zh")}
        self.photo_of = {m["id"]: i for i, m in enumerate(self.photos[0].meta)} if self.photos else {}
        self.material: Material | None = None

    @staticmethod
    def _pairs(data: Path, pair: str) -> dict[str, list[Pair]]:
        """By corpus, so that captions can be drawn more often than film dialogue."""
        source, target = pair.split("-")
        found: dict[str, list[Pair]] = {}
        for record in archives.pairs(data, pair, "train"):
            found.setdefault(record.corpus, []).append(Pair(record.source, record.target, (source, target)))
        return found

    def draw(self, task: str, size: int, rng: np.random.Generator) -> Batch:
        """A batch of a task of `objectives.OBJECTIVES`."""
        batch: Batch = getattr(self, f"draw_{task}")(size, rng)
        return batch

    # --- pieces

    def _said(self, task: Task, languages: Sequence[str], texts: Sequence[str]) -> Batch:
        """Prefix, text and end as decoder input and targets."""
        ids, targets = [], []
        for language, text in zip(languages, texts, strict=True):
            prefix = self.tokenizer.prefix(task, language)
            pieces = self.tokenizer.encode(text)[:200]
            ids.append(torch.tensor([*prefix, *pieces]))
            said = [*pieces, self.tokenizer.eos_id] if text else [self.tokenizer.no_speech_id]
            if not text:
                ids[-1] = torch.tensor(prefix)
            targets.append(torch.tensor([IGNORED] * (len(prefix) - 1) + said))
        pad = torch.nn.utils.rnn.pad_sequence
        return {
            "ids": pad(ids, batch_first=True, padding_value=self.tokenizer.pad_id),
            "targets": pad(targets, batch_first=True, padding_value=IGNORED),
        }

    def _read(self, texts: Sequence[str], name: str = "text") -> Batch:
        rows, mask = padded([torch.tensor(self.tokenizer.encode(t)[:200] or [self.tokenizer.eos_id]) for t in texts])
        return {name: rows, f"{name}_mask": mask}

    @staticmethod
    def _spelt(text: str, language: str) -> Tensor:
        """The bytes a sound should spell, each + 1 since 0 is the blank: (n,) int64."""
        plain = normalise(text, language)
        return torch.tensor([byte + 1 for byte in (plain.replace(" ", "") if language == "zh" else plain).encode()])

    # --- photos

    def draw_caption(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with a caption to write and another to match: English half the time, else German or Chinese."""
        view = self.photos[int(rng.integers(len(self.photos)))]
        rows = rng.choice(len(view), size, replace=False)
        written, languages, matched = [], [], []
        for i in rows:
            meta = view.meta[i]
            language, caption = self._caption(meta, rng)
            written.append(caption)
            languages.append(language)
            matched.append(self._caption(meta, rng)[1])
        maps = torch.stack([view[int(i)] for i in rows])
        return {
            "maps": maps,
            "group": torch.from_numpy(rows.copy()),
            **self._said("caption", languages, written),
            **self._read(matched),
        }

    def _caption(self, meta: dict[str, object], rng: np.random.Generator) -> tuple[str, str]:
        captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
        language = str(rng.choice(["en", "de", "zh"], p=[0.55, 0.15, 0.3]))
        among = captions.get(language, ())
        if meta["mirrored"]:
            among = [c for c in among if not SIDED.search(c.lower())]
        if not among:
            language, among = "en", captions["en"]
        return language, str(rng.choice(among))

    # --- speech

    def draw_transcribe(self, size: int, rng: np.random.Generator) -> Batch:
        """Speech of like lengths with what is said, and after it some rows in which nobody speaks.

        `n_said` () counts the rows with words; all but `last`, `mask`, `ids` and `targets` is of those alone.
        """
        last, _ = self.spoken[int(rng.integers(len(self.spoken)))]
        order = np.argsort(last.lengths, kind="stable")
        start = int(rng.integers(max(1, len(order) - size + 1)))
        rows = [int(i) for i in order[start : start + size]]
        while last.lengths[rows].sum() > 250 * size and len(rows) > 2:  # at most 5 s each on average
            rows.pop(int(rng.integers(len(rows))))
        texts = [str(last.meta[i]["text"]) for i in rows]
        languages = [str(last.meta[i]["language"]) for i in rows]
        quiet = self._quiet_rows(len(rows) // QUIET_OF, max(last.lengths[rows]), rng)
        tokens, mask = padded([last[i] for i in rows] + quiet)
        targets, spelt_mask = padded([self._spelt(*said) for said in zip(texts, languages, strict=True)])
        photos = [self.photo_of.get(last.meta[i].get("photo"), -1) for i in rows]
        asked = [str(rng.choice(LANGUAGES)) for _ in quiet]  # whatever the language is said to be
        described = [self.photos[0][p] for p in photos if p >= 0]
        return {
            "last": tokens,
            "mask": mask,
            "ctc": targets,
            "n_ctc": spelt_mask.sum(1),
            "n_said": torch.tensor(len(rows)),
            "photo": torch.tensor(photos),
            "maps": torch.stack(described) if described else torch.zeros(0),
            "language_ids": torch.tensor([self.tokenizer.language_ids[language] for language in languages]),
            **self._said("transcribe", languages + asked, texts + [""] * len(quiet)),
            **self._read(texts),
        }

    def _quiet_rows(self, n: int, longest: int, rng: np.random.Generator) -> list[Tensor]:
        """Up to n rows without speech, cut to at most `longest` tokens."""
        found = []
        for store in self.quiet:
            for i in rng.choice(len(store), min(n, len(store)), replace=False):
                row = store[int(i)]
                start = int(rng.integers(max(1, len(row) - longest + 1)))
                found.append(row[start : start + longest])
        return found

    def draw_spell(self, size: int, rng: np.random.Generator) -> Batch:
        """As for transcripts; the pieces go unused."""
        return self.draw_transcribe(size, rng)

    # --- text

    def _pair(self, rng: np.random.Generator, weights: dict[str, float]) -> Pair:
        pair = str(rng.choice(["en-de", "en-fr", "en-zh"], p=[0.42, 0.4, 0.18]))
        corpora = self.lists[pair]
        names = list(corpora)
        p = np.array([weights.get(name, 0.05) for name in names])
        corpus = corpora[str(rng.choice(names, p=p / p.sum()))]
        return corpus[int(rng.integers(len(corpus)))]

    def _caption_pair(self, rng: np.random.Generator) -> Pair | None:
        """A caption in English and the Chinese one of the same photo: loose, but of the right domain."""
        if not self.photos:
            return None
        meta = self.photos[0].meta[int(rng.integers(len(self.photos[0])))]
        captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
        zh = captions.get("zh_mt_google", captions.get("zh", []))
        if not zh:
            return None
        i = int(rng.integers(min(len(zh), len(captions["en"]))))
        return Pair(captions["en"][i], zh[i], ("en", "zh"))

    def _of_like_length(self, pairs: list[Pair], size: int, rng: np.random.Generator) -> list[Pair]:
        """A run of neighbours by length: padding would otherwise be half of a batch."""
        n_pieces = [max(len(self.tokenizer.encode(text)) for text in (p.source, p.target)) for p in pairs]
        order = np.argsort(n_pieces, kind="stable")
        start = int(rng.integers(len(order) - size + 1))
        return [pairs[int(i)] for i in order[start : start + size]]

    def draw_translate(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences and their translations: out of English three times in four, back into it the fourth."""
        found = []
        for _ in range(POOL * size):
            pair = self._pair(rng, {"multi30k": 1.0, "tatoeba": 0.25, "msctd": 0.15, "bmeld": 0.05})
            if pair.languages[1] == "zh" and rng.random() < 0.3:
                pair = self._caption_pair(rng) or pair
            if rng.random() < 0.25:
                pair = Pair(pair.target, pair.source, pair.languages[::-1])
            found.append(pair)
        found = self._of_like_length(found, size, rng)
        return {
            **self._said("translate", [pair.languages[1] for pair in found], [pair.target for pair in found]),
            **self._read([pair.source for pair in found]),
        }

    def draw_parallel(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences and their translations, to be pulled to the same vector."""
        pairs = [self._pair(rng, {"multi30k": 1.0, "tatoeba": 0.6, "msctd": 0.3}) for _ in range(POOL * size)]
        pairs = self._of_like_length(pairs, size, rng)
        return {
            "group": torch.arange(size),
            **self._read([pair.source for pair in pairs]),
            **self._read([pair.target for pair in pairs], "other"),
        }

    # --- sounds

    def draw_sound(self, size: int, rng: np.random.Generator) -> Batch:
        """Labelled sounds, speech, silence and noise; a caption for those that have a name."""
        view = self.sounds[int(rng.integers(len(self.sounds)))]
        n_speech = size // 5
        rows: list[tuple[Tensor, str]] = []
        for i in rng.choice(len(view), size - n_speech, replace=False):
            rows.append((view[int(i)], str(view.meta[i]["label"])))
        for _ in range(n_speech):
            _, spoken = self.spoken[int(rng.integers(len(self.spoken)))]
            rows.append((spoken[int(rng.integers(len(spoken)))], "speech"))
        cut = []
        for row, label in rows:  # a window of up to 5 s
            start = int(rng.integers(max(1, len(row) - 5 * MIX_HZ + 1)))
            cut.append((row[start : start + 5 * MIX_HZ], label))
        mix, mask = padded([row for row, _ in cut])
        language = str(rng.choice(["en", "de", "zh"], p=[0.6, 0.2, 0.2]))
        names = sorted(SOUND_NAMES)
        labels = [label for _, label in cut]
        said = [sound_prompt(label, language) if label in SOUND_NAMES else "" for label in labels]
        batch = self._said("caption", [language] * size, said)
        batch["targets"][torch.tensor([not text for text in said])] = IGNORED
        return {
            "mix": mix,
            "mix_mask": mask,
            "label": torch.tensor([names.index(label) if label in SOUND_NAMES else -1 for label in labels]),
            "event": torch.tensor([self.event_index(label) for label in labels]),
            **batch,
            **self._read([sound_prompt(name, language) for name in names]),
        }

    @staticmethod
    def event_index(label: str) -> int:
        from engines.model.config import EVENTS

        return EVENTS.index(label)

    # --- clips

    def _clip_material(self) -> tuple[Material, list[tuple[Ragged, int]]]:
        """Photos and sounds by what they hold; sounds as (store, row)."""
        if self.material is None:
            facts = [photo_facts(meta["captions"]["en"]) for meta in self.photos[0].meta]  # type: ignore[index]
            self.sound_rows = [(store, i) for store in self.sounds for i in range(len(store))]
            labels = [str(store.meta[i]["label"]) for store, i in self.sound_rows]
            for _, mix in self.spoken:
                n = min(400, len(mix))
                self.sound_rows += [(mix, i) for i in range(n)]
                labels += ["speech"] * n
            self.material = Material(facts, labels)
        return self.material, self.sound_rows

    def draw_answer(self, size: int, rng: np.random.Generator) -> Batch:
        """Composed clips with a question, out of stored maps and layers; a fifth asks what is happening."""
        material, sound_rows = self._clip_material()
        n_frames = int(rng.choice([6, 8, 12]))
        frames, times, mixes, questions, answers, languages = [], [], [], [], [], []
        for _ in range(size):
            clip = plan(rng, material, languages=("en", "en", "zh"))
            question, answer, language = clip.question, clip.answer, clip.language
            view = self.photos[int(rng.integers(len(self.photos)))]
            if rng.random() < 0.2:
                meta = view.meta[clip.scenes[0].photo]
                captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
                language = language if captions.get(language) else "en"
                question, answer = str(rng.choice(DESCRIBE[language])), str(rng.choice(captions[language]))
                clip = ClipPlan(**{**vars(clip), "scenes": clip.scenes[:1]})
            frames.append(self._frames(clip, view, n_frames))
            times.append(torch.tensor(clip.frame_times_s(n_frames)))
            mixes.append(self._track(clip, sound_rows))
            questions.append(question)
            answers.append(answer)
            languages.append(language)
        mix, mix_mask = padded(mixes)
        return {
            "frames": torch.stack(frames),
            "times": torch.stack(times),
            "mix": mix,
            "mix_mask": mix_mask & mix.flatten(2).any(2),
            **self._said("answer", languages, answers),
            **self._read(questions),
        }

    @staticmethod
    def _frames(clip: ClipPlan, view: Ragged, n_frames: int) -> Tensor:
        """The plan's camera over stored maps: (F, 64, 1280). A crop of the picture is a crop of its map."""
        side = round(int(view.lengths[0]) ** 0.5)
        maps, boxes = [], []
        for time_s in clip.frame_times_s(n_frames):
            scene = clip.scene(time_s)
            maps.append(view[scene.photo].T.reshape(-1, side, side).float())
            boxes.append(scene.box(time_s))
        left, top, right, bottom = torch.tensor(boxes).T
        steps = (torch.arange(side) + 0.5) / side
        x = left[:, None] + (right - left)[:, None] * steps  # (F, 8) in 0..1
        y = top[:, None] + (bottom - top)[:, None] * steps
        grid = torch.stack(
            [x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1
        )  # (F, 8, 8, 2)
        seen = F.grid_sample(torch.stack(maps), grid * 2 - 1, align_corners=False, padding_mode="border")
        return seen.flatten(2).transpose(1, 2).to(torch.bfloat16)

    @staticmethod
    def _track(clip: ClipPlan, rows: list[tuple[Ragged, int]]) -> Tensor:
        """The plan's sounds over stored layers at 5 Hz: (T', 7, 512), zeros where there is nothing to hear."""
        n = max(1, round(clip.duration_s * MIX_HZ))
        out = torch.zeros(n, *rows[0][0].inner, dtype=torch.bfloat16)
        for track in clip.tracks:
            store, i = rows[track.sound]
            row = store[i]
            start, end = round(track.start_s * MIX_HZ), min(n, round(track.end_s * MIX_HZ))
            if end > start:
                out[start:end] = row[torch.arange(end - start) % len(row)]
        return out


assert set(LANGUAGES) >= {"en", "de", "zh"}
