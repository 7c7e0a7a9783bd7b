"""Questions about clips, each asked four times: as it is, without picture, without sound, and blind.

Composed clips are made on the fly of the split's photos, sounds and speech; the seed fixes them. Real clips come with
questions by people. An answer is right when it is the same but for case, punctuation and articles.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from engines.archives import (
    AskedPhotoRecord,
    DatasetMissing,
    SoundRecord,
    SpeechRecord,
    asked_photos,
    photos,
    sounds,
    speech,
    videos,
)
from engines.errors import MediaError
from engines.evaluation.harness import REASONS, Harness, Row, Rows, attempt, selective_rows, skipped
from engines.evaluation.metrics import holds_answer, same_answer
from engines.protocol import AskRequest, AskResult, Media, Modality
from engines.training.clips import ClipPlan, NothingToAsk, plan, render
from engines.training.lexicon import photo_facts
from engines.training.questions import QUESTION_KINDS, Material

N_COMPOSED = 20 * len(QUESTION_KINDS)
"""As many of each kind."""

HIDDEN: Mapping[str, frozenset[Modality]] = {
    "": frozenset(),
    "blind": frozenset({"picture", "sound"}),
    "picture_only": frozenset({"sound"}),
    "sound_only": frozenset({"picture"}),
}
"""What is taken away, by the last part of the key."""


def composed_rows(harness: Harness) -> Rows:
    """`video_qa.composed.accuracy`, its `.blind`, `.picture_only` and `.sound_only`, per kind, and in Chinese."""
    seen = photos(harness.data, harness.split)
    heard: list[SoundRecord | SpeechRecord] = []
    for part in (sounds, speech):
        with suppress(DatasetMissing):  # there are questions left that need no such sound
            heard += part(harness.data, harness.split)
    labels = ["speech" if isinstance(record, SpeechRecord) else record.label for record in heard]
    material = Material([photo_facts(record.captions.get("en", ())) for record in seen], labels)

    def right_answers(made: Sequence[ClipPlan], hidden: Sequence[str]) -> dict[str, list[bool]]:
        """Whether each plan's question was answered right, by what was hidden."""
        right: dict[str, list[bool]] = {name: [] for name in hidden}
        for each in harness.each(made, "composed clips"):
            clip = render(each, lambda i: seen[i].load(), lambda i: heard[i].load())
            for name in hidden:
                text = _asked(harness, clip, each.question, each.language, HIDDEN[name]).text
                right[name].append(same_answer(text, each.answer, each.language))
        return right

    n = N_COMPOSED if harness.limit is None else min(harness.limit, N_COMPOSED)
    key = "video_qa.composed"
    try:
        made = plans(material, n, "en", harness.seed)
        right = right_answers(made, list(HIDDEN))
    except REASONS as reason:
        return {f"{key}.accuracy": skipped(reason)}
    rows = _hidden_rows(f"{key}.accuracy", right) | _kind_rows(made, right) | _cost_rows(made, right)
    try:
        right = right_answers(plans(material, max(n // 4, 1), "zh", harness.seed + 1), ["", "blind"])
        return rows | _hidden_rows(f"{key}.zh.accuracy", right)
    except REASONS as reason:
        return rows | {f"{key}.zh.accuracy": skipped(reason)}


def plans(material: Material, n: int, language: str, seed: int) -> list[ClipPlan]:
    """n plans, the kinds in turn, as far as the material has something for a kind. Raises DatasetMissing."""
    rng = np.random.default_rng(seed)
    made: list[ClipPlan] = []
    for i in range(n):
        with suppress(NothingToAsk):
            kind = QUESTION_KINDS[i % len(QUESTION_KINDS)]
            made.append(plan(rng, material, kinds=(kind,), languages=(language,)))
    if not made:
        raise DatasetMissing("the photos and sounds of the data do not suffice for a single question")
    return made


def _asked(harness: Harness, media: Media, question: str, language: str, hide: frozenset[Modality]) -> AskResult:
    return harness.ask(AskRequest(media=media, question=question, language=language, hide=hide), AskResult)


def _hidden_rows(key: str, right: Mapping[str, Sequence[bool]]) -> Rows:
    return {f"{key}.{name}".rstrip("."): Row.accuracy(marks) for name, marks in right.items()}


def _kind_rows(plans: Sequence[ClipPlan], right: Mapping[str, Sequence[bool]]) -> Rows:
    """Per kind of question, with what the modalities alone and the commonest answer reach."""
    rows: Rows = {}
    for kind in QUESTION_KINDS:
        own = [i for i, made in enumerate(plans) if made.kind == kind]
        if own:
            commonest = Counter(plans[i].answer for i in own).most_common(1)[0][1]
            shares = {name: 100 * sum(right[name][i] for i in own) / len(own) for name in right}
            alone = ", ".join(f"{name.replace('_', ' ')} {share:.0f}" for name, share in shares.items() if name)
            note = f"needs {' and '.join(sorted(plans[own[0]].needs))}; {alone}; commonest answer "
            note += f"{100 * commonest / len(own):.0f} %"
            rows[f"video_qa.composed.{kind}.accuracy"] = Row.accuracy([right[""][i] for i in own], note)
    return rows


def _cost_rows(plans: Sequence[ClipPlan], right: Mapping[str, Sequence[bool]]) -> Rows:
    """How many points the loss of a modality costs on the questions that need it."""
    rows: Rows = {}
    modalities: tuple[tuple[Modality, str], ...] = (("picture", "sound_only"), ("sound", "picture_only"))
    for modality, without in modalities:
        own = [i for i, made in enumerate(plans) if modality in made.needs]
        if own:
            cost = 100.0 * (sum(right[""][i] for i in own) - sum(right[without][i] for i in own)) / len(own)
            rows[f"video_qa.composed.without_{modality}.cost"] = Row(
                cost, len(own), "points", note=f"{modality} hidden"
            )
    return rows


def photo_rows(harness: Harness) -> Rows:
    """`photo_qa.<corpus>.accuracy` over photos with questions by people, and its `.blind`."""
    rows: Rows = {}
    records = asked_photos(harness.data, harness.split)
    for corpus in sorted({record.corpus for record in records}):
        pairs = [(record, *pair) for record in records if record.corpus == corpus for pair in record.questions]
        key = f"photo_qa.{corpus}"
        rows |= attempt(f"{key}.accuracy", _photo_rows, harness, key, harness.take(pairs))
    return rows


def _photo_rows(harness: Harness, key: str, pairs: Sequence[tuple[AskedPhotoRecord, str, str]]) -> Rows:
    right: dict[str, list[bool]] = {"": [], "blind": []}
    confidences: list[float | None] = []
    for record, question, answer in harness.each(pairs, key):
        photo = record.load()
        for name, marks in right.items():
            result = _asked(harness, photo, question, "en", HIDDEN[name])
            marks.append(same_answer(result.text, answer))
            if not name:
                confidences.append(result.confidence or None)
    return _hidden_rows(f"{key}.accuracy", right) | selective_rows(f"doubt.{key}", right[""], confidences)


def mini_rows(harness: Harness) -> Rows:
    """`video_qa.mini.accuracy` over real clips, its `.blind`, `.picture_only` and `.sound_only`, and `.contains`: the
    answer stands in the reply."""
    return attempt("video_qa.mini.accuracy", _clip_rows, harness, "video_qa.mini")


def _clip_rows(harness: Harness, key: str) -> Rows:
    right: dict[str, list[bool]] = {name: [] for name in HIDDEN}
    contains: list[bool] = []
    confidences: list[float | None] = []
    unread: set[str] = set()
    records = harness.take(videos(harness.data, harness.split))
    with tempfile.TemporaryDirectory() as folder:
        for record in harness.each(records, "real clips"):
            path = record.source.as_file(Path(folder))
            for name, modalities in HIDDEN.items():
                for question, answer in record.questions:
                    text, confidence = "", 0.0
                    try:
                        result = _asked(harness, path, question, "en", modalities)
                        text, confidence = result.text, result.confidence
                    except MediaError:
                        unread.add(record.id)
                    right[name].append(same_answer(text, answer))
                    if not name:
                        contains.append(holds_answer(text, answer))
                        confidences.append(confidence)
    rows = _hidden_rows(f"{key}.accuracy", right) | selective_rows(f"doubt.{key}", right[""], confidences)
    rows[f"{key}.contains"] = Row.accuracy(contains, "the answer stands in the reply")
    if unread:
        note = f"{len(unread)} clips could not be read and count as wrong"
        rows[f"{key}.accuracy"] = Row.accuracy(right[""], note)
    return rows
