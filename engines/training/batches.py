"""Batches with names: what one training step of each task sees, drawn from the stores and the texts.

A batch is a dict of tensors, their shapes those of the stores (here of `SMALL`): `maps` (B, 64, 1280) of photos;
`last` (B, T, 512) and `mix` (B, T', 7, 512) of sounds with their masks; `ids` (B, L) what the decoder reads, `targets`
(B, L) what it should say (-100 where nothing is asked); `text` (B, L) and `other` (B, L), each with its mask, what the
text tower reads; `group` (B,) rows of the same thing; `taught` (B, 384) the teacher's vectors of `text`. Out of a
library, where the towers run at every step, `maps` are photos (B, 3, 256, 256) uint8, `last` and `mix` sounds (B, n)
int16 with masks of their mel frames. Everything is drawn from the generator given, so a run that is resumed sees what
it would have seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from engines.model.concepts import MAX_NAMES, listed
from engines.model.concepts import names as concept_names
from engines.model.config import EVENTS, ModelConfig
from engines.model.features import HOP
from engines.protocol import LANGUAGES
from engines.text import Task, Tokenizer, normalise
from engines.training import caption_questions, composed, consensus, content_words
from engines.training.caption_questions import Question
from engines.training.clips import ClipPlan, plan
from engines.training.facts import SOUND_NAMES, photo_facts, sound_prompt
from engines.training.pairs import POOL, Pair, Pairs, of_like_length
from engines.training.questions import DESCRIBE, Material
from engines.training.shelf import Meta, Pictures, Shelf, Sounding
from engines.training.store import opened
from engines.training.teacher import Teacher

Batch: TypeAlias = dict[str, Tensor]

IGNORED = -100
SYNTHETIC = 0.3
"""How often synthetic voices are drawn, a store of real ones counting 1."""
CORPORA = {"librispeech-dev-clean": 3.0, "librispeech-train-clean-100-pseudo": 3.0, "an4": 0.4, "fsdd-strings": 0.4}
"""How often a clip of a corpus is drawn, others counting 1: long sentences more than spelt letters and digits."""
WINDOW_S = 5.0
"""Of a sound to be named, at most."""
MEAN_TOKENS = 400
"""Of a row of speech in a batch, at most: 5 s, and the silence after it."""
CAPTION_LANGUAGES = {"en": 0.6, "de": 0.2, "zh": 0.2}
MATCHED_LANGUAGES = {"en": 0.2, "de": 0.35, "zh": 0.45}
"""Of the second caption a photo is matched with."""
QUIET_OF = 6
"""One row without speech to so many with: the decoder has to learn to say that nobody speaks."""
TRANSLATED = {"multi30k": 1.0, "tatoeba": 0.25, "msctd": 0.15, "bmeld": 0.05}
PULLED = {"multi30k": 1.0, "tatoeba": 0.6, "msctd": 0.3}
"""How often a corpus is drawn: captions more than film dialogue."""
N_POOL = 64
"""Photos that a batch of clips is made of, at most: as many as clips, and some even if those are few."""
FRAMES = {8: 0.4, 12: 0.2, 16: 0.4}
"""Of a clip, and how often."""
NAMED_LANGUAGES = {"en": 0.55, "de": 0.2, "zh": 0.25}
"""Of captions written from names."""
UNTOLD_SHARE = 0.06
"""Questions that the media cannot answer."""
SIDED = re.compile(r"\b(left|right|links|rechts|linken|rechten)\b|[左右]")
"""Captions that name a side are not given to a mirrored photo."""


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows (n_i, ...) -> ((B, max n, ...), mask (B, max n))."""
    mask = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.bool)
    for i, row in enumerate(rows):
        mask[i, : len(row)] = True
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True), mask


def _padded_sounds(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """`padded`; of samples the mask is that of mel frames."""
    sounds, mask = padded(rows)
    return sounds, mask[:, : mask.shape[1] // HOP * HOP : HOP] if sounds.dtype == torch.int16 else mask


def _duration_s(clip: ClipPlan) -> float:
    return clip.duration_s


class Feeds:
    """The media and texts of a training folder, and a batch of any task drawn from them.

    shelf: where photos and sounds are; None for the stores in RUN.
    """

    def __init__(
        self,
        data: Path,
        run: Path,
        teacher: Teacher | None = None,
        shelf: Shelf | None = None,
        config: ModelConfig | None = None,
    ) -> None:
        shelf = shelf or opened(run)
        self.config = config
        self.named, self.asked, self.grey = shelf.named, shelf.asked, shelf.grey
        self.photos, self.sounds, self.quiet, self.spoken = shelf.photos, shelf.sounds, shelf.quiet, shelf.spoken
        self.teacher = teacher
        self.tokenizer = Tokenizer.load(run / "tokenizer.model")
        self.pairs = Pairs(data)
        self.sound_labels: list[str] = []
        self.sound_rows: list[tuple[Sounding, int]] = []
        self.rarity: tuple[Tensor, Tensor] | None = None
        self.exchange: content_words.Exchange | None = None

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

    def _photos(self, size: int, rng: np.random.Generator) -> tuple[Pictures, list[int]]:  # a view and rows of it
        view = self.photos[int(rng.integers(len(self.photos)))]
        return view, rng.choice(len(view), min(size, len(view)), replace=False).tolist()

    def draw_caption(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with a caption to write."""
        view, rows = self._photos(size, rng)
        languages, captions = zip(*(self._caption(view.meta[i], rng) for i in rows), strict=True)
        return {"maps": torch.stack([view[i] for i in rows]), **self._said("caption", languages, captions)}

    def draw_consensus(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos as they are, with all English captions as pieces, and how rare every n-gram of captions is."""
        view = self.photos[0]
        rows = rng.choice(len(view), min(size, len(view)), replace=False).tolist()
        if self.rarity is None:
            self.rarity = consensus.frequencies([self._references(view.meta[i]) for i in range(len(view))])
        return {
            "maps": torch.stack([view[i] for i in rows]),
            "references": consensus.stacked([self._references(view.meta[i]) for i in rows]),
            "grams": self.rarity[0],
            "idf": self.rarity[1],
            "prefix": torch.tensor(self.tokenizer.prefix("caption", "en")),
            "end": torch.tensor(self.tokenizer.eos_id),
        }

    def _references(self, meta: dict[str, object]) -> list[list[int]]:
        captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
        return [[*self.tokenizer.encode(text), self.tokenizer.eos_id] for text in captions["en"]]

    def draw_match(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with an English caption and another one, in German or Chinese four times in five."""
        view, rows = self._photos(size, rng)
        described = self._described([view.meta[i] for i in rows], rng)
        return {"maps": torch.stack([view[i] for i in rows]), "group": torch.tensor(rows), **described}

    def _described(self, metas: Sequence[dict[str, object]], rng: np.random.Generator) -> Batch:
        first = [self._caption(meta, rng, {"en": 1.0})[1] for meta in metas]
        second = [self._caption(meta, rng, MATCHED_LANGUAGES)[1] for meta in metas]
        return {**self._read(first), **self._read(second, "other"), **self._taught(first)}

    def draw_look(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with a caption to write and two to be matched with."""
        view, rows = self._photos(size, rng)
        metas = [view.meta[i] for i in rows]
        languages, captions = zip(*(self._caption(meta, rng) for meta in metas), strict=True)
        return {
            "maps": torch.stack([view[i] for i in rows]),
            "group": torch.tensor(rows),
            **self._described(metas, rng),
            **self._said("caption", languages, captions),
        }

    def _taught(self, english: Sequence[str]) -> Batch:
        return {} if self.teacher is None else {"taught": self.teacher(english)}

    def _caption(
        self, meta: dict[str, object], rng: np.random.Generator, weights: Mapping[str, float] = CAPTION_LANGUAGES
    ) -> tuple[str, str]:
        """A language, by weight, and a caption in it; English where nobody wrote in the one drawn."""
        captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
        p = np.array(list(weights.values()))
        language = str(rng.choice(list(weights), p=p / p.sum()))
        among = captions.get(language, ())
        if meta["mirrored"]:
            among = [c for c in among if not SIDED.search(c.lower())]
        if not among:
            language, among = "en", captions["en"]
        return language, str(rng.choice(among))

    # --- photos with the names of what is on them

    def _likely(self, meta: Meta, language: str, rng: np.random.Generator) -> list[str]:
        """What the concept head found in a photo, at a bar drawn anew each time."""
        if self.config is None or not self.config.concepts or "concepts" not in meta:
            return []  # a model or a store without concepts
        probabilities = np.zeros(len(self.config.concepts), np.float32)
        for i, probability in meta["concepts"]:  # type: ignore[attr-defined]
            probabilities[i] = probability
        found = concept_names(probabilities, self.config, least=float(rng.uniform(0.08, 0.3)))
        return [name.text(language) for name in found]

    def _any_name(self, language: str, rng: np.random.Generator) -> str:
        assert self.config is not None
        return str(getattr(self.config.concepts[int(rng.integers(len(self.config.concepts)))], language))

    def _names(self, meta: Meta, caption: str, language: str, rng: np.random.Generator) -> list[str]:
        """Names beside a captioned photo: what the head found, the caption's own nouns, wrong ones, or none."""
        chance = rng.random()
        if chance < 0.45:
            return self._likely(meta, language, rng)
        if chance < 0.7:
            return content_words.drawn(content_words.nouns(caption, language), rng)
        if chance < 0.85:
            found = [*self._likely(meta, language, rng)[:2], self._any_name(language, rng)]
            return [str(name) for name in rng.permutation(found)]
        return []

    def _with_names(self, rows: Sequence[Sequence[str]], languages: Sequence[str]) -> Batch:
        """Names as tokens; a row without any is masked whole."""
        texts = [listed(list(names), language) for names, language in zip(rows, languages, strict=True)]
        batch = self._read(texts, "names")
        batch["names_mask"] &= torch.tensor([bool(text) for text in texts])[:, None]
        return batch

    def draw_name(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos and names of what is on them, each with a caption to write; one in eight is of a class of ImageNet."""
        view, rows = self._photos(size * 7 // 8, rng)
        maps = [view[i] for i in rows]
        said: list[tuple[str, str]] = []
        names: list[list[str]] = []
        for i in rows:
            language, caption = self._caption(view.meta[i], rng, NAMED_LANGUAGES)
            said.append((language, caption))
            names.append(self._names(view.meta[i], caption, language, rng))
        named = self.named[int(rng.integers(len(self.named)))]
        for i in rng.choice(len(named), size - len(rows), replace=False):
            meta, language = named.meta[int(i)], str(rng.choice(list(PHRASES)))
            label: int = meta["label"]  # type: ignore[assignment]
            name = str(getattr(self.config.concepts[label], language))  # type: ignore[union-attr]
            found = self._likely(meta, language, rng) if rng.random() < 0.7 else [name]
            chosen = found[0] if found else name
            maps.append(named[int(i)])
            said.append((language, phrase(chosen, language, rng)))
            names.append(found or [name])
        languages, captions = zip(*said, strict=True)
        return {
            "maps": torch.stack(maps),
            **self._said("caption", languages, captions),
            **self._with_names(names, languages),
        }

    def draw_write(self, size: int, rng: np.random.Generator) -> Batch:
        """Captions to be written from names alone, half of them with a noun exchanged for another."""
        assert self.config is not None
        if self.exchange is None:
            self.exchange = content_words.Exchange(self.config.concepts, self.config.concept_groups)
        said: list[tuple[str, str]] = []
        names: list[list[str]] = []
        while len(said) < size:
            language = str(rng.choice(list(NAMED_LANGUAGES), p=list(NAMED_LANGUAGES.values())))
            caption = self._unseen_caption(language, rng)
            exchanged = self.exchange(caption, language, rng) if rng.random() < 0.5 else None
            if exchanged is not None:
                given = [exchanged.name, *content_words.drawn(exchanged.others, rng, 2)[: int(rng.integers(3))]]
                given = [str(name) for name in rng.permutation(given)]
                caption = exchanged.caption
            else:
                given = content_words.drawn(content_words.nouns(caption, language), rng)
            if given:
                said.append((language, caption))
                names.append(given)
        languages, captions = zip(*said, strict=True)
        return {**self._said("caption", languages, captions), **self._with_names(names, languages)}

    def _unseen_caption(self, language: str, rng: np.random.Generator) -> str:
        """A caption of a photo that is not at hand; in Chinese, of any photo."""
        if language == "zh":
            view = self.photos[0]
            return self._caption({**view.meta[int(rng.integers(len(view)))], "mirrored": False}, rng, {"zh": 1.0})[1]
        while True:
            captions = self.pairs.unseen[int(rng.integers(len(self.pairs.unseen)))]
            if language in captions:
                return str(rng.choice(captions[language]))

    def draw_question(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos with questions as people ask them: by people, and made of captions; what cannot be told, too."""
        maps, asked, names = [], [], []
        assert self.grey is not None
        by_people = self.asked[int(rng.integers(len(self.asked)))]
        view, rows = self._photos(size, rng)
        for i in rows:
            chance = rng.random()
            if chance < 0.45:
                k = int(rng.integers(len(by_people)))
                meta, photo = by_people.meta[k], by_people[k]
                if meta["mirrored"]:
                    pairs = [qa for qa in meta["qa"] if not SIDED.search(qa[0].lower())] or [None]  # type: ignore
                else:
                    pairs = meta["qa"]  # type: ignore[assignment]
                pair = pairs[int(rng.integers(len(pairs)))]
                question = caption_questions.untold(rng, "en") if pair is None else Question(pair[0], pair[1], "en")
            else:
                grey = chance < 0.5
                source, k = (self.grey, int(rng.integers(len(self.grey)))) if grey else (view, i)
                meta, photo = source.meta[k], source[k]
                language = "zh" if rng.random() < 0.25 else "en"
                captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
                found = caption_questions.questions(captions["en"], rng, language, grey=grey)
                if grey:
                    found = found[-1:] * 2 + found
                question = found[int(rng.integers(len(found)))]
                if rng.random() < UNTOLD_SHARE:
                    question = caption_questions.untold(rng, language)
            maps.append(photo)
            asked.append(question)
            names.append(self._likely(meta, question.language, rng) if rng.random() < 0.75 else [])
        languages = [question.language for question in asked]
        return {
            "maps": torch.stack(maps),
            **self._said("answer", languages, [question.answer for question in asked]),
            **self._read([question.text for question in asked]),
            **self._with_names(names, languages),
        }

    # --- speech

    def draw_transcribe(self, size: int, rng: np.random.Generator) -> Batch:
        """Speech of like lengths with what is said, and after it some rows in which nobody speaks.

        `n_said` () counts the rows with words; `ctc`, `n_ctc` and `language_ids` are of those alone.
        """
        last, _ = self.spoken[self._voices(rng)]
        rows = self._speakers(last, size, rng)
        while last.lengths[rows].sum() > MEAN_TOKENS * size and len(rows) > 2:
            rows.pop(int(rng.integers(len(rows))))
        texts = [str(last.meta[i]["text"]) for i in rows]
        languages = [str(last.meta[i]["language"]) for i in rows]
        quiet = self._quiet_rows(len(rows) // QUIET_OF, max(last.lengths[rows]), rng)
        tokens, mask = _padded_sounds([last.row(i, rng) for i in rows] + quiet)
        targets, spelt_mask = padded([self._spelt(*said) for said in zip(texts, languages, strict=True)])
        asked = [str(rng.choice(LANGUAGES)) for _ in quiet]  # whatever the language is said to be
        return {
            "last": tokens,
            "mask": mask,
            "ctc": targets,
            "n_ctc": spelt_mask.sum(1),
            "n_said": torch.tensor(len(rows)),
            "language_ids": torch.tensor([self.tokenizer.language_ids[language] for language in languages]),
            **self._said("transcribe", languages + asked, texts + [""] * len(quiet)),
        }

    def _voices(self, rng: np.random.Generator) -> int:
        """Which store of speech to draw from."""
        weights = np.array([SYNTHETIC if last.meta[0]["corpus"] == "synthetic" else 1.0 for last, _ in self.spoken])
        return int(rng.choice(len(self.spoken), p=weights / weights.sum()))

    @staticmethod
    def _speakers(store: Sounding, size: int, rng: np.random.Generator) -> list[int]:
        """Rows of like lengths, drawn by corpus."""
        weights = np.array([CORPORA.get(str(meta["corpus"]), 1.0) for meta in store.meta])
        n = min(POOL * size, len(store))
        pool = rng.choice(len(store), n, replace=False, p=weights / weights.sum())
        order = pool[np.argsort(store.lengths[pool], kind="stable")]
        start = int(rng.integers(max(1, n - size + 1)))
        rows: list[int] = order[start : start + size].tolist()
        return rows

    def _quiet_rows(self, n: int, longest: int, rng: np.random.Generator) -> list[Tensor]:
        """Up to n rows without speech, cut to at most `longest` tokens."""
        found: list[Tensor] = []
        for store in self.quiet:
            drawn = rng.choice(len(store), min(n, len(store)), replace=False)
            found.extend(store.end(int(i), longest, rng) for i in drawn)
        return found

    def draw_spell(self, size: int, rng: np.random.Generator) -> Batch:
        """As for transcripts; the pieces go unused."""
        return self.draw_transcribe(size, rng)

    # --- text

    def draw_translate(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences and their translations: out of English three times in four, back into it the fourth."""
        found = []
        for pair in self.pairs.translations(POOL * size, rng, TRANSLATED):
            if pair.languages[1] == "zh" and rng.random() < 0.3:
                pair = self._caption_pair(rng) or pair
            if rng.random() < 0.25:
                pair = Pair(pair.target, pair.source, pair.languages[::-1])
            found.append(pair)
        found = of_like_length(found, size, rng)
        return {
            **self._said("translate", [pair.languages[1] for pair in found], [pair.target for pair in found]),
            **self._read([pair.source for pair in found]),
        }

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

    def draw_parallel(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences to be pulled to the same vector: translations, or two captions of a photo that is not at hand."""
        if self.pairs.unseen and rng.random() < 0.6:
            pairs = self.pairs.captions(POOL * size, rng)
        else:
            pairs = self.pairs.translations(POOL * size, rng, PULLED)
        pairs = of_like_length(pairs, size, rng)
        sources = [pair.source for pair in pairs]
        return {
            "group": torch.tensor([sources.index(source) for source in sources]),
            **self._read(sources),
            **self._read([pair.target for pair in pairs], "other"),
            **self._taught(sources),
        }

    # --- sounds

    def draw_sound(self, size: int, rng: np.random.Generator) -> Batch:
        """Labelled sounds, speech, silence and noise; a caption for those that have a name."""
        view = self.sounds[int(rng.integers(len(self.sounds)))]
        n_speech = size // 5
        rows: list[tuple[Tensor, str]] = [
            (view.window(int(i), WINDOW_S, rng), str(view.meta[i]["label"]))
            for i in rng.choice(len(view), size - n_speech, replace=False)
        ]
        for _ in range(n_speech):
            _, spoken = self.spoken[int(rng.integers(len(self.spoken)))]
            rows.append((spoken.window(int(rng.integers(len(spoken))), WINDOW_S, rng), "speech"))
        mix, mask = _padded_sounds([row for row, _ in rows])
        language = str(rng.choice(["en", "de", "zh"], p=[0.6, 0.2, 0.2]))
        names = sorted(SOUND_NAMES)
        labels = [label for _, label in rows]
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
        return EVENTS.index(label)

    # --- clips

    def _heard(self) -> tuple[list[str], list[tuple[Sounding, int]]]:
        """Labels of the sounds for clips, and where they are: (store, row)."""
        if not self.sound_rows:
            self.sound_rows = [(store, i) for store in self.sounds for i in range(len(store))]
            self.sound_rows += [(mix, i) for _, mix in self.spoken for i in range(min(400, len(mix)))]
            self.sound_labels = [str(store.meta[i].get("label", "speech")) for store, i in self.sound_rows]
        return self.sound_labels, self.sound_rows

    def draw_answer(self, size: int, rng: np.random.Generator) -> Batch:
        """Composed clips with a question each, out of a pool of photos that the tower's blocks see once."""
        return self._clips(size, rng)

    def draw_describe(self, size: int, rng: np.random.Generator) -> Batch:
        """Clips of one scene, and what is happening in them."""
        return self._clips(size, rng, describe=True)

    def _clips(self, size: int, rng: np.random.Generator, *, describe: bool = False) -> Batch:
        view, rows = self._photos(min(N_POOL, max(size, 16)), rng)
        metas = [view.meta[i] for i in rows]
        labels, sound_rows = self._heard()
        material = Material([photo_facts(meta["captions"]["en"]) for meta in metas], labels)  # type: ignore[index]
        side = round(int(view.lengths[0]) ** 0.5)
        n_frames = int(rng.choice(list(FRAMES), p=list(FRAMES.values())))
        shown, crop, times, mixes, heard, said, names = [], [], [], [], [], [], []
        plans = sorted((plan(rng, material, languages=("en", "en", "zh")) for _ in range(2 * size)), key=_duration_s)
        start = int(rng.integers(size + 1))
        for clip in plans[start : start + size]:  # of like lengths
            asked = clip.question, clip.answer, clip.language
            if describe:
                clip = replace(clip, scenes=clip.scenes[:1])
                asked = self._of_one_scene(metas[clip.scenes[0].photo], clip.language, rng)
            here = dict.fromkeys(
                name for scene in clip.scenes for name in self._likely(metas[scene.photo], asked[2], rng)
            )
            names.append(list(here)[:MAX_NAMES] if rng.random() < 0.75 else [])
            photos, weights = composed.crops(clip, n_frames, side)
            shown.append(torch.tensor(photos))
            crop.append(weights)
            times.append(torch.tensor(clip.frame_times_s(n_frames)))
            mixes.append(composed.track(clip, sound_rows))
            heard.append(bool(clip.tracks))
            said.append(asked)
        mix, mask = _padded_sounds(mixes)
        mask = mask & torch.tensor(heard)[:, None]
        if mix.dtype != torch.int16:  # what is stored knows no silence
            mask = mask & mix.flatten(2).any(2)
        questions, answers, languages = zip(*said, strict=True)
        return {
            "maps": torch.stack([view[i] for i in rows]),
            "shown": torch.stack(shown),
            "crop": torch.stack(crop),
            "times": torch.stack(times),
            "mix": mix,
            "mix_mask": mask,
            **self._said("answer", languages, answers),
            **self._read(questions),
            **self._with_names(names, languages),
        }

    def _of_one_scene(self, meta: Meta, language: str, rng: np.random.Generator) -> tuple[str, str, str]:
        """A question about a clip of one photo: what happens, or what people ask. Question, answer, language."""
        captions: dict[str, list[str]] = meta["captions"]  # type: ignore[assignment]
        if rng.random() < 0.3:
            language, caption = self._caption(meta, rng, {language: 1.0})
            return str(rng.choice(DESCRIBE[language])), caption, language
        if rng.random() < UNTOLD_SHARE:
            question = caption_questions.untold(rng, language)
        else:
            found = caption_questions.questions(captions["en"], rng, language)
            question = found[int(rng.integers(len(found)))]
        return question.text, question.answer, question.language


PHRASES = {
    "en": (
        "A {}.",
        "There is a {}.",
        "A photo of a {}.",
        "A close up of a {}.",
        "This is a {}.",
        "A {} in the picture.",
        "A picture of a {}.",
    ),
    "de": ("Auf dem Bild ist {}.", "{}.", "Zu sehen: {}."),
    "zh": ("一张{}的照片。", "图中有{}。", "这是{}。", "{}。"),
}
"""What is written of a photo of which the class alone is known."""


def phrase(name: str, language: str, rng: np.random.Generator) -> str:
    text = str(rng.choice(list(PHRASES[language]))).format(name)
    if language == "en" and name[0].lower() in "aeiou":
        text = re.sub(rf"\b([Aa]) (?={re.escape(name)})", r"\1n ", text)
    return text


assert set(LANGUAGES) >= {"en", "de", "zh"}
