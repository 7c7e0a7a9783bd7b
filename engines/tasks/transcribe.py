"""What is said in a sound or clip of any length: cut at pauses, written down, timed, and translated where asked.

Translation of speech is a cascade: each finished segment goes through the same model as text. Where the event head
hears no speech nothing is written, whatever the decoder would say. Where a text ends before its sound does, as one
that falls into a loop may, the rest of the sound is written by itself. Speech in none of the model's languages is
marked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from engines import media as files
from engines.align import align, end_of_text, spelt, spoken_words
from engines.decoding import DecodeOptions, Hypothesis, generate
from engines.encoder import SPEECH_THRESHOLD, TOKEN_S, MediaEncoder, check_length
from engines.errors import MediaError, Message
from engines.media.music import is_music
from engines.media.segment import MARGIN_S, QUIET_RMS, STEP_S, SpeechChunk, loudness, speech_chunks, trim
from engines.model.fusion import Memory, Stream
from engines.protocol import (
    RATE_HZ,
    Clip,
    Media,
    Pause,
    Progress,
    Segment,
    Sound,
    TranscribeRequest,
    TranscribeResult,
    Word,
)
from engines.tasks import doubt, translate
from engines.text import tidy

CHUNK_S = 5.0
PAUSE_S = 1.0
"""Shorter pauses are not reported."""
NO_SPEECH_THRESHOLD = 0.6
"""Above this probability of "no speech" a doubtful text is dropped, as Whisper does (Radford et al. 2022)."""
DOUBTFUL_LOGPROB = -1.0
GAP_S = 0.6
"""A pause between words that ends a segment, as between two sentences."""
SENTENCE_GAP_S = 0.15
"""A pause that ends a segment after a full stop."""
BEAM = 4
"""Texts followed side by side. With one, dev word errors are 14.0 instead of 12.0 % on LibriSpeech and 32.1 instead of
25.2 % on speechocean762 (`python -m engines.evaluation --only speech --limit 200`). A beam only where one text is
doubtful takes longer, as four texts cost little more than one; so do four chunks written at once."""
SPELT = 1.2
"""Bytes of what is said for each that the CTC head spells at its best guess: the median over dev speech, where nine
recordings in ten lie between 1 and 2."""
RUNAWAY = 1.5
RUNAWAY_BYTES = 10
LOOP_TOKENS_PER_S = 6
"""Nobody repeats a word faster, so a loop of up to this many tokens per second of sound may really have been said. With
the loops ended after four turns, three quarters of the words after a repetition are lost (`--only repetition`)."""
LEAST_REST = 8
"""Bytes that the CTC head spells after the end of a text before the rest of the sound is written by itself: none of 80
dev recordings has five."""
MAX_RESTS = 4
"""How often the rest of a chunk is taken up again."""
CUT = "…"
"""Marks where something was said that could not be written."""
OTHER_LANGUAGE = "other"
OTHER_LANGUAGE_TEXT = "[another language]"
"""What stands for speech in a language the model does not write, as subtitles have it."""
SURE_OF_LANGUAGE = 0.9
"""A chunk that is less surely of another language than the chunk before it is taken for that one's."""
UNCALIBRATED_LANGUAGE = (-0.4, -1.0, 0.2)
"""For a model without the row "other_language" in its table "speech"; see `_other_language`."""
READABLE_S = 7.0
READABLE_WIDTH = 84
"""A subtitle has two lines of 42 letters and stays at most 7 s, as broadcasters rule; a Chinese sign counts two."""


@dataclass(frozen=True)
class _Spoken:
    """A chunk of speech after the sound tower.

    log_probs: (T, 257), of the CTC head. language: the one to write in. languages: language -> probability, None where
    the language was given.
    """

    chunk: SpeechChunk
    memory: Memory
    log_probs: np.ndarray
    language: str
    languages: dict[str, float] | None


@dataclass(frozen=True)
class _Written:
    """The text of a chunk as far as it is written. cut: it ran in circles and was ended."""

    text: str
    hypothesis: Hypothesis
    cut: bool


def stream(encoder: MediaEncoder, request: TranscribeRequest) -> Iterator[TranscribeResult]:
    """Segments as they are made; while one is being written it stands last and grows. "empty": no speech at all."""
    language = request.language
    segments: tuple[Segment, ...] = ()
    pauses: tuple[Pause, ...] = ()
    total_s = heard_s = 0.0
    notes: tuple[Message, ...] = ()

    def result(growing: tuple[Segment, ...] = ()) -> TranscribeResult:
        return TranscribeResult(
            request=request,
            language=request.language or _commonest_language(segments + growing),
            duration_s=max(total_s, heard_s),
            segments=segments + growing,
            pauses=pauses,
            progress=Progress("listening", heard_s, max(total_s, heard_s), "s"),
            notes=notes,
        )

    shown = result()
    parts = chunks_of(request.media, request.track)
    for part in files.ahead(parts) if isinstance(request.media, Path) else parts:
        if part is None:  # it is being decoded, by others
            yield shown
            continue
        total_s, notes, whole = part
        yield result()
        rest, n_written = trim(whole), 0
        while rest is not None and n_written <= MAX_RESTS:
            spoken = _heard(encoder, rest, request.language, language)
            if spoken is None:
                break
            for written in _written(encoder, spoken):
                yield result((_whole_segment(spoken, written.text),) if written.text else ())
            if not written.text:
                break
            new, rest = _segments_of(encoder, spoken, written)
            for segment in new:
                for done in _translated(encoder, segment, request.translate_to):
                    yield result((done,))
                segments += (done,)
            language = language if segments[-1].language == OTHER_LANGUAGE else spoken.language
            n_written += 1
        if n_written and rest is not None:  # something more is said that could not be written
            segments = (*segments[:-1], replace(segments[-1], text=segments[-1].text + CUT))
        heard_s = whole.end_s
        segments = tuple(sorted(segments, key=lambda segment: segment.start_s))  # a rest may begin before its end
        pauses = joined_pauses((*pauses, *pauses_in(whole, segments)))
        shown = result()
    yield replace(result(), duration_s=heard_s, progress=None, end="finished" if segments else "empty")


def pauses_in(chunk: SpeechChunk, segments: Sequence[Segment]) -> Iterator[Pause]:
    """The stretches of a chunk that no segment covers, `PAUSE_S` or longer, and what is heard in them."""
    at_s = chunk.start_s
    for start_s, end_s in [*((segment.start_s, segment.end_s) for segment in segments), (chunk.end_s, chunk.end_s)]:
        if start_s - at_s >= PAUSE_S:
            first, last = (round((edge_s - chunk.start_s) * RATE_HZ) for edge_s in (at_s, start_s))
            yield from _heard_in(SpeechChunk(at_s, chunk.samples[first:last]))
        at_s = max(at_s, end_s)


def _heard_in(part: SpeechChunk) -> Iterator[Pause]:
    """What is heard in a stretch without speech: silence of `PAUSE_S` or longer at its ends, and the rest between."""
    is_loud = loudness(part.samples) >= QUIET_RMS
    margin = round(MARGIN_S / STEP_S)  # a word ends a little after its time
    is_loud[:margin] = is_loud[-margin:] = False
    loud_s = np.flatnonzero(is_loud) * STEP_S
    if len(loud_s) == 0:
        yield Pause(part.start_s, part.end_s, "silence")
        return
    start_s, end_s = part.start_s + float(loud_s[0]), part.start_s + float(loud_s[-1]) + STEP_S
    start_s = start_s if start_s - part.start_s >= PAUSE_S else part.start_s
    end_s = end_s if part.end_s - end_s >= PAUSE_S else part.end_s
    if start_s > part.start_s:
        yield Pause(part.start_s, start_s, "silence")
    first, last = (round((edge_s - part.start_s) * RATE_HZ) for edge_s in (start_s, end_s))
    yield Pause(start_s, end_s, "music" if is_music(part.samples[first:last]) else "other")
    if end_s < part.end_s:
        yield Pause(end_s, part.end_s, "silence")


def joined_pauses(pauses: Sequence[Pause]) -> tuple[Pause, ...]:
    """Pauses in order, those that go on from one chunk to the next with the same in them as one."""
    joined: list[Pause] = []
    for pause in pauses:
        if joined and joined[-1].heard == pause.heard and pause.start_s - joined[-1].end_s < TOKEN_S:
            joined[-1] = replace(joined[-1], end_s=pause.end_s)
        else:
            joined.append(pause)
    return tuple(joined)


def _commonest_language(segments: Sequence[Segment]) -> str:
    """The language most of the time is spoken in; "" before anything is said, or where it is none of the model's."""
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.language != OTHER_LANGUAGE:
            seconds[segment.language] = seconds.get(segment.language, 0.0) + segment.end_s - segment.start_s
    return max(seconds, key=lambda language: seconds[language], default="")


def _translated(encoder: MediaEncoder, segment: Segment, target: str | None) -> Iterator[Segment]:
    """The segment as its translation grows; the last one is whole. Unchanged where there is nothing to translate."""
    if target is None or segment.language == OTHER_LANGUAGE:
        yield segment
        return
    found = translate.Translation("")
    for found in translate.growing(encoder, segment.text, segment.language, target):
        yield replace(segment, translation=found.text)
    judgement = doubt.translation(encoder, found.drafts)
    yield replace(
        segment,
        translation=found.text,
        translation_confidence=judgement.confidence,
        translation_unsure=judgement.unsure,
    )


def chunks_of(media: Media, track: int) -> Iterator[tuple[float, tuple[Message, ...], SpeechChunk]]:
    """The sound of a medium in chunks of at most 15 s, each with the seconds of the whole and how the file was read.

    Raises MediaError.
    """
    if isinstance(media, Path):
        info = files.probe_sound(media, track=track)
        for chunk in speech_chunks(files.stream_sound(media, chunk_s=CHUNK_S, track=track)):
            yield info.duration_s, info.notes, chunk
        return
    sound = media if isinstance(media, Sound) else media.sound if isinstance(media, Clip) else None
    if sound is None or len(sound.samples) == 0:
        raise MediaError(
            "nothing_to_transcribe",
            "There is no sound in this to write down; choose a sound, or a clip with a sound track.",
        )
    check_length(sound)
    for chunk in speech_chunks(iter([files.resample(sound.samples, sound.rate_hz)])):
        yield sound.duration_s, sound.notes, chunk


def _heard(encoder: MediaEncoder, chunk: SpeechChunk, asked: str | None, before: str | None) -> _Spoken | None:
    """A chunk after the sound tower, None where nobody speaks. asked: its language, None to find it out. before: the
    language of the chunk before."""
    heard = encoder.hear(chunk.samples)
    if encoder.speech_probability(heard) < SPEECH_THRESHOLD:
        return None
    memory = encoder.model.fuse([Stream("sound", heard.last, heard.mask)])
    n_tokens = round(len(chunk.samples) / RATE_HZ / TOKEN_S)  # no word is said in the silence after them
    log_probs = encoder.model.ctc(heard.last[:, :n_tokens])[0].cpu().numpy()
    if asked is not None:
        return _Spoken(chunk, memory, log_probs, asked, None)
    languages = encoder.language_probabilities(memory)
    likeliest = max(languages, key=lambda language: languages[language])
    keeps = before is not None and languages[likeliest] < SURE_OF_LANGUAGE
    return _Spoken(chunk, memory, log_probs, before if keeps and before else likeliest, languages)


def _written(encoder: MediaEncoder, spoken: _Spoken) -> Iterator[_Written]:
    """The text as it grows, to where it runs away; the last one is "" where the decoder doubts that anybody spoke."""
    seconds = len(spoken.chunk.samples) / RATE_HZ
    options = DecodeOptions(
        task="transcribe",
        beam=BEAM,
        max_new=min(24 + round(12 * seconds), 320),
        no_repeat=0,
        loop_tokens=round(LOOP_TOKENS_PER_S * seconds),
    )
    prefix = torch.tensor([encoder.tokenizer.prefix("transcribe", spoken.language)])
    n_bytes = spelt(spoken.log_probs)
    for (hypothesis,) in generate(encoder.model, spoken.memory, prefix, encoder.tokenizer, options):
        text = tidy(encoder.tokenizer.decode(hypothesis.ids), spoken.language)
        said = unlooped(text, n_bytes, spoken.language)
        yield _Written(said, hypothesis, hypothesis.looped or said != text)
        if said != text:
            return
    if hypothesis.no_speech > NO_SPEECH_THRESHOLD and hypothesis.mean_logprob < DOUBTFUL_LOGPROB:
        yield _Written("", hypothesis, cut=False)


def _segments_of(encoder: MediaEncoder, spoken: _Spoken, written: _Written) -> tuple[list[Segment], SpeechChunk | None]:
    """What was written of a chunk as segments, and the rest of the chunk that is still to be written, if any."""
    text, hypothesis = written.text, written.hypothesis
    if spoken.languages is not None and _other_language(encoder, spoken.languages, hypothesis):
        return [replace(_whole_segment(spoken, OTHER_LANGUAGE_TEXT), language=OTHER_LANGUAGE)], None
    rest = _rest(spoken, text)
    if written.cut and rest is None:
        text += CUT
    words = _with_confidence(encoder, align(spoken.log_probs, text, spoken.language, TOKEN_S), hypothesis)
    return list(_segments(text, words, spoken.chunk, spoken.language)), rest


def _other_language(encoder: MediaEncoder, languages: dict[str, float], hypothesis: Hypothesis) -> bool:
    """Whether speech is in none of the model's languages: it is unsure of the language, and of what it writes.

    The model's calibration table "speech" has the row "other_language": a bias, and the weights of the mean
    log-probability of the text and of log10(1 - p), p being the probability of the likeliest language. Above 0 the
    language is another one. Measured on synthetic voices (es, it, ru, ja, pt, pl, nl, ko, tr against en, de, fr, zh)
    and on dev speech of natives and learners.
    """
    table = encoder.model.config.calibration.get("speech", {})
    bias, by_logprob, by_doubt = table.get("other_language", UNCALIBRATED_LANGUAGE)
    doubt = math.log10(max(1.0 - max(languages.values()), 1e-6))
    return bias + by_logprob * hypothesis.mean_logprob + by_doubt * doubt > 0.0


def _rest(spoken: _Spoken, text: str) -> SpeechChunk | None:
    """The part of a chunk after the sound of its text, None where little is said in it."""
    end = end_of_text(spoken.log_probs, text, spoken.language)
    if end is None or spelt(spoken.log_probs[end:]) < LEAST_REST:
        return None
    start = round(end * TOKEN_S * RATE_HZ)
    return trim(SpeechChunk(spoken.chunk.start_s + start / RATE_HZ, spoken.chunk.samples[start:]))


def _with_confidence(encoder: MediaEncoder, words: Sequence[Word], hypothesis: Hypothesis) -> tuple[Word, ...]:
    """Words with the probability that they are right, from that of their tokens.

    The row "word_confidence" of the model's calibration table "speech" holds a bias and the weight of the mean
    log-probability of a word's tokens, for the logistic function; without it the confidence is the mean probability.
    On 947 words of dev speech, 91 % of them right, the ten bins of confidence are off by 2.6 points in the mean.
    """
    table = encoder.model.config.calibration.get("speech", {})
    logprobs = _letter_logprobs(encoder, hypothesis)
    found, start = [], 0
    for word in words:
        n = len("".join(word.text.split()))
        of_word = logprobs[start : start + n] or logprobs[-1:] or [0.0]
        mean, start = sum(of_word) / len(of_word), start + n
        if "word_confidence" in table:
            bias, weight = table["word_confidence"]
            confidence = 1.0 / (1.0 + math.exp(-bias - weight * mean))
        else:
            confidence = math.exp(mean)
        found.append(replace(word, confidence=confidence))
    return tuple(found)


def _letter_logprobs(encoder: MediaEncoder, hypothesis: Hypothesis) -> list[float]:
    """For each letter of a text, blanks left out, the log-probability of the token that it ends in."""
    letters: list[float] = []
    for n, logprob in enumerate(hypothesis.logprobs, 1):
        n_letters = len("".join(encoder.tokenizer.decode(hypothesis.ids[:n]).split()))
        letters = letters[:n_letters] + [logprob] * (n_letters - len(letters))
    return letters


def _whole_segment(spoken: _Spoken, text: str) -> Segment:
    return Segment(spoken.chunk.start_s, spoken.chunk.end_s, text, language=spoken.language)


def unlooped(text: str, n_bytes: int, language: str) -> str:
    """A text without what it only says over again, once it is longer than its sound can hold.

    n_bytes: what the CTC head spells of the sound. A decoder may turn in circles that never quite close ("two one one
    two one one one"); the sound's own spelling tells where the first of them ended.
    """
    words = spoken_words(text, language)
    ends = np.cumsum([len(spoken.encode()) + (language != "zh") for _, spoken in words])
    if not words or ends[-1] <= RUNAWAY * n_bytes + RUNAWAY_BYTES:
        return text
    cut = 1 + int(np.abs(ends - SPELT * n_bytes).argmin())
    if {spoken for _, spoken in words[cut:]} - {spoken for _, spoken in words[:cut]}:
        return text
    return ("" if language == "zh" else " ").join(written for written, _ in words[:cut])


def _segments(text: str, words: Sequence[Word], chunk: SpeechChunk, language: str) -> Iterator[Segment]:
    """A chunk's text as segments fit to be read, with times from the start of the whole sound."""
    if not text:
        return
    if not words:  # the text could not be aligned: it is spread over the chunk as a whole
        yield Segment(chunk.start_s, chunk.end_s, text, language=language)
        return
    placed = [replace(w, start_s=chunk.start_s + w.start_s, end_s=chunk.start_s + w.end_s) for w in words]
    for group in _readable(placed, language):
        known = [word.confidence for word in group if word.confidence is not None]
        yield Segment(
            group[0].start_s,
            group[-1].end_s,
            _joined(group, language),
            tuple(group),
            language=language,
            confidence=sum(known) / len(known) if known else None,
        )


def _readable(words: list[Word], language: str) -> list[list[Word]]:
    """Words in groups: cut at every long pause, then at the best place until each group can be read at a glance."""
    cuts = [
        i
        for i in range(1, len(words))
        if _gap_s(words, i) > (SENTENCE_GAP_S if _ends_sentence(words[i - 1]) else GAP_S)
    ]
    if cuts:
        edges = [0, *cuts, len(words)]
        groups = [words[a:b] for a, b in pairwise(edges)]
        return [part for group in groups for part in _readable(group, language)]
    width = len(_joined(words, language)) * (2 if language == "zh" else 1)
    if len(words) < 2 or (width <= READABLE_WIDTH and words[-1].end_s - words[0].start_s <= READABLE_S):
        return [words]
    # Commas count for half a second of pause, full stops for one; the middle is liked, the ends are not.
    cut = max(range(1, len(words)), key=lambda i: _gap_s(words, i) + _mark(words[i - 1]) - abs(2 * i / len(words) - 1))
    return _readable(words[:cut], language) + _readable(words[cut:], language)


def _gap_s(words: Sequence[Word], i: int) -> float:
    return words[i].start_s - words[i - 1].end_s


def _ends_sentence(word: Word) -> bool:
    return word.text.rstrip("\"'»”’」』）)").endswith((".", "!", "?", "…", "。", "！", "？"))


def _mark(word: Word) -> float:
    return 1.0 if _ends_sentence(word) else 0.5 if word.text.endswith((",", ";", ":", "，", "；", "：", "、")) else 0.0


def _joined(words: Sequence[Word], language: str) -> str:
    return ("" if language == "zh" else " ").join(word.text for word in words)
