"""Batches: what one training step of each task sees, drawn from sources of media and from texts.

A batch is a dict of tensors. Media stand under their source's entry (`sources`), as features or as what the towers
make features of; shapes of features are those of `SMALL`: `maps` (B, 64, 1280) of photos, `last` (B, T, 512) and
`layers` (B, T', 7, 512) of sounds with `last_mask` and `layers_mask`. `ids` (B, L) are the decoder's input and
`targets` (B, L) what it should write (IGNORED where nothing is scored); `text`, `other` and `names` (B, L), each with
its mask, are input of the text tower; `group` (B,) marks rows about the same thing; `teacher` (B, 384) are the
teacher's vectors of `text`. Everything is drawn from the generator given, so that a resumed run sees the same batches.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from engines.archives import DatasetMissing
from engines.model import concepts
from engines.model.config import EVENTS, ModelConfig
from engines.model.features import HOP
from engines.protocol import LANGUAGES
from engines.text import Task, Tokenizer, normalise
from engines.training import caption_questions, content_words, losses
from engines.training.caption_questions import Question
from engines.training.clips import ClipPlan, crops, plan, track
from engines.training.lexicon import LEXICON, SOUND_NAMES, photo_facts, sound_prompt
from engines.training.pairs import POOL, Pair, Pairs, similar_lengths
from engines.training.questions import DESCRIBE, Material
from engines.training.sources import Meta, Photos, SoundEntry, Sounds, Sources
from engines.training.start import Teacher

Batch: TypeAlias = dict[str, Tensor]
T = TypeVar("T")

IGNORED = -100
MAX_TOKENS = 200
"""Tokens of a text; longer ones are cut."""
SYNTHETIC = 0.3
"""Weight of synthetic voices, where real ones have 1."""
CORPORA = {"librispeech-dev-clean": 3.0, "librispeech-train-clean-100-pseudo": 3.0, "an4": 0.4, "fsdd-strings": 0.4}
"""Weights of speech corpora, others having 1: long sentences more than spelt letters and digits."""
WINDOW_S = 5.0
"""Longest sound of the task `sound`."""
MEAN_TOKENS = 400
"""Largest mean length of speech in a batch: 5 s, and the silence after it."""
CAPTION_LANGUAGES = {"en": 0.6, "de": 0.2, "zh": 0.2}
MATCHED_LANGUAGES = {"en": 0.2, "de": 0.35, "zh": 0.45}
"""Languages, and their weights, of the second caption that a photo is matched with."""
REWARDED_LANGUAGES = {"en": 0.7, "zh": 0.3}
"""Languages of captions sampled for their reward; only nine photos in ten have a German caption, one each."""
NAMED_LANGUAGES = {"en": 0.55, "de": 0.2, "zh": 0.25}
"""Languages of captions written from names."""
ROWS_PER_SILENCE = 6
"""Rows of speech for each row without: the decoder has to learn to write that nobody speaks."""
TRANSLATED = {"multi30k": 1.0, "tatoeba": 0.25, "msctd": 0.15, "bmeld": 0.05}
EVEN = {"multi30k": 1.0, "tatoeba": 0.7, "msctd": 0.2, "bcontrast": 0.15, "bmeld": 0.1, "diabla": 0.1}
PULLED = {"multi30k": 1.0, "tatoeba": 0.6, "msctd": 0.3}
"""Weights of text corpora: captions more than film dialogue."""
N_POOL = 64
"""Most photos in a batch of clips."""
CLIP_SPEECH = 400
"""Most clips of each kind of voices for the tracks of clips."""
FRAMES = {8: 0.4, 12: 0.2, 16: 0.4}
"""Frames per clip, and their probabilities."""
UNANSWERABLE = 0.06
"""Share of questions that the media cannot answer."""
SIDED = re.compile(r"\b(left|right|links|rechts|linken|rechten)\b|[左右]")
"""Captions that name a side do not fit a mirrored photo."""


def pad(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows (n_i, ...) -> ((B, max n, ...), mask (B, max n))."""
    mask = torch.zeros(len(rows), max(len(row) for row in rows), dtype=torch.bool)
    for i, row in enumerate(rows):
        mask[i, : len(row)] = True
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True), mask


def pad_sounds(entry: SoundEntry, rows: Sequence[Tensor]) -> Batch:
    """Rows of a source under its entry, with their mask; the mask of samples is that of their mel frames."""
    sounds, mask = pad(rows)
    if entry == "samples":
        mask = mask[:, : mask.shape[1] // HOP * HOP : HOP]
    return {entry: sounds, f"{entry}_mask": mask}


def pick(views: Sequence[T], what: str, rng: np.random.Generator) -> T:
    """One of several views. Raises DatasetMissing where there is none."""
    if not views:
        raise DatasetMissing(f"the run has no {what}; python -m engines.training.feature_cache stores them")
    return views[int(rng.integers(len(views)))]


class Batcher:
    """Draws a batch of any task from the media and texts of a training folder."""

    def __init__(
        self, data: Path, run: Path, sources: Sources, config: ModelConfig, teacher: Teacher | None = None
    ) -> None:
        self.photos, self.sounds, self.config, self.teacher = sources.photos, sources.sounds, config, teacher
        self.tokenizer = Tokenizer.load(run / "tokenizer.model")
        self.pairs = Pairs(data)
        self._clip_sounds: list[tuple[Sounds, int]] = []
        self._frequencies: dict[str, tuple[Tensor, Tensor]] = {}
        self._replacer: content_words.NounReplacer | None = None

    # --- texts

    def _targets(self, task: Task, languages: Sequence[str], texts: Sequence[str]) -> Batch:
        """Decoder input and targets of texts; an empty text is the token of no speech."""
        ids, targets = [], []
        for language, text in zip(languages, texts, strict=True):
            prefix = self.tokenizer.prefix(task, language)
            tokens = self.tokenizer.encode(text)[:MAX_TOKENS]
            ids.append(torch.tensor([*prefix, *tokens] if text else prefix))
            scored = [*tokens, self.tokenizer.eos_id] if text else [self.tokenizer.no_speech_id]
            targets.append(torch.tensor([IGNORED] * (len(prefix) - 1) + scored))
        pad_sequence = torch.nn.utils.rnn.pad_sequence
        return {
            "ids": pad_sequence(ids, batch_first=True, padding_value=self.tokenizer.pad_id),
            "targets": pad_sequence(targets, batch_first=True, padding_value=IGNORED),
        }

    def _text(self, texts: Sequence[str], name: str = "text") -> Batch:
        rows = [self.tokenizer.encode(text)[:MAX_TOKENS] or [self.tokenizer.eos_id] for text in texts]
        tokens, mask = pad([torch.tensor(row) for row in rows])
        return {name: tokens, f"{name}_mask": mask}

    def _teacher(self, english: Sequence[str]) -> Batch:
        return {} if self.teacher is None else {"teacher": self.teacher(english)}

    @staticmethod
    def ctc_targets(text: str, language: str) -> Tensor:
        """The bytes of a plain transcript, each + 1 since 0 is the blank: (n,) int64."""
        plain = normalise(text, language)
        return torch.tensor([byte + 1 for byte in (plain.replace(" ", "") if language == "zh" else plain).encode()])

    # --- photos

    def _photo_rows(self, size: int, rng: np.random.Generator) -> tuple[Photos, list[int]]:
        """A view of the captioned photos and different rows of it."""
        view = pick(self.photos.captioned, "photos", rng)
        return view, rng.choice(len(view), min(size, len(view)), replace=False).tolist()

    def _caption(
        self, meta: Meta, rng: np.random.Generator, weights: Mapping[str, float] = CAPTION_LANGUAGES
    ) -> tuple[str, str]:
        """A language, by weight, and a caption in it; English where there is none in the language drawn."""
        p = np.array(list(weights.values()))
        language = str(rng.choice(list(weights), p=p / p.sum()))
        captions = meta["captions"].get(language, ())
        if meta["mirrored"]:
            captions = [c for c in captions if not SIDED.search(c.lower())]
        if not captions:
            language, captions = "en", meta["captions"]["en"]
        return language, str(rng.choice(captions))

    def _captions(self, metas: Sequence[Meta], rng: np.random.Generator) -> Batch:
        languages, captions = zip(*(self._caption(meta, rng) for meta in metas), strict=True)
        return self._targets("caption", languages, captions)

    def _matches(self, metas: Sequence[Meta], rng: np.random.Generator) -> Batch:
        first = [self._caption(meta, rng, {"en": 1.0})[1] for meta in metas]
        second = [self._caption(meta, rng, MATCHED_LANGUAGES)[1] for meta in metas]
        return {**self._text(first), **self._text(second, "other"), **self._teacher(first)}

    def caption(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with a caption to write."""
        view, rows = self._photo_rows(size, rng)
        captions = self._captions([view.meta[i] for i in rows], rng)
        return {view.entry: torch.stack([view[i] for i in rows]), **captions}

    def match(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with an English caption and another one, in German or Chinese four times in five."""
        view, rows = self._photo_rows(size, rng)
        matches = self._matches([view.meta[i] for i in rows], rng)
        return {view.entry: torch.stack([view[i] for i in rows]), "group": torch.tensor(rows), **matches}

    def caption_and_match(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos, each with a caption to write and two to be matched with."""
        view, rows = self._photo_rows(size, rng)
        metas = [view.meta[i] for i in rows]
        captions, matches = self._captions(metas, rng), self._matches(metas, rng)
        photos = torch.stack([view[i] for i in rows])
        return {view.entry: photos, "group": torch.tensor(rows), **matches, **captions}

    def scst(self, size: int, rng: np.random.Generator) -> Batch:
        """Unvaried photos with the token ids of all captions in one language, and the n-gram frequencies of these."""
        view = pick(self.photos.captioned[:1], "photos", rng)
        language = str(rng.choice(list(REWARDED_LANGUAGES), p=list(REWARDED_LANGUAGES.values())))
        rows = rng.choice(len(view), min(size, len(view)), replace=False).tolist()
        if language not in self._frequencies:
            documents = [self._references(meta, language) for meta in view.meta]
            self._frequencies[language] = losses.document_frequencies(documents)
        grams, idf = self._frequencies[language]
        return {
            view.entry: torch.stack([view[i] for i in rows]),
            "references": losses.stack_references([self._references(view.meta[i], language) for i in rows]),
            "grams": grams,
            "idf": idf,
            "prefix": torch.tensor(self.tokenizer.prefix("caption", language)),
            "end": torch.tensor(self.tokenizer.eos_id),
        }

    def _references(self, meta: Meta, language: str) -> list[list[int]]:
        return [[*self.tokenizer.encode(text), self.tokenizer.eos_id] for text in meta["captions"][language]]

    # --- photos with the names of what they show

    def _found_names(self, meta: Meta, language: str, rng: np.random.Generator) -> list[str]:
        """What the concept head finds in a photo, above a random threshold; nothing for a model without concepts."""
        if not self.config.concepts or "concepts" not in meta:
            return []
        probabilities = np.zeros(len(self.config.concepts), np.float32)
        for i, probability in meta["concepts"]:
            probabilities[i] = probability
        names = concepts.names(probabilities, self.config, least=float(rng.uniform(0.08, 0.3)))
        return [name.text(language) for name in names]

    def _names(self, meta: Meta, caption: str, language: str, rng: np.random.Generator) -> list[str]:
        """Names beside a captioned photo: what the head finds, the caption's own nouns, wrong ones, or none."""
        p = rng.random()
        if p < 0.45:
            return self._found_names(meta, language, rng)
        if p < 0.7:
            return content_words.sample(content_words.nouns(caption, language), rng)
        if p < 0.85:
            names = self._found_names(meta, language, rng)[:2]
            wrong = self.config.concepts[int(rng.integers(len(self.config.concepts)))]
            return [str(name) for name in rng.permutation([*names, getattr(wrong, language)])]
        return []

    def _names_text(self, rows: Sequence[Sequence[str]], languages: Sequence[str]) -> Batch:
        """Names as tokens; a row without names is masked."""
        texts = [concepts.listed(list(names), language) for names, language in zip(rows, languages, strict=True)]
        batch = self._text(texts, "names")
        batch["names_mask"] &= torch.tensor([bool(text) for text in texts])[:, None]
        return batch

    def name(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos and names of what they show, each with a caption; one in eight is a photo of a known class."""
        view, rows = self._photo_rows(size * 7 // 8, rng)
        maps = [view[i] for i in rows]
        captions: list[tuple[str, str]] = []
        names: list[list[str]] = []
        for i in rows:
            language, caption = self._caption(view.meta[i], rng, NAMED_LANGUAGES)
            captions.append((language, caption))
            names.append(self._names(view.meta[i], caption, language, rng))
        classes = pick(self.photos.named, "photos of known classes", rng)
        for i in rng.choice(len(classes), size - len(rows), replace=False):
            meta, language = classes.meta[int(i)], str(rng.choice(list(PHRASES)))
            name = str(getattr(self.config.concepts[meta["label"]], language))
            found = self._found_names(meta, language, rng) if rng.random() < 0.7 else [name]
            chosen = found[0] if found else name
            maps.append(classes[int(i)])
            captions.append((language, phrase(chosen, language, rng)))
            names.append(found or [name])
        languages, texts = zip(*captions, strict=True)
        targets = self._targets("caption", languages, texts)
        return {view.entry: torch.stack(maps), **targets, **self._names_text(names, languages)}

    def write(self, size: int, rng: np.random.Generator) -> Batch:
        """Captions to write from names alone, half of them with one noun replaced."""
        if self._replacer is None:
            self._replacer = content_words.NounReplacer(self.config.concepts, self.config.concept_groups)
        captions: list[tuple[str, str]] = []
        names: list[list[str]] = []
        while len(captions) < size:
            language = str(rng.choice(list(NAMED_LANGUAGES), p=list(NAMED_LANGUAGES.values())))
            caption = self._unseen_caption(language, rng)
            replaced = self._replacer(caption, language, rng) if rng.random() < 0.5 else None
            if replaced is not None:
                given = [replaced.name, *content_words.sample(replaced.others, rng, 2)[: int(rng.integers(3))]]
                given = [str(name) for name in rng.permutation(given)]
                caption = replaced.caption
            else:
                given = content_words.sample(content_words.nouns(caption, language), rng)
            if given:
                captions.append((language, caption))
                names.append(given)
        languages, texts = zip(*captions, strict=True)
        return {**self._targets("caption", languages, texts), **self._names_text(names, languages)}

    def _unseen_caption(self, language: str, rng: np.random.Generator) -> str:
        """A caption of a photo that is not in the data; in Chinese, of any photo."""
        if language == "zh":
            view = self.photos.captioned[0]
            return self._caption({**view.meta[int(rng.integers(len(view)))], "mirrored": False}, rng, {"zh": 1.0})[1]
        while True:
            captions = self.pairs.unseen[int(rng.integers(len(self.pairs.unseen)))]
            if language in captions:
                return str(rng.choice(captions[language]))

    def question(self, size: int, rng: np.random.Generator) -> Batch:
        """Photos with questions by people and questions made of captions, some of which cannot be answered."""
        maps, asked, names = [], [], []
        by_people = pick(self.photos.asked, "photos with questions", rng)
        colourless = pick(self.photos.grey, "photos without colour", rng)
        view, rows = self._photo_rows(size, rng)
        for i in rows:
            p = rng.random()
            if p < 0.45:
                k = int(rng.integers(len(by_people)))
                meta, photo = by_people.meta[k], by_people[k]
                question = self._question_by_people(meta, rng)
            else:
                grey = p < 0.5
                source, k = (colourless, int(rng.integers(len(colourless)))) if grey else (view, i)
                meta, photo = source.meta[k], source[k]
                question = self._question_from_captions(meta, rng, grey=grey)
            maps.append(photo)
            asked.append(question)
            names.append(self._found_names(meta, question.language, rng) if rng.random() < 0.75 else [])
        languages = [question.language for question in asked]
        return {
            view.entry: torch.stack(maps),
            **self._targets("answer", languages, [question.answer for question in asked]),
            **self._text([question.text for question in asked]),
            **self._names_text(names, languages),
        }

    @staticmethod
    def _question_by_people(meta: Meta, rng: np.random.Generator) -> Question:
        pairs = meta["qa"]
        if meta["mirrored"]:
            pairs = [pair for pair in pairs if not SIDED.search(pair[0].lower())] or [None]
        pair = pairs[int(rng.integers(len(pairs)))]
        return caption_questions.unanswerable(rng, "en") if pair is None else Question(pair[0], pair[1], "en")

    @staticmethod
    def _question_from_captions(meta: Meta, rng: np.random.Generator, *, grey: bool) -> Question:
        language = "zh" if rng.random() < 0.25 else "en"
        found = caption_questions.questions(meta["captions"]["en"], rng, language, grey=grey)
        if grey:  # the last one asks about colour
            found = found[-1:] * 2 + found
        question = found[int(rng.integers(len(found)))]
        return caption_questions.unanswerable(rng, language) if rng.random() < UNANSWERABLE else question

    # --- speech

    def transcribe(self, size: int, rng: np.random.Generator) -> Batch:
        """Speech of similar lengths with its transcripts, followed by rows without speech.

        `n_spoken` () counts the rows of speech; `ctc`, `n_ctc` and `language_ids` belong to them only.
        """
        speech = self._speech(rng)
        rows = self._speech_rows(speech, size, rng)
        while speech.lengths[rows].sum() > MEAN_TOKENS * size and len(rows) > 2:
            rows.pop(int(rng.integers(len(rows))))
        texts = [str(speech.meta[i]["text"]) for i in rows]
        languages = [str(speech.meta[i]["language"]) for i in rows]
        silent = self._silent_rows(len(rows) // ROWS_PER_SILENCE, max(speech.lengths[rows]), rng)
        sounds = pad_sounds(speech.entry, [speech.row(i, rng) for i in rows] + silent)
        ctc, ctc_mask = pad([self.ctc_targets(*pair) for pair in zip(texts, languages, strict=True)])
        any_language = [str(rng.choice(LANGUAGES)) for _ in silent]
        return {
            **sounds,
            "ctc": ctc,
            "n_ctc": ctc_mask.sum(1),
            "n_spoken": torch.tensor(len(rows)),
            "language_ids": torch.tensor([self.tokenizer.language_ids[language] for language in languages]),
            **self._targets("transcribe", languages + any_language, texts + [""] * len(silent)),
        }

    def _speech(self, rng: np.random.Generator) -> Sounds:
        """One source of speech for transcripts, by weight."""
        if not self.sounds.speech:
            pick((), "speech", rng)
        synthetic = [last.meta[0]["corpus"] == "synthetic" for last, _ in self.sounds.speech]
        weights = np.where(synthetic, SYNTHETIC, 1.0)
        return self.sounds.speech[int(rng.choice(len(weights), p=weights / weights.sum()))][0]

    @staticmethod
    def _speech_rows(speech: Sounds, size: int, rng: np.random.Generator) -> list[int]:
        """Rows of similar lengths, by weight of their corpus."""
        weights = np.array([CORPORA.get(str(meta["corpus"]), 1.0) for meta in speech.meta])
        n = min(POOL * size, len(speech))
        pool = rng.choice(len(speech), n, replace=False, p=weights / weights.sum())
        order = pool[np.argsort(speech.lengths[pool], kind="stable")]
        start = int(rng.integers(max(1, n - size + 1)))
        rows: list[int] = order[start : start + size].tolist()
        return rows

    def _silent_rows(self, n: int, longest: int, rng: np.random.Generator) -> list[Tensor]:
        """Up to n rows without speech of each source, cut to at most `longest` tokens."""
        rows: list[Tensor] = []
        for source in self.sounds.silent:
            chosen = rng.choice(len(source), min(n, len(source)), replace=False)
            rows.extend(source.tail(int(i), longest, rng) for i in chosen)
        return rows

    # --- text

    def translate(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences and their translations, mostly captions: from English three times in four, else into English."""
        return self._translations(size, rng, TRANSLATED, 0.25)

    def translate_evenly(self, size: int, rng: np.random.Generator) -> Batch:
        """Sentences and their translations, captions and everyday sentences alike, from English and into English."""
        return self._translations(size, rng, EVEN, 0.45)

    def _translations(
        self, size: int, rng: np.random.Generator, weights: Mapping[str, float], into_english: float
    ) -> Batch:
        pairs = []
        for pair in self.pairs.translations(POOL * size, rng, weights):
            if pair.languages[1] == "zh" and rng.random() < 0.3:
                pair = self._caption_pair(rng) or pair
            if rng.random() < into_english:
                pair = Pair(pair.target, pair.source, pair.languages[::-1])
            pairs.append(pair)
        pairs = similar_lengths(pairs, size, rng)
        targets = self._targets("translate", [pair.languages[1] for pair in pairs], [pair.target for pair in pairs])
        return {**targets, **self._text([pair.source for pair in pairs])}

    def _caption_pair(self, rng: np.random.Generator) -> Pair | None:
        """An English and a Chinese caption of one photo: a loose translation, but of the right domain."""
        if not self.photos.captioned:
            return None
        view = self.photos.captioned[0]
        captions = view.meta[int(rng.integers(len(view)))]["captions"]
        zh = captions.get("zh_mt_google", captions.get("zh", []))
        if not zh:
            return None
        i = int(rng.integers(min(len(zh), len(captions["en"]))))
        return Pair(captions["en"][i], zh[i], ("en", "zh"))

    def parallel(self, size: int, rng: np.random.Generator) -> Batch:
        """Pairs of sentences that should get the same vector: translations, or captions of one photo."""
        if self.pairs.unseen and rng.random() < 0.6:
            pairs = self.pairs.captions(POOL * size, rng)
        else:
            pairs = self.pairs.translations(POOL * size, rng, PULLED)
        pairs = similar_lengths(pairs, size, rng)
        sources = [pair.source for pair in pairs]
        return {
            "group": torch.tensor([sources.index(source) for source in sources]),
            **self._text(sources),
            **self._text([pair.target for pair in pairs], "other"),
            **self._teacher(sources),
        }

    # --- sounds

    def sound(self, size: int, rng: np.random.Generator) -> Batch:
        """Labelled sounds, speech, silence and noise, with captions of those that have a name."""
        view = pick(self.sounds.labelled, "sounds", rng)
        n_speech = size // 5
        rows: list[tuple[Tensor, str]] = [
            (view.window(int(i), WINDOW_S, rng), str(view.meta[i]["label"]))
            for i in rng.choice(len(view), size - n_speech, replace=False)
        ]
        for _ in range(n_speech):
            _, speech = pick(self.sounds.speech, "speech", rng)
            rows.append((speech.window(int(rng.integers(len(speech))), WINDOW_S, rng), "speech"))
        language = str(rng.choice(["en", "de", "zh"], p=[0.6, 0.2, 0.2]))
        names = sorted(SOUND_NAMES)
        labels = [label for _, label in rows]
        captions = [sound_prompt(label, language) if label in SOUND_NAMES else "" for label in labels]
        targets = self._targets("caption", [language] * size, captions)
        targets["targets"][torch.tensor([not text for text in captions])] = IGNORED
        return {
            **pad_sounds(view.entry, [row for row, _ in rows]),
            "label": torch.tensor([names.index(label) if label in SOUND_NAMES else -1 for label in labels]),
            "event": torch.tensor([EVENTS.index(label) for label in labels]),
            **targets,
            **self._text([sound_prompt(name, language) for name in names]),
        }

    # --- clips

    def clip_sounds(self) -> tuple[list[str], list[tuple[Sounds, int]]]:
        """Labels of the sounds for clips, and where they are: (source, row)."""
        if not self._clip_sounds:
            self._clip_sounds = [(source, i) for source in self.sounds.labelled for i in range(len(source))]
            for _, speech in self.sounds.speech:
                self._clip_sounds += [(speech, i) for i in range(min(CLIP_SPEECH, len(speech)))]
        return [str(source.meta[i].get("label", "speech")) for source, i in self._clip_sounds], self._clip_sounds

    def answer(self, size: int, rng: np.random.Generator) -> Batch:
        """Composed clips with one question each; their photos come from a pool that the tower's blocks process once."""
        return self._clips(size, rng)

    def describe(self, size: int, rng: np.random.Generator) -> Batch:
        """Clips of one scene with a question about it, or a caption as the answer."""
        return self._clips(size, rng, describe=True)

    def _clips(self, size: int, rng: np.random.Generator, *, describe: bool = False) -> Batch:
        view, rows = self._photo_rows(min(N_POOL, max(size, 16)), rng)
        metas = [view.meta[i] for i in rows]
        labels, sounds = self.clip_sounds()
        material = Material([photo_facts(meta["captions"]["en"]) for meta in metas], labels)
        side = round(int(view.lengths[0]) ** 0.5)
        n_frames = int(rng.choice(list(FRAMES), p=list(FRAMES.values())))
        plans = sorted((plan(rng, material, languages=("en", "en", "zh")) for _ in range(2 * size)), key=_duration_s)
        start = int(rng.integers(size + 1))
        clips = plans[start : start + size]  # of similar lengths
        questions: list[Question] = []
        names: list[list[str]] = []
        for i, clip in enumerate(clips):
            question = Question(clip.question, clip.answer, clip.language)
            if describe:
                clips[i] = clip = replace(clip, scenes=clip.scenes[:1])
                question = self._question_of_scene(metas[clip.scenes[0].photo], clip.language, rng)
            photos = [metas[scene.photo] for scene in clip.scenes]
            found = dict.fromkeys(name for meta in photos for name in self._found_names(meta, question.language, rng))
            names.append(list(found)[: concepts.MAX_NAMES] if rng.random() < 0.75 else [])
            questions.append(question)
        shown, crop = zip(*(crops(clip, n_frames, side) for clip in clips), strict=True)
        languages = [question.language for question in questions]
        return {
            view.entry: torch.stack([view[i] for i in rows]),
            "shown": torch.tensor(shown),
            "crop": torch.stack(crop),
            "times": torch.stack([torch.tensor(clip.frame_times_s(n_frames)) for clip in clips]),
            **self._tracks(clips, sounds),
            **self._targets("answer", languages, [question.answer for question in questions]),
            **self._text([question.text for question in questions]),
            **self._names_text(names, languages),
        }

    @staticmethod
    def _tracks(clips: Sequence[ClipPlan], sounds: Sequence[tuple[Sounds, int]]) -> Batch:
        """The sound tracks of clips; a clip without one is masked."""
        entry = sounds[0][0].entry
        batch = pad_sounds(entry, [track(clip, sounds) for clip in clips])
        mask = batch[f"{entry}_mask"] & torch.tensor([bool(clip.tracks) for clip in clips])[:, None]
        if entry == "layers":  # the tower hears the silence between samples, but features know none
            mask = mask & batch[entry].flatten(2).any(2)
        return {entry: batch[entry], f"{entry}_mask": mask}

    def _question_of_scene(self, meta: Meta, language: str, rng: np.random.Generator) -> Question:
        """A question about a clip of one photo, answered by a caption or as people ask."""
        if rng.random() < 0.3:
            language, caption = self._caption(meta, rng, {language: 1.0})
            return Question(str(rng.choice(DESCRIBE[language])), caption, language)
        if rng.random() < UNANSWERABLE:
            return caption_questions.unanswerable(rng, language)
        found = caption_questions.questions(meta["captions"]["en"], rng, language)
        return found[int(rng.integers(len(found)))]


def _duration_s(clip: ClipPlan) -> float:
    return clip.duration_s


PHRASES: dict[str, list[str]] = LEXICON["phrases"]
"""Captions of photos of which only the class is known, by language."""


def phrase(name: str, language: str, rng: np.random.Generator) -> str:
    """One of PHRASES with the name of a class."""
    text = str(rng.choice(PHRASES[language])).format(name)
    if language == "en" and name[0].lower() in "aeiou":
        text = re.sub(rf"\b([Aa]) (?={re.escape(name)})", r"\1n ", text)
    return text
