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

from engines.archives import MissingPart, PhotoRecord, SoundRecord, SpeechRecord, photos, sounds, speech, videos
from engines.errors import MediaError
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import accuracy, same_answer
from engines.protocol import AskRequest, AskResult, Media, Sense
from engines.training.clips import ClipPlan, NothingToAsk, plan, render
from engines.training.facts import photo_facts
from engines.training.questions import KINDS, Material

N_COMPOSED = 20 * len(KINDS)
"""As many of each kind."""

HIDDEN: Mapping[str, frozenset[Sense]] = {
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
        except MissingPart:
            continue  # there are questions left that need no such sound
    labels = ["speech" if isinstance(record, SpeechRecord) else record.label for record in heard]
    material = Material([photo_facts(record.captions.get("en", ())) for record in seen], labels)
    n = N_COMPOSED if bench.limit is None else min(bench.limit, N_COMPOSED)
    try:
        plans = _plans(material, n, "en", bench.seed)
        right = _answered(bench, plans, seen, heard, HIDDEN)
    except (*REASONS, NothingToAsk) as reason:
        return {"video_qa.composed.accuracy": skipped(reason)}
    rows = _hidden_rows("video_qa.composed.accuracy", right)
    rows |= _kind_rows(plans, right)
    rows |= _cost_rows(plans, right)
    try:
        plans = _plans(material, max(n // 4, 1), "zh", bench.seed + 1)
        right = _answered(bench, plans, seen, heard, {"": frozenset(), "blind": HIDDEN["blind"]})
        rows |= _hidden_rows("video_qa.composed.zh.accuracy", right)
    except REASONS as reason:
        rows["video_qa.composed.zh.accuracy"] = skipped(reason)
    return rows


def _plans(material: Material, n: int, language: str, seed: int) -> list[ClipPlan]:
    """n plans, the kinds in turn, as far as the material has something for a kind."""
    rng = np.random.default_rng(seed)
    plans: list[ClipPlan] = []
    for kind in (KINDS[i % len(KINDS)] for i in range(n)):
        try:
            plans.append(plan(rng, material, kinds=(kind,), languages=(language,)))
        except NothingToAsk:
            continue
    if not plans:
        raise NothingToAsk("the photos and sounds of the data do not suffice for a single question")
    return plans


def _answered(
    bench: Bench,
    plans: Sequence[ClipPlan],
    seen: Sequence[PhotoRecord],
    heard: Sequence[SoundRecord | SpeechRecord],
    hidden: Mapping[str, frozenset[Sense]],
) -> dict[str, list[bool]]:
    """Whether each plan's question was answered right, by what was hidden."""
    right: dict[str, list[bool]] = {name: [] for name in hidden}
    for made in bench.each(plans, "composed clips"):
        clip = render(made, lambda i: seen[i].load(), lambda i: heard[i].load())
        for name, senses in hidden.items():
            right[name].append(_is_right(bench, clip, made.question, made.answer, made.language, senses))
    return right


def _is_right(bench: Bench, media: Media, question: str, answer: str, language: str, hide: frozenset[Sense]) -> bool:
    request = AskRequest(media=media, question=question, language=language, hide=hide)
    return same_answer(bench.ask(request, AskResult).text, answer, language)


def _hidden_rows(key: str, right: Mapping[str, Sequence[bool]]) -> Rows:
    return {f"{key}.{name}".rstrip("."): _accuracy_row(marks) for name, marks in right.items()}


def _accuracy_row(marks: Sequence[bool], note: str = "") -> Row:
    value, interval = accuracy(sum(marks), len(marks))
    return Row(value, len(marks), interval=interval, note=note)


def _kind_rows(plans: Sequence[ClipPlan], right: Mapping[str, Sequence[bool]]) -> Rows:
    """Per kind of question, with what the senses alone and the commonest answer reach."""
    rows: Rows = {}
    for kind in KINDS:
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
    """How many points the loss of a sense costs on the questions that need it."""
    rows: Rows = {}
    senses: tuple[tuple[Sense, str], ...] = (("picture", "sound_only"), ("sound", "picture_only"))
    for sense, without in senses:
        own = [i for i, made in enumerate(plans) if sense in made.needs]
        if own:
            cost = 100.0 * (sum(right[""][i] for i in own) - sum(right[without][i] for i in own)) / len(own)
            rows[f"video_qa.composed.without_{sense}.cost"] = Row(cost, len(own), "points", note=f"{sense} hidden")
    return rows


def mini_rows(bench: Bench) -> Rows:
    """`video_qa.mini.accuracy` over real clips, and its `.blind`, `.picture_only` and `.sound_only`."""
    right: dict[str, list[bool]] = {name: [] for name in HIDDEN}
    unread: set[str] = set()
    try:
        records = bench.take(videos(bench.data, bench.split))
        with tempfile.TemporaryDirectory() as folder:
            for record in bench.each(records, "real clips"):
                path = record.source.as_file(Path(folder))
                for name, senses in HIDDEN.items():
                    for question, answer in record.questions:
                        try:
                            mark = _is_right(bench, path, question, answer, "en", senses)
                        except MediaError:
                            unread.add(record.id)
                            mark = False
                        right[name].append(mark)
    except REASONS as reason:
        return {"video_qa.mini.accuracy": skipped(reason)}
    rows = _hidden_rows("video_qa.mini.accuracy", right)
    if unread:
        note = f"{len(unread)} clips could not be read and count as wrong"
        rows["video_qa.mini.accuracy"] = _accuracy_row(right[""], note)
    return rows
