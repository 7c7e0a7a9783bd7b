"""Does it know what people show it: photos of ImageNet's classes, captioned and searched for by the class's name.

A caption names a photo when it holds one of the accepted names as whole words, plurals folded; in German and Chinese
the name of the class or of a group it belongs to. Photos and names come with the data (`naming/`).
"""

from __future__ import annotations

import re

import numpy as np

from engines.archives import ConceptRecord, NamedPhotoRecord, concepts, named_photos
from engines.evaluation.harness import Harness, Row, Rows, attempt, selective_rows
from engines.evaluation.metrics import recall_at
from engines.training.concept_groups import concepts as grouped

CAPTIONED_IN = ("en", "zh", "de")
SEARCHED_IN = ("en", "zh", "de", "fr")


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
    right = [names(r.text, accepted[record.label], language) for r, record in zip(results, records, strict=True)]
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
    for language in SEARCHED_IN:
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


def names(text: str, accepted: tuple[str, ...], language: str) -> bool:
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
