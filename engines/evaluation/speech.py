"""Speech to text: word errors per corpus, words invented where nobody speaks, words lost after repetitions, speech to
another language.

Where the data has no voices a text is spoken by espeak-ng or flite; rows that rest on that say so.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

import numpy as np

from engines.archives import (
    MAYBE_SPOKEN,
    DatasetMissing,
    SoundRecord,
    SpeechRecord,
    decode_sound,
    pairs,
    sounds,
    speech,
)
from engines.evaluation.harness import REASONS, Harness, Row, Rows, attempt, skipped
from engines.evaluation.metrics import MissingTool, bleu, word_error_rate, word_errors
from engines.protocol import RATE_HZ, Sound, TranscribeRequest, TranscribeResult
from engines.text import normalise
from engines.training.lexicon import LEXICON

MAX_CLIPS = 300
"""Maximum clips per corpus: half an hour to an hour of sound each."""

N_MADE, MADE_S = 100, 5.0
"""Number and length of synthetic sounds of silence, noise, hum and chords."""

CAPTIONS = "multi30k"
"""The corpus whose sentences are spoken to be translated."""

MAX_TRANSLATED = 200


def speech_rows(harness: Harness) -> Rows:
    """`speech.<corpus>.word_error_rate`, and `speech.silence.invented_words` over sounds without speech."""
    rows: Rows = {}
    try:
        records = [record for record in speech(harness.data, harness.split) if harness.wants(record.corpus)]
    except REASONS as reason:
        records, rows["speech.word_error_rate"] = [], skipped(reason)
    for corpus, own in harness.by_corpus(records, MAX_CLIPS):
        key = f"speech.{corpus}.word_error_rate"
        rows |= attempt(key, _error_rows, harness, key, own)
    if harness.wants("silence"):
        rows |= attempt("speech.silence.invented_words", _invented_rows, harness)
    return rows


def _error_rows(harness: Harness, key: str, records: list[SpeechRecord]) -> Rows:
    heard = harness.each(records, records[0].corpus)
    errors = [errors_of(harness.transcribe(record.load(), record.language), record) for record in heard]
    rate, interval = word_error_rate(errors)
    note = f"{sum(n for _, n in errors)} words, {records[0].language}"
    return {key: Row(rate, len(records), interval=interval, note=note)}


def errors_of(written: str, record: SpeechRecord) -> tuple[int, int]:
    """(errors, words in the reference) of a transcript, without case and punctuation."""
    return word_errors(normalise(written, record.language), normalise(record.text, record.language))


def _invented_rows(harness: Harness) -> Rows:
    """Words written for sounds in which nobody speaks; the right number is 0."""
    note = "silence, noise, hum and chords, made"
    records: list[SoundRecord] = []
    try:
        voiceless = [record for record in sounds(harness.data, harness.split) if record.label not in MAYBE_SPOKEN]
        records = harness.take(voiceless, N_MADE)
        note += f"; {len(records)} sounds of the data without voices"
    except DatasetMissing as reason:
        note += f" ({reason})"
    made = harness.take(made_silence(np.random.default_rng(harness.seed), N_MADE))
    counts = [_n_words(harness, sound) for sound in harness.each(made, "silence and noise")]
    counts += [_n_words(harness, record.load()) for record in harness.each(records, "sounds without voices")]
    note += f"; words in {sum(count > 0 for count in counts)} of {len(counts)}"
    return {"speech.silence.invented_words": Row(float(sum(counts)), len(counts), "words", note=note)}


def _n_words(harness: Harness, sound: Sound) -> int:
    return len(normalise(harness.transcribe(sound), "en").split())


def made_silence(rng: np.random.Generator, n: int) -> list[Sound]:
    """Sounds without speech: digital silence, white, pink and brown noise, mains hum, chords that come and go."""
    times_s = np.arange(round(MADE_S * RATE_HZ)) / RATE_HZ
    made = []
    for i in range(n):
        level = 10.0 ** rng.uniform(-3.0, -0.7)
        match i % 6:
            case 0:
                samples, level = np.zeros_like(times_s), 1.0
            case 1 | 2 | 3 as slope:  # amplitude falls with frequency to the power 0, 1/2, 1
                spectrum = np.fft.rfft(rng.standard_normal(len(times_s)))
                spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** ((slope - 1) / 2)
                samples = np.fft.irfft(spectrum, len(times_s))
            case 4:
                samples = np.sum([np.sin(2 * np.pi * 50.0 * k * times_s) / k for k in range(1, 6)], 0)
            case _:
                notes_hz = 220.0 * 2.0 ** (rng.choice([0, 2, 4, 7, 9, 12, 16], 3, replace=False) / 12)
                samples = np.sum([np.sin(2 * np.pi * hz * times_s) for hz in notes_hz], 0)
                samples = samples * np.abs(np.sin(2 * np.pi * rng.uniform(0.2, 1.0) * times_s))
        peak = max(float(np.abs(samples).max()), 1e-9)
        made.append(Sound((level * samples / peak).astype(np.float32)))
    return made


def speech_translation_rows(harness: Harness) -> Rows:
    """`speech_translation.<corpus>.en_<target>.bleu` by a synthetic voice, beside the same sentences read as text."""
    rows: Rows = {}
    for target in ("de", "fr"):
        key = f"speech_translation.{CAPTIONS}.en_{target}"
        rows |= attempt(f"{key}.bleu", _spoken_translation_rows, harness, key, target)
    return rows


def _spoken_translation_rows(harness: Harness, key: str, target: str) -> Rows:
    found = [pair for pair in pairs(harness.data, f"en-{target}", harness.split) if pair.corpus == CAPTIONS]
    if not found:
        raise DatasetMissing(f"the data has no {CAPTIONS} pairs en-{target} of the split {harness.split}")
    own = harness.take(found, MAX_TRANSLATED)
    heard, read = [], []
    for pair in harness.each(own, f"speech translation, {target}"):
        request = TranscribeRequest(media=synthesise(pair.source), language="en", translate_to=target)
        heard.append(harness.ask(request, TranscribeResult).translation)
        read.append(harness.translate(pair.source, "en", target))
    references = [[pair.target] for pair in own]
    return {
        f"{key}.bleu": Row(bleu(heard, references), len(own), "points", note=f"synthetic voice: {VOICE}"),
        f"{key}.text_in.bleu": Row(bleu(read, references), len(own), "points", note="the same sentences as text"),
    }


# --- synthetic voices ---------------------------------------------------------------------------------------------

VOICE = "espeak-ng en-us"
"""One plain voice, so that rows of different models compare; training hears many others beside it."""


def synthesise(text: str, voice: str = VOICE) -> Sound:
    """A text, spoken. voice: a program, espeak-ng or flite, and one of its voices. Raises MissingTool without it."""
    program, name = voice.split()
    path = shutil.which(program)
    if path is None:
        raise MissingTool(f"{program} is not installed")
    if program == "flite":
        command = [path, "-voice", name, "-t", text, "-o", "/dev/stdout"]
    else:
        command = [path, "-v", name, "--stdin", "--stdout"]
    spoken = subprocess.run(command, input=text.encode(), capture_output=True, check=True)
    return decode_sound(spoken.stdout, "synthetic speech")


# --- repetitions -----------------------------------------------------------------------------------------------------

# A decoder that falls into a loop may swallow the rest of what is said. The texts are generated and spoken by synthetic
# voices that no training has heard: flite's, and variants of espeak-ng beside those of `scripts.make_voices`.

N_TEXTS = 200
VOICES = (
    *("flite slt", "flite rms", "flite awb", "flite kal16"),
    *("espeak-ng en-us+klatt3", "espeak-ng en-gb-x-gbclan", "espeak-ng en-us+linda", "espeak-ng en-gb+steph"),
)
TEXTS: dict[str, list[str]] = LEXICON["repetition"]


@dataclass(frozen=True)
class RepetitiveText:
    """before: what is said before and during the repetition. after: what must not be lost. voice: program and voice."""

    before: str
    after: str
    voice: str


def repetitive_texts(rng: np.random.Generator, n: int = N_TEXTS) -> list[RepetitiveText]:
    """Texts in which a word, a phrase or a sentence is said 4 to 10, 3 to 7 or 3 to 6 times before another sentence."""
    found = []
    for i in range(n):
        match i % 4:
            case 0 | 1:
                word, turns = str(rng.choice(TEXTS["words"])), int(rng.integers(4, 11))
                joint = " " if i % 4 else ", "
                before = _sentence(joint.join([word] * turns))
            case 2:
                before = _sentence(", ".join([str(rng.choice(TEXTS["phrases"]))] * int(rng.integers(3, 8))))
            case _:
                before = " ".join([str(rng.choice(TEXTS["sentences"]))] * int(rng.integers(3, 7)))
        if rng.random() < 0.3:
            before = f"{rng.choice(TEXTS['endings'])} {before}"
        after = [str(ending) for ending in rng.choice(TEXTS["endings"], int(rng.integers(1, 3)), replace=False)]
        found.append(RepetitiveText(before, " ".join(after), VOICES[i % len(VOICES)]))
    return found


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def repetition_rows(harness: Harness) -> Rows:
    """`repetition.words_lost`: of those after the repetition; `repetition.texts_cut_short`: those that lose half."""
    return attempt("repetition.words_lost", _repetition_rows, harness)


def _repetition_rows(harness: Harness) -> Rows:
    texts = harness.take(repetitive_texts(np.random.default_rng(harness.seed)))
    n_lost = n_words = n_cut_short = 0
    for text in harness.each(texts, "repetition"):
        written = harness.transcribe(synthesise(f"{text.before} {text.after}", text.voice), "en")
        before, after = (normalise(part, "en").split() for part in (text.before, text.after))
        lost = words_lost(before, after, normalise(written, "en").split())
        n_lost, n_words = n_lost + lost, n_words + len(after)
        n_cut_short += 2 * lost >= len(after)
    note = f"{n_words} words; synthetic voices: {', '.join(VOICES)}"
    return {
        "repetition.words_lost": Row(100.0 * n_lost / n_words, len(texts), note=note),
        "repetition.texts_cut_short": Row(100.0 * n_cut_short / len(texts), len(texts), note=note),
    }


def words_lost(before: list[str], after: list[str], written: list[str]) -> int:
    """How many words of `after` have no counterpart in `written`, by the best alignment with `before + after`.

    A word heard as another one counts as heard. Of equally good alignments the one that loses fewest of `after` counts.
    """
    said = before + after
    cost = np.zeros((len(said) + 1, len(written) + 1, 2), np.int64)  # edits, lost words of `after`
    cost[:, 0, 0] = np.arange(len(said) + 1)
    cost[:, 0, 1] = np.maximum(np.arange(len(said) + 1) - len(before), 0)
    cost[0, :, 0] = np.arange(len(written) + 1)
    for i in range(1, len(said) + 1):
        for j in range(1, len(written) + 1):
            edit = int(said[i - 1] != written[j - 1])
            choices = (
                cost[i - 1, j - 1] + (edit, 0),
                cost[i - 1, j] + (1, int(i > len(before))),
                cost[i, j - 1] + (1, 0),
            )
            cost[i, j] = min(choices, key=lambda choice: tuple(choice.tolist()))
    return int(cost[-1, -1, 1])
