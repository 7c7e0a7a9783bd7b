"""Learn how likely a caption, an answer or a translation is right, and write it into a model's config.json.

    python -m scripts.calibrate_doubt DATA MODEL [--n 150] [--split dev] [--only translation]

A logistic regression per task on the features of `engines.tasks.doubt`. A caption counts as right when it holds an
accepted name of a photo of a known class, or, of an everyday photo, when its first noun stands in at least two of the
captions people wrote; an answer by exact match, of photos with questions and of composed clips; a translation of a
caption, an everyday sentence or a line of dialogue when it is as like the one people wrote as `ALIKE` says. "sure" is
the lowest probability above which the stated share is right. Prints a reliability table for the card.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sacrebleu
import torch

from engines import archives
from engines.encoder import MediaEncoder
from engines.evaluation.metrics import same_answer
from engines.evaluation.questions import plans
from engines.evaluation.suites import accepted_names, holds_name
from engines.model import checkpoint
from engines.tasks import ask, caption, doubt, translate
from engines.training.clips import render
from engines.training.content_words import nouns
from engines.training.lexicon import photo_facts
from engines.training.questions import Material
from scripts.calibrate_search import logistic_regression

SURE = {"doubt.caption": 0.75, "doubt.answer": 0.6, "doubt.translation": 0.6}
"""Share of right results among those given without a warning, at least."""
PENALTY = 1e-2
ALIKE = {"zh": 20.0, "en": 40.0, "de": 40.0, "fr": 40.0}
"""chrF++ of a translation that counts as right, chrF for Chinese, whose texts have fewer characters to agree on."""


def captions(encoder: MediaEncoder, data: Path, split: str, n: int) -> Iterator[tuple[tuple[float, ...], bool]]:
    """Features of captions, and whether each is right."""
    accepted = accepted_names(archives.concepts(data), "en")
    for named in archives.named_photos(data, split)[:n]:
        encoded = encoder.encode(named.load())
        *_, best = caption.written(encoder, encoded, "en")
        right = holds_name(best.text, accepted[named.label], "en")
        yield doubt.caption_features(encoded, best.mean_logprob, best.closeness), right
    everyday = archives.photos(data, split)
    for photo in everyday[:: max(1, len(everyday) // n)][:n]:
        encoded = encoder.encode(photo.load())
        *_, best = caption.written(encoder, encoded, "en")
        first = nouns(best.text, "en")[:1]
        right = bool(first) and sum(holds_name(text, (first[0],), "en") for text in photo.captions["en"]) >= 2
        yield doubt.caption_features(encoded, best.mean_logprob, best.closeness), right


def answers(encoder: MediaEncoder, data: Path, split: str, n: int) -> Iterator[tuple[tuple[float, ...], bool]]:
    """Features of answers about photos and composed clips, and whether each is right."""
    pairs = [(photo, *pair) for photo in archives.asked_photos(data, split) for pair in photo.questions]
    for photo, question, answer in pairs[:: max(1, len(pairs) // n)][:n]:
        yield _answer(encoder, photo.load(), question, answer)
    seen, heard = archives.photos(data, split), archives.sounds(data, split)
    material = Material([photo_facts(record.captions["en"]) for record in seen], [record.label for record in heard])
    for plan in plans(material, n, "en", 1):
        clip = render(plan, lambda i: seen[i].load(), lambda i: heard[i].load())
        yield _answer(encoder, clip, plan.question, plan.answer)


def _answer(encoder: MediaEncoder, media: object, question: str, answer: str) -> tuple[tuple[float, ...], bool]:
    encoded = encoder.encode(media)  # type: ignore[arg-type]
    *_, hypothesis = ask.answered(encoder, encoded, ask.streams_of(encoder, encoded, question, "en"), "en")
    right = same_answer(encoder.tokenizer.decode(hypothesis.ids), answer)
    return doubt.answer_features(encoded, hypothesis), right


def translations(encoder: MediaEncoder, data: Path, split: str, n: int) -> Iterator[tuple[tuple[float, ...], bool]]:
    """Features of translations in both directions, as many of each corpus, and whether each is right."""
    for pair in ("en-de", "en-fr", "en-zh"):
        found = archives.pairs(data, pair, split)
        corpora = sorted({record.corpus for record in found})
        for corpus in corpora:
            own = [record for record in found if record.corpus == corpus]
            for record in own[:: max(1, len(corpora) * len(own) * 2 // n)][: max(1, n // len(corpora) // 2)]:
                source, target = pair.split("-")
                yield from _translation(encoder, record.source, record.target, source, target)
                yield from _translation(encoder, record.target, record.source, target, source)


def _translation(
    encoder: MediaEncoder, text: str, right: str, source: str, target: str
) -> Iterator[tuple[tuple[float, ...], bool]]:
    *_, found = translate.of_text(encoder, text, source, target)
    features = doubt.translation_features(encoder, found.drafts)
    if features is not None:
        alike = sacrebleu.sentence_chrf(found.text, [right], word_order=0 if target == "zh" else 2).score
        yield features, alike >= ALIKE[target]


def threshold(probability: np.ndarray, right: np.ndarray, share: float) -> float:
    """The lowest probability above which at least this share is right."""
    for bar in np.arange(0.02, 0.99, 0.01):
        kept = right[probability >= bar]
        if len(kept) and kept.mean() >= share:
            return float(bar)
    return 0.98


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=150, help="of each kind of media")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--only", help="caption, answer or translation; the tables of the others stay")
    args = parser.parse_args()
    torch.set_num_threads(1)
    encoder = MediaEncoder(checkpoint.load(args.model), cache_bytes=1 << 26)
    path = args.model / checkpoint.CONFIG_FILE
    config = json.loads(path.read_text(encoding="utf-8"))
    tables = {"doubt.caption": captions, "doubt.answer": answers, "doubt.translation": translations}
    for table, examples in tables.items():
        if args.only not in (None, table.removeprefix("doubt.")):
            continue
        with torch.inference_mode():
            rows = list(examples(encoder, args.data, args.split, args.n))
        features, right = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], float)
        weights = logistic_regression(features, right, penalty=PENALTY)
        probability = 1.0 / (1.0 + np.exp(-np.clip(weights[0] + features @ weights[1:], -30, 30)))
        sure = threshold(probability, right, SURE[table])
        config["model"]["calibration"][table] = {"weights": weights.round(4).tolist(), "sure": [round(sure, 2)]}
        print(f"{table}: {len(rows)} examples, {100 * right.mean():.1f} % right, sure from {sure:.2f} on")
        for low in np.arange(0.0, 1.0, 0.2):
            kept = right[(probability >= low) & (probability < low + 0.2)]
            if len(kept):
                print(f"  said {100 * low:.0f} to {100 * low + 20:.0f} %: {len(kept)}, {100 * kept.mean():.0f} % right")
    path.write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
