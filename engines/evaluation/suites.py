"""The suites on photos, sounds and sentences; all suites by name, and running some of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from engines.archives import (
    ConceptRecord,
    DatasetMissing,
    NamedPhotoRecord,
    PairRecord,
    PhotoRecord,
    SoundRecord,
    SpeechRecord,
    concepts,
    named_photos,
    pairs,
    photos,
    sounds,
    speech,
)
from engines.errors import RequestError
from engines.evaluation.fewshot import fewshot_rows
from engines.evaluation.harness import REASONS, Harness, Row, Rows, attempt, selective_rows, skipped
from engines.evaluation.metrics import bleu, caption_bleu, chinese_words, cider, recall_at, require_bleu
from engines.evaluation.questions import composed_rows, mini_rows, photo_rows
from engines.evaluation.speech import VOICE, repetition_rows, speech_rows, speech_translation_rows, synthesise
from engines.evaluation.speed import speed_rows
from engines.media.refusals import MIN_SOUND_S
from engines.protocol import Sound
from engines.text import normalise
from engines.training.concept_groups import concepts as grouped
from engines.training.lexicon import sound_prompt

# --- captions --------------------------------------------------------------------------------------------------------

# BLEU-4 and CIDEr-D against what people wrote, in each language. Beside each: the same captions moved on by one photo
# (what the language alone is worth), and for German and Chinese the model's own English captions, translated.

LANGUAGES = ("en", "zh", "de")


def caption_rows(harness: Harness) -> Rows:
    """`caption.<corpus>.<language>.{bleu4,cider}` for the languages people described the photos in."""
    require_bleu()  # before ten minutes of captions that nothing could score
    rows: Rows = {}
    for corpus, own in harness.by_corpus(photos(harness.data, harness.split)):
        english: dict[str, str] = {}
        for language in LANGUAGES:
            described = [record for record in own if language in record.captions]
            if not described:
                continue
            key = f"caption.{corpus}.{language}"
            try:
                written = [
                    harness.caption(record.load(), language).text
                    for record in harness.each(described, f"captions, {language}")
                ]
                rows |= _caption_scores(key, written, described, language)
            except REASONS as reason:
                rows[f"{key}.cider"] = skipped(reason)
                continue
            if language == "en":
                english = dict(zip((record.id for record in described), written, strict=True))
                continue
            described = [record for record in described if record.id in english]
            key = f"{key}.through_english"
            rows |= attempt(f"{key}.cider", _through_english, harness, key, english, described, language)
    return rows


def _through_english(
    harness: Harness, key: str, english: dict[str, str], records: list[PhotoRecord], language: str
) -> Rows:
    texts = (english[record.id] for record in records)
    translated = [harness.translate(text, "en", language) if text.strip() else "" for text in texts]
    return _caption_scores(key, translated, records, language)


def _caption_scores(key: str, written: list[str], records: list[PhotoRecord], language: str) -> Rows:
    texts = [normalise(text, language) for text in written]
    references = [[normalise(text, language) for text in record.captions[language]] for record in records]
    moved = texts[1:] + texts[:1]
    n = len(texts)
    return {
        f"{key}.bleu4": Row(caption_bleu(texts, references), n, "points"),
        f"{key}.cider": Row(cider(texts, references), n, "points", note="CIDEr-D x 100"),
        f"{key}.cider.blind": Row(cider(moved, references), n, "points", note="captions moved on by one photo"),
    }


# --- retrieval -------------------------------------------------------------------------------------------------------

KS = (1, 5, 10)
MAX_SPOKEN = 500
"""Most spoken captions: synthetic voices are slow, and more of them change the figure little."""


def retrieval_rows(harness: Harness) -> Rows:
    """`retrieval.<corpus>.<language>.{text_to_image,image_to_text}.recall_at_<k>` and spoken queries.

    Every caption is a query of its own; a photo has found a text when any of its own captions is among the k best.
    """
    rows: Rows = {}
    for corpus, own in harness.by_corpus(photos(harness.data, harness.split)):
        rows |= attempt(f"retrieval.{corpus}", _retrieval_rows, harness, corpus, own)
    return rows


def _retrieval_rows(harness: Harness, corpus: str, records: list[PhotoRecord]) -> Rows:
    rows: Rows = {}
    photo = harness.vectors(records, PhotoRecord.load, "photo vectors")
    for language in LANGUAGES:
        if any(language in record.captions for record in records):
            key = f"retrieval.{corpus}.{language}"
            rows |= attempt(key, _text_rows, harness, key, records, photo, language)
    key = "retrieval.speech_to_image"
    rows |= attempt(f"{key}.recall_at_10", _spoken_rows, harness, key, records, photo)
    return rows | attempt(f"{key}.synthetic.recall_at_10", _synthetic_rows, harness, f"{key}.synthetic", records, photo)


def _text_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray, language: str) -> Rows:
    owner = [i for i, record in enumerate(records) for _ in record.captions.get(language, ())]
    texts = [text for record in records for text in record.captions.get(language, ())]
    similarity = harness.vectors(texts, str, f"text vectors, {language}") @ photo.T  # (texts, photos)
    right = _one_hot(owner, len(records))
    described = np.flatnonzero(right.any(0))
    note = f"of {len(records)} photos; chance at 10: {min(1000.0 / len(records), 100.0):.1f} %"
    rows = _recalls(f"{key}.text_to_image", similarity, right, note)
    note = f"any of a photo's own captions, of {len(texts)}"
    return rows | _recalls(f"{key}.image_to_text", similarity.T[described], right.T[described], note)


def _recalls(key: str, similarity: np.ndarray, right: np.ndarray, note: str) -> Rows:
    found = recall_at(similarity, right, KS)
    return {f"{key}.recall_at_{k}": Row(value, len(similarity), note=note) for k, value in found.items()}


def _spoken_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray) -> Rows:
    """Captions of these photos that people spoke. Raises DatasetMissing where there are none."""
    row_of = {record.id: i for i, record in enumerate(records)}
    found = [record for record in speech(harness.data, harness.split) if Path(record.image).stem in row_of]
    if not found:
        raise DatasetMissing("the data has no spoken captions of its photos")
    spoken = harness.take(found)
    vectors = harness.vectors(spoken, SpeechRecord.load, "spoken captions")
    owner = [row_of[Path(record.image).stem] for record in spoken]
    return _recalls(key, vectors @ photo.T, _one_hot(owner, len(photo)), f"real voices, of {len(photo)} photos")


def _synthetic_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray) -> Rows:
    """The first English caption of each photo, spoken by a synthetic voice."""
    described = [i for i, record in enumerate(records) if "en" in record.captions]
    chosen = harness.take(described, MAX_SPOKEN)
    texts = [records[i].captions["en"][0] for i in chosen]
    vectors = harness.vectors(texts, synthesise, "synthetic spoken captions")
    note = f"synthetic voice: {VOICE}; each photo's first English caption, of {len(photo)} photos"
    return _recalls(key, vectors @ photo.T, _one_hot(chosen, len(photo)), note)


def _one_hot(owner: list[int], n: int) -> np.ndarray:
    """(queries, n) bool: which item each query belongs to."""
    return np.asarray(owner)[:, None] == np.arange(n)[None]


# --- sounds ----------------------------------------------------------------------------------------------------------

# The label whose text lies nearest to the sound in the shared space, without the event head.


def _sound(record: SoundRecord) -> Sound:
    """A recording; one that is too short to say what it is has silence after it and counts like every other."""
    sound = record.load()
    missing = math.ceil(MIN_SOUND_S * sound.rate_hz) - len(sound.samples)
    return replace(sound, samples=np.pad(sound.samples, (0, missing))) if missing > 0 else sound


def sound_rows(harness: Harness) -> Rows:
    """`sound.<corpus>.accuracy`, among the labels of that corpus."""
    rows: Rows = {}
    records = sounds(harness.data, harness.split)
    for corpus, own in harness.by_corpus(records):
        labels = sorted({record.label for record in records if record.corpus == corpus})
        rows |= attempt(f"sound.{corpus}.accuracy", _sound_corpus_rows, harness, corpus, own, labels)
    return rows


def _sound_corpus_rows(harness: Harness, corpus: str, records: list[SoundRecord], labels: list[str]) -> Rows:
    texts = harness.vectors(labels, sound_prompt, "labels", against="sound")
    similarity = harness.vectors(records, _sound, corpus) @ texts.T  # (sounds, labels)
    guesses = [labels[i] for i in similarity.argmax(1)]
    right = [guess == record.label for guess, record in zip(guesses, records, strict=True)]
    best = np.sort(similarity, axis=1)
    note = f"nearest of {len(labels)} label texts; chance {100 / len(labels):.1f} %"
    rows = selective_rows(f"doubt.sound.{corpus}", right, (best[:, -1] - best[:, -2]).tolist())
    return rows | {f"sound.{corpus}.accuracy": Row.accuracy(right, note)}


# --- translation -----------------------------------------------------------------------------------------------------

# sacreBLEU on raw text, per corpus and direction; Chinese also against machine translation of 2016.

TARGETS = ("de", "fr", "zh")
MAX_PAIRS = 1500
"""Maximum pairs per corpus and direction: all of Multi30k and of the human translations of captions."""


def translation_rows(harness: Harness) -> Rows:
    """`translation.<corpus>.{en_xx,xx_en}.bleu`; BLEU-1 and -2 over words for the Chinese captions."""
    rows: Rows = {}
    for target in TARGETS:
        try:
            found = pairs(harness.data, f"en-{target}", harness.split)
        except DatasetMissing as reason:
            rows[f"translation.en_{target}.bleu"] = skipped(reason)
            continue
        for corpus, own in harness.by_corpus([pair for pair in found if harness.wants(pair.corpus)], MAX_PAIRS):
            for source, into in (("en", target), (target, "en")):
                key = f"translation.{corpus}.{source}_{into}"
                rows |= attempt(f"{key}.bleu", _direction_rows, harness, key, own, source, into)
    return rows | _machine_rows(harness)


def _direction_rows(harness: Harness, key: str, own: list[PairRecord], source: str, target: str) -> Rows:
    sides = [(pair.source, pair.target) if source == "en" else (pair.target, pair.source) for pair in own]
    written = _translated(harness, [text for text, _ in sides], source, target, own[0].corpus)
    references = [[right] for _, right in sides]
    tokenize = "zh" if target == "zh" else "13a"
    rows = {f"{key}.bleu": Row(bleu(written, references, tokenize=tokenize), len(own), "points")}
    if target == "zh" and own[0].corpus.startswith("flickr8k"):
        rows |= attempt(f"{key}.words_bleu1", _word_rows, key, written, references)
    return rows


def _translated(harness: Harness, texts: list[str], source: str, target: str, what: str) -> list[str]:
    return [harness.translate(text, source, target) for text in harness.each(texts, f"{what}, {source} to {target}")]


def _word_rows(key: str, written: list[str], references: list[list[str]]) -> Rows:
    """BLEU-1 and BLEU-2 over words cut by jieba, as published for Flickr8k-CN."""
    own = [chinese_words(text) for text in written]
    right = [[chinese_words(text) for text in texts] for texts in references]
    return {
        f"{key}.words_bleu{n}": Row(caption_bleu(own, right, order=n), len(own), "points", note="words by jieba")
        for n in (1, 2)
    }


def _machine_rows(harness: Harness) -> Rows:
    """Our translation of captions and Google's of 2016, both against human translations, where photos carry both."""
    try:
        records = photos(harness.data, harness.split)
    except DatasetMissing:
        return {}
    full = [r for r in records if {"en", "zh_ht", "zh_mt_google"} <= r.captions.keys()]
    full = [r for r in full if len(r.captions["en"]) == len(r.captions["zh_ht"]) == len(r.captions["zh_mt_google"])]
    if not full or not harness.wants(full[0].corpus):
        return {}
    own = harness.take(full)
    key = f"translation.{own[0].corpus}_human.en_zh"
    references = [[r.captions["zh_ht"][0]] for r in own]

    def scored(written: list[str], name: str) -> Rows:
        return {f"{key}.{name}": Row(bleu(written, references, tokenize="zh"), len(own), "points")}

    def ours() -> Rows:
        english = [r.captions["en"][0] for r in own]
        return scored(_translated(harness, english, "en", "zh", "captions"), "bleu")

    return scored([r.captions["zh_mt_google"][0] for r in own], "machine_2016.bleu") | attempt(f"{key}.bleu", ours)


# --- names of what is shown ------------------------------------------------------------------------------------------

# Photos of ImageNet's classes, captioned, and searched for by the class's name. A caption names a photo when it
# contains an accepted name as whole words, plurals folded; in German and Chinese the name of the class or of a group it
# belongs to. Photos and names come with the data (`naming/`).

CAPTIONED_IN = ("en", "zh", "de")
NAMED_IN = ("en", "zh", "de", "fr")


def naming_rows(harness: Harness) -> Rows:
    """`naming.<corpus>.caption.accuracy` and `naming.<corpus>.search.recall_at_{1,5}`, by language."""
    classes = concepts(harness.data)
    rows: Rows = {}
    for corpus, own in harness.by_corpus(named_photos(harness.data, harness.split)):
        for language in CAPTIONED_IN:
            key = f"naming.{corpus}.caption{_suffix(language)}.accuracy"
            rows |= attempt(key, _caption_rows, harness, key, own, classes, language)
        rows |= attempt(f"naming.{corpus}.search.recall_at_1", _search_rows, harness, corpus, own, classes)
    return rows


def _suffix(language: str) -> str:
    return "" if language == "en" else f".{language}"


def _caption_rows(
    harness: Harness, key: str, records: list[NamedPhotoRecord], classes: list[ConceptRecord], language: str
) -> Rows:
    shown = harness.each(records, f"named photos, {language}")
    results = [harness.caption(record.load(), language) for record in shown]
    accepted = accepted_names(classes, language)
    right = [holds_name(r.text, accepted[record.label], language) for r, record in zip(results, records, strict=True)]
    rows = {key: Row.accuracy(right, "the caption holds an accepted name")}
    if language == "en":
        confidences = [result.confidence for result in results]
        rows |= selective_rows(f"doubt.naming.{records[0].corpus}", right, confidences)
    return rows


def _search_rows(harness: Harness, corpus: str, records: list[NamedPhotoRecord], classes: list[ConceptRecord]) -> Rows:
    rows: Rows = {}
    labels = np.array([record.label for record in records])
    queries = np.unique(labels)
    photos = harness.vectors(records, NamedPhotoRecord.load, "named photos to search")
    for language in NAMED_IN:
        text = harness.vectors([classes[label].names[language] for label in queries], str, "names")
        recall = recall_at(text @ photos.T, queries[:, None] == labels[None, :], (1, 5))
        for k, value in recall.items():
            rows[f"naming.{corpus}.search{_suffix(language)}.recall_at_{k}"] = Row(value, len(queries))
    return rows


def accepted_names(classes: list[ConceptRecord], language: str) -> list[tuple[str, ...]]:
    """What counts as naming each class: in English the list's own words, else its name and those of its groups."""
    if language == "en":
        return [(record.names["en"], *record.accepted) for record in classes]
    _, groups = grouped(classes)
    found = [[record.names[language]] for record in classes]
    for group in groups:
        for member in group.members:
            found[member].append(getattr(group.name, language))
    return [tuple(own) for own in found]


def holds_name(text: str, accepted: tuple[str, ...], language: str) -> bool:
    """Whether a text holds one of some names: in Chinese as it is, else as whole words, plurals folded."""
    if language == "zh":
        return any(name in text for name in accepted)
    words = _folded(text)
    return any(f" {_folded(name).strip()} " in words for name in accepted)


def _folded(text: str) -> str:
    """Lower-case words, an English plural's ending taken off, with a blank on either side."""
    return " " + " ".join(_singular(word) for word in re.findall(r"\w+", text.lower().replace("-", " "))) + " "


def _singular(word: str) -> str:
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is", "as")) else word


Suite = Callable[[Harness], Rows]

SUITES: Mapping[str, Suite] = {
    "caption": caption_rows,
    "retrieval": retrieval_rows,
    "speech": speech_rows,
    "repetition": repetition_rows,
    "translation": translation_rows,
    "speech_translation": speech_translation_rows,
    "sound": sound_rows,
    "naming": naming_rows,
    "photo_qa": photo_rows,
    "video_qa.composed": composed_rows,
    "video_qa.mini": mini_rows,
    "fewshot": fewshot_rows,
    "speed": speed_rows,
}


def chosen(only: Sequence[str]) -> list[str]:
    """Names of suites: those asked for ("video_qa" means both of its parts), or all. Raises RequestError."""
    unknown = [name for name in only if not _named(name)]
    if unknown:
        raise RequestError(
            "suite_unknown", "No suite is called {name!r}; known are {known}.", name=unknown[0], known=list(SUITES)
        )
    return [name for name in SUITES if not only or any(name in _named(asked) for asked in only)]


def _named(asked: str) -> list[str]:
    return [name for name in SUITES if name == asked or name.split(".")[0] == asked]


def evaluate(harness: Harness, name: str, suites: Mapping[str, Suite] = SUITES) -> Rows:
    """The rows of one suite; where its data or tool is missing altogether, one skipped row of the suite's name."""
    return attempt(name, suites[name], harness)
