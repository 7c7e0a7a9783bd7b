"""What a cosine means: the constants behind "nothing fits", measured per direction of search.

    python -m scripts.calibrate_search --data DIR [--split dev] [--model FOLDER]

prints, for each (query kind, hit kind), the cosine that one in fifty wrong hits reaches, and the slope with which the
logistic curve through one half there gives nine tenths to the median right hit; and the row "meaning", a logistic
regression that tells captions, their words and names of sounds from random letters (`engines.meaning`). They are copied
by hand into the model's `config.json`, table "search" of its calibration, since they belong to a model and change with
it.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.archives import PhotoRecord, SoundRecord, SpeechRecord, photos, sounds, speech
from engines.encoder import MediaEncoder
from engines.evaluation.harness import Harness
from engines.hosts import open_host
from engines.meaning import Meaning, random_texts
from engines.model import checkpoint
from engines.training.lexicon import sound_prompt

WRONG_ABOVE = 0.02
MEDIAN_FIT = 0.9
N_WORDS = 600


def curve(right: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """(midpoint, slope) of the logistic curve from cosines of right and of wrong pairs.

    Where right hits are no better than the best wrong ones the curve is as steep as the wrong ones are spread.
    """
    midpoint = float(np.quantile(wrong, 1.0 - WRONG_ABOVE))
    distance = max(float(np.median(right)) - midpoint, float(wrong.std()))
    return midpoint, float(np.log(MEDIAN_FIT / (1.0 - MEDIAN_FIT)) / distance)


def directions(harness: Harness) -> dict[tuple[str, str], tuple[float, float]]:
    """The curves of the directions that the data has right answers for."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    shown = harness.take(photos(harness.data, harness.split))
    photo = harness.vectors(shown, PhotoRecord.load, "photos")
    text = harness.vectors([record.captions["en"][0] for record in shown], str, "captions")
    found["text", "photo"] = found["photo", "text"] = _pairs(text @ photo.T, np.eye(len(shown), dtype=bool))
    heard = harness.take(sounds(harness.data, harness.split))
    sound = harness.vectors(heard, SoundRecord.load, "sounds")
    labels = np.array([record.label for record in heard])
    names = sorted(set(labels))
    named = harness.vectors([sound_prompt(name) for name in names], str, "names")
    found["text", "sound"] = _pairs(named @ sound.T, np.array(names)[:, None] == labels[None, :])
    alike = sound @ sound.T
    found["sound", "sound"] = _pairs(alike, (labels[:, None] == labels[None, :]) & ~np.eye(len(labels), dtype=bool))
    spoken = harness.take(
        [record for record in speech(harness.data, harness.split) if len(record.text.split()) >= 5], 200
    )
    said = harness.vectors(spoken, SpeechRecord.load, "speech")
    words = harness.vectors([record.text for record in spoken], str, "transcripts")
    same = np.array([[a.text == b.text for b in spoken] for a in spoken])
    found["text", "speech"] = found["speech", "text"] = _pairs(words @ said.T, same)
    return found


def meaning(harness: Harness, encoder: MediaEncoder) -> np.ndarray:
    """The weights of `engines.meaning.Meaning`, the constant first."""
    shown = harness.take(photos(harness.data, harness.split))
    latin = [
        text.lower() for record in shown for language in ("en", "de") for text in record.captions.get(language, ())
    ]
    words = Counter(word for text in latin for word in set(re.findall(r"[a-z]{3,}", text)))
    real = [word for word, n in words.most_common(N_WORDS) if n >= 3] + latin[:: len(latin) // N_WORDS + 1]
    real += encoder.model.config.events
    measure = Meaning((0.0, 0.0, 0.0), encoder.text_vector, encoder.tokenizer.encode)
    made = random_texts(len(real), seed=1)
    features = np.array([measure.features(text) for text in (*real, *made)])
    return logistic_regression(features, np.arange(len(features)) < len(real), penalty=1e-4)


def logistic_regression(features: np.ndarray, right: np.ndarray, *, penalty: float) -> np.ndarray:
    """Weights (d + 1,) of a logistic regression, the constant first. penalty: of the squared weights, an example."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0 / (penalty * len(features)), solver="newton-cholesky").fit(features, right > 0.5)
    return np.array([*model.intercept_, *model.coef_[0]])


def _pairs(cosines: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    return curve(cosines[right], cosines[~right])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure what a cosine in the shared space means.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--limit", type=int)
    args = parser.parse_args(arguments)
    host = open_host(args.model)
    try:
        for (query, hit), (midpoint, slope) in directions(Harness(host, args.data, args.split, args.limit)).items():
            print(f'"{query}-{hit}": [{midpoint:.3f}, {slope:.1f}],')
    finally:
        host.close()
    folder = checkpoint.BUILTIN if args.model == "builtin" else Path(args.model)
    encoder = MediaEncoder(checkpoint.load(folder))
    constant, cosine, n_bytes = meaning(Harness(host, args.data, args.split, args.limit), encoder)
    print(f'"meaning": [{constant:.2f}, {cosine:.2f}, {n_bytes:.2f}],')


if __name__ == "__main__":
    main()
