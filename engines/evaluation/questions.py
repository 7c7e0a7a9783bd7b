"""Questions about clips, each asked four times: as it is, without picture, without sound, and blind.

Composed clips are made on the fly of the split's photos, sounds and speech; the seed fixes them. Real clips come with
questions by people. An answer is right when it is the same but for case, punctuation and articles.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engines.archives import (
    DatasetMissing,
    PhotoRecord,
    SoundRecord,
    SpeechRecord,
    asked_photos,
    photos,
    sounds,
    speech,
    videos,
)
from engines.errors import MediaError
from engines.evaluation.bench import REASONS, Bench, Row, Rows, selective_rows, skipped
from engines.evaluation.metrics import accuracy, holds_answer, same_answer
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


def composed_rows(bench: Bench) -> Rows:
    """`video_qa.composed.accuracy`, its `.blind`, `.picture_only` and `.sound_only`, per kind, and in Chinese."""
    seen = photos(bench.data, bench.split)
    heard: list[SoundRecord | SpeechRecord] = []
    for part in (sounds, speech):
        try:
            heard += part(bench.data, bench.split)
        except DatasetMissing:
            continue  # there are questions left that need no such sound
    labels = ["speech" if isinstance(record, SpeechRecord) else record.label for record in heard]
    material = Material([photo_facts(record.captions.get("en", ())) for record in seen], labels)
    n = N_COMPOSED if bench.limit is None else min(bench.limit, N_COMPOSED)
    try:
        made = plans(material, n, "en", bench.seed)
        right = _answered(bench, made, seen, heard, HIDDEN)
    except (*REASONS, NothingToAsk) as reason:
        return {"video_qa.composed.accuracy": skipped(reason)}
    rows = _hidden_rows("video_qa.composed.accuracy", right)
    rows |= _kind_rows(made, right)
    rows |= _cost_rows(made, right)
    try:
        made = plans(material, max(n // 4, 1), "zh", bench.seed + 1)
        right = _answered(bench, made, seen, heard, {"": frozenset(), "blind": HIDDEN["blind"]})
        rows |= _hidden_rows("video_qa.composed.zh.accuracy", right)
    except REASONS as reason:
        rows["video_qa.composed.zh.accuracy"] = skipped(reason)
    return rows


def plans(material: Material, n: int, language: str, seed: int) -> list[ClipPlan]:
    """n plans, the kinds in turn, as far as the material has something for a kind."""
    rng = np.random.default_rng(seed)
    made: list[ClipPlan] = []
    for kind in (QUESTION_KINDS[i % len(QUESTION_KINDS)] for i in range(n)):
        try:
            made.append(plan(rng, material, kinds=(kind,), languages=(language,)))
        except NothingToAsk:
            continue
    if not made:
        raise NothingToAsk("the photos and sounds of the data do not suffice for a single question")
    return made


def _answered(
    bench: Bench,
    plans: Sequence[ClipPlan],
    seen: Sequence[PhotoRecord],
    heard: Sequence[SoundRecord | SpeechRecord],
    hidden: Mapping[str, frozenset[Modality]],
) -> dict[str, list[bool]]:
    """Whether each plan's question was answered right, by what was hidden."""
    right: dict[str, list[bool]] = {name: [] for name in hidden}
    for made in bench.each(plans, "composed clips"):
        clip = render(made, lambda i: seen[i].load(), lambda i: heard[i].load())
        for name, modalities in hidden.items():
            right[name].append(_is_right(bench, clip, made.question, made.answer, made.language, modalities))
    return right


def _is_right(bench: Bench, media: Media, question: str, answer: str, language: str, hide: frozenset[Modality]) -> bool:
    return same_answer(_asked(bench, media, question, language, hide).text, answer, language)


def _asked(bench: Bench, media: Media, question: str, language: str, hide: frozenset[Modality]) -> AskResult:
    return bench.ask(AskRequest(media=media, question=question, language=language, hide=hide), AskResult)


def _hidden_rows(key: str, right: Mapping[str, Sequence[bool]]) -> Rows:
    return {f"{key}.{name}".rstrip("."): _accuracy_row(marks) for name, marks in right.items()}


def _accuracy_row(marks: Sequence[bool], note: str = "") -> Row:
    value, interval = accuracy(sum(marks), len(marks))
    return Row(value, len(marks), interval=interval, note=note)


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
            rows[f"video_qa.composed.{kind}.accuracy"] = _accuracy_row([right[""][i] for i in own], note)
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


def photo_rows(bench: Bench) -> Rows:
    """`photo_qa.<corpus>.accuracy` over photos with questions by people, and its `.blind`."""
    rows: Rows = {}
    records = asked_photos(bench.data, bench.split)
    for corpus in sorted({record.corpus for record in records}):
        pairs = [(record, *pair) for record in records if record.corpus == corpus for pair in record.questions]
        key = f"photo_qa.{corpus}"
        right: dict[str, list[bool]] = {"": [], "blind": []}
        sure: list[float | None] = []
        try:
            for record, question, answer in bench.each(bench.take(pairs), f"photo questions, {corpus}"):
                photo = record.load()
                for name, marks in right.items():
                    result = _asked(bench, photo, question, "en", HIDDEN[name])
                    marks.append(same_answer(result.text, answer))
                    if not name:
                        sure.append(result.confidence or None)
        except REASONS as reason:
            rows[f"{key}.accuracy"] = skipped(reason)
            continue
        rows |= _hidden_rows(f"{key}.accuracy", right) | selective_rows(f"doubt.{key}", right[""], sure)
    return rows


def mini_rows(bench: Bench) -> Rows:
    """`video_qa.mini.accuracy` over real clips, its `.blind`, `.picture_only` and `.sound_only`, and `.contains`: the
    answer stands in the reply."""
    right: dict[str, list[bool]] = {name: [] for name in HIDDEN}
    contains: list[bool] = []
    sure: list[float | None] = []
    unread: set[str] = set()
    try:
        records = bench.take(videos(bench.data, bench.split))
        with tempfile.TemporaryDirectory() as folder:
            for record in bench.each(records, "real clips"):
                path = record.source.as_file(Path(folder))
                for name, modalities in HIDDEN.items():
                    for question, answer in record.questions:
                        text, confidence = "", 0.0
                        try:
                            result = _asked(bench, path, question, "en", modalities)
                            text, confidence = result.text, result.confidence
                        except MediaError:
                            unread.add(record.id)
                        right[name].append(same_answer(text, answer))
                        if not name:
                            contains.append(holds_answer(text, answer))
                            sure.append(confidence)
    except REASONS as reason:
        return {"video_qa.mini.accuracy": skipped(reason)}
    rows = _hidden_rows("video_qa.mini.accuracy", right) | selective_rows("doubt.video_qa.mini", right[""], sure)
    rows["video_qa.mini.contains"] = _accuracy_row(contains, "the answer stands in the reply")
    if unread:
        note = f"{len(unread)} clips could not be read and count as wrong"
        rows["video_qa.mini.accuracy"] = _accuracy_row(right[""], note)
    return rows
