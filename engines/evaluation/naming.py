"""Does it know what people show it: photos of ImageNet's classes, captioned and searched for by the class's name.

A caption names a photo when it holds one of the accepted names as whole words, plurals folded; in German and Chinese
the name of the class or of a group it belongs to. Photos and names come with the data (`naming/`).
"""

from __future__ import annotations

import re

import numpy as np

from engines.archives import ConceptRecord, NamedPhotoRecord, concepts, named_photos
from engines.evaluation.bench import REASONS, Bench, Row, Rows, selective_rows, skipped
from engines.evaluation.metrics import accuracy, recall_at
from engines.protocol import CaptionRequest, CaptionResult
from engines.training.concept_groups import concepts as grouped

CAPTIONED_IN = ("en", "zh", "de")
SEARCHED_IN = ("en", "zh", "de", "fr")


def naming_rows(bench: Bench) -> Rows:
    """`naming.<corpus>.caption.accuracy` and `naming.<corpus>.search.recall_at_{1,5}`, by language."""
    classes = concepts(bench.data)
    records = named_photos(bench.data, bench.split)
    rows: Rows = {}
    for corpus in sorted({record.corpus for record in records}):
        own = bench.take([record for record in records if record.corpus == corpus])
        rows |= _caption_rows(bench, corpus, own, classes)
        rows |= _search_rows(bench, corpus, own, classes)
    return rows


def _caption_rows(bench: Bench, corpus: str, records: list[NamedPhotoRecord], classes: list[ConceptRecord]) -> Rows:
    rows: Rows = {}
    for language in CAPTIONED_IN:
        key = f"naming.{corpus}.caption" + ("" if language == "en" else f".{language}")
        try:
            results = [
                bench.ask(CaptionRequest(media=record.load(), language=language), CaptionResult)
                for record in bench.each(records, f"named photos, {language}")
            ]
        except REASONS as reason:
            rows[f"{key}.accuracy"] = skipped(reason)
            continue
        accepted = accepted_names(classes, language)
        right = [names(r.text, accepted[record.label], language) for r, record in zip(results, records, strict=True)]
        value, interval = accuracy(sum(right), len(right))
        rows[f"{key}.accuracy"] = Row(value, len(right), interval=interval, note="the caption holds an accepted name")
        if language == "en":
            rows |= selective_rows(f"doubt.naming.{corpus}", right, [result.confidence for result in results])
    return rows


def _search_rows(bench: Bench, corpus: str, records: list[NamedPhotoRecord], classes: list[ConceptRecord]) -> Rows:
    rows: Rows = {}
    labels = np.array([record.label for record in records])
    try:
        photos = bench.vectors(records, NamedPhotoRecord.load, "named photos to search")
        for language in SEARCHED_IN:
            queries = sorted(set(labels.tolist()))
            text = bench.vectors([classes[label].names[language] for label in queries], str, "names")
            recall = recall_at(text @ photos.T, np.array(queries)[:, None] == labels[None, :], (1, 5))
            end = "" if language == "en" else f".{language}"
            for k, value in recall.items():
                rows[f"naming.{corpus}.search{end}.recall_at_{k}"] = Row(value, len(queries))
    except REASONS as reason:
        rows[f"naming.{corpus}.search.recall_at_1"] = skipped(reason)
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
