"""A question about a clip, a photo or a sound, answered from its frames and its sound.

The model is asked in English or Chinese, the languages it was trained to answer in; German and French questions and
answers go through translation. After the answer the same pieces are scored again with one modality, and with one moment
after another, taken away: what the answer loses is what it rests on.

What is written in a picture is read from it, where the extra `ocr` is installed (`engines.tasks.reading`).

What nobody can tell is not guessed at: a question about sound where there is none, or about the picture where it is
hidden, is answered by saying so. What is said in a clip is read from its transcript, and what a thing is called from
the concept head where that knows a name, not from the model's answers.

A question about a photo whose answer is among those that people often give is answered by a classifier of such answers
and the decoder together (`classified`); all other answers are written by the decoder.

Each question is answered by itself: `AskRequest.history` is for hosts whose model was trained on conversations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from engines.decoding import DecodeOptions, Hypothesis, generate
from engines.encoder import Encoded, MediaEncoder
from engines.model.answer_head import OTHER
from engines.model.fusion import Memory, Stream
from engines.protocol import AskRequest, AskResult, CaptionResult, Modality, Progress
from engines.tasks import doubt, reading, translate
from engines.text import with_capitals

ASKED_IN = ("en", "zh")
OPTIONS = DecodeOptions(task="answer", beam=3, max_new=40)
_HEARING = re.compile(
    r"\b(hear|heard|sounds?|nois[ey]|listen|audible|loud|music|song|hört|hören|Ton|Geräusch\w*|entend\w*|sons?|bruit)\b|听|声",
    re.IGNORECASE,
)
_SAYING = re.compile(r"\b(say|says|said|saying|sagt|gesagt|dit|dire)\b|说了?什么|说的", re.IGNORECASE)
_SEEING = re.compile(
    r"\b(see|seen|shown?|picture|colou?r|look|wear\w*|sieht|sehen|Bild|voi\w+|image)\b|看|画面|颜色|穿"
)
_NAMING = re.compile(
    r"^\W*what('s|s| is| are)? (this|that|it|shown|(shown )?(in|on) (this|the) (photo|picture|image|clip|video))\W*$"
    r"|^\W*what (kind of |sort of )?(animal|bird|object|thing|food|vehicle|plant)s?"
    r"( is| are)?( this| it| that| there| shown)?( can (be seen|you see))?( in (this|the) \w+)?\W*$"
    r"|^\W*what (do you|can you|can be) seen?\W*$"
    r"|^\W*(这|那|它|图[里中]|画面[里中])?(是|有|看到了?)什么(动物|东西|物体|食物|植物|鸟)?\W*$",
    re.IGNORECASE,
)
"""Questions for the name of what is shown, which the concept head knows better than the decoder."""
_ASKS_WHAT = re.compile(r"^\W*(what|which object)\b|什么", re.IGNORECASE)
_CHOICE = re.compile(r"\bor\b|还是")
NO_SOUND = {"en": "there is no sound", "de": "es gibt keinen Ton", "fr": "il n'y a pas de son", "zh": "没有声音"}
NO_PICTURE = {
    "en": "the picture is hidden",
    "de": "das Bild ist verdeckt",
    "fr": "l'image est masquée",
    "zh": "画面已隐藏",
}
NO_WORDS = {"en": "nothing is said", "de": "es wird nichts gesagt", "fr": "rien n'est dit", "zh": "没有人说话"}
READ_RIGHT = 0.9
"""The confidence of words read from a picture: the share of lines without an error by `scripts.measure_words`."""
MAX_QUESTION_TOKENS = 200
N_CLASSIFIED = 10
"""Answers of the classifier that the decoder is asked about."""
MOST_OTHER = 0.5
"""Above this probability of an answer that is not on the classifier's list the decoder answers alone."""
BY_CLASSIFIER, BY_DECODER = 0.4, 0.8
"""Exponents of both probabilities, chosen on dev photos of DAQUAR: their ratio for the accuracy, their scale so that
the probability of an answer is about the share of such answers that is right."""
N_MOMENTS = 16
"""Stretches a clip is cut into to find the one an answer rests on: at most one frame in each."""
MOMENT_SHARE = 0.1
"""An answer that loses less than this without any one moment rests on none in particular."""


def stream(encoder: MediaEncoder, request: AskRequest) -> Iterator[AskResult]:
    """The answer as it grows; the last one also says how sure it is and what it rests on. "empty": a silent sound."""
    return (spelt(result, request.language) for result in _growing(encoder, request))


def _growing(encoder: MediaEncoder, request: AskRequest) -> Iterator[AskResult]:
    shown = AskResult(request=request, progress=Progress("looking"))
    yield shown
    reader = reading.Reader(request.media)
    for part in encoder.encoding(request.media, track=request.track):
        if part is not None:
            encoded = part
            progress = Progress("looking", len(encoded.times_s), unit="frames")
            shown = replace(shown, progress=progress, notes=encoded.notes)
        yield shown
    silent = encoded.kind != "photo" and encoded.sound is None
    if silent and encoded.frames is None:
        yield replace(shown, silent=True, progress=None, end="empty")
        return
    names = tuple((name.text(request.language), name.probability) for name in encoded.names)
    is_photo = encoded.kind == "photo"
    if (
        encoded.frames is not None
        and "picture" not in request.hide
        and reading.concerns(request.question, is_photo=is_photo)
    ):
        while not reader.look():
            yield shown
        told = reading.answer(request.question, reader.lines, request.language, is_photo=is_photo)
        if told is not None:
            read = replace(shown, text=told, confidence=READ_RIGHT, silent=silent, names=names, written=reader.lines)
            yield replace(read, modalities=(("picture", 1.0),), progress=None, end="finished")
            return
    named = () if request.hide & {"picture", "names"} else encoded.names[:1]
    if named and _NAMING.search(request.question):
        text, confidence = named[0].text(request.language), named[0].probability
        while not reader.look():
            yield shown
        named_result = replace(
            shown, text=text, confidence=confidence, silent=silent, names=names, written=reader.lines
        )
        yield replace(named_result, modalities=(("picture", 1.0),), progress=None, end="finished")
        return
    told = _told(encoder, encoded, request)
    if told is not None:
        told_result = replace(shown, text=told, confidence=1.0, silent=silent, names=names)
        yield replace(told_result, progress=None, end="finished")
        return
    language = request.language if request.language in ASKED_IN else "en"
    question = ""
    for growing in _question(encoder, request, language):
        question = growing
        yield replace(shown, progress=Progress("translating"))
    streams = streams_of(encoder, encoded, question, language, request.hide)
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", language)])
    direct = language == request.language
    result = replace(shown, silent=silent, names=names, progress=Progress("writing"))
    known = classified(encoder, encoded, streams, question) if language == "en" else None
    if known is not None:
        hypothesis, probability = known
    else:
        for hypothesis in answered(encoder, encoded, streams, language):
            text = encoder.tokenizer.decode(hypothesis.ids)
            yield replace(result, text=text if direct else "")
        hypothesis, probability = _not_echoing(encoder, question, hypothesis), None
    text = encoder.tokenizer.decode(hypothesis.ids)
    if not direct:
        english = text
        for translation in translate.growing(encoder, english, language, request.language):
            text = translation.text
            yield replace(result, text=text)
    judged = _judged(encoder, encoded, hypothesis, probability)
    result = replace(result, text=text, confidence=judged.confidence or 0.0, progress=Progress("weighing"))
    result = replace(result, unsure=judged.unsure, guesses=judged.guesses if direct else ())
    yield result
    modalities_used = _modalities_used(encoder, streams, prefix, hypothesis)
    yield replace(result, modalities=modalities_used)
    moments_s = _moments_s(encoder, encoded, streams, prefix, hypothesis)
    result = replace(result, modalities=modalities_used, moments_s=moments_s, progress=Progress("reading words"))
    while not reader.look():
        yield result
    lines = () if "picture" in request.hide else reader.lines
    yield replace(result, written=lines, progress=None, end="finished")


def _question(encoder: MediaEncoder, request: AskRequest, language: str) -> Iterator[str]:
    """The question in the language the model is asked in, as it is translated; the last one is whole.

    A question is taken to be in the language of its answer; one with Chinese characters is Chinese whatever was chosen.
    """
    is_chinese = any("一" <= character <= "鿿" for character in request.question)
    source = "zh" if is_chinese else "en" if request.language == "zh" else request.language
    return (found.text for found in translate.growing(encoder, request.question, source, language))


def streams_of(
    encoder: MediaEncoder, encoded: Encoded, question: str, language: str, hide: frozenset[Modality] = frozenset()
) -> list[Stream]:
    """What an answer is written from: the picture (a photo whole), the sound, the names, and the question."""
    return [
        *encoder.streams(encoded, language, whole=encoded.kind == "photo", hide=hide),
        asked(encoder, question),
    ]


def answered(encoder: MediaEncoder, encoded: Encoded, streams: Sequence[Stream], language: str) -> Iterator[Hypothesis]:
    """The answer to a question among `streams` in a language the model answers in, after each token."""
    options = replace(OPTIONS, favoured=encoder.name_tokens(encoded, language))
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", language)])
    for (hypothesis,) in generate(encoder.model, encoder.model.fuse(streams), prefix, encoder.tokenizer, options):
        yield hypothesis


def classified(
    encoder: MediaEncoder, encoded: Encoded, streams: Sequence[Stream], question: str
) -> tuple[Hypothesis, float] | None:
    """The answer to an English question about a photo, among those that people often give, and its probability.

    The classifier names the candidates; each is scored by its probabilities in the classifier and in the decoder, and
    the result carries all of them as alternatives. None where the answer is likelier not on the classifier's list,
    where the picture is hidden, and for a model without a classifier.
    """
    seen = encoded.frames is not None and any(stream.modality == "picture" for stream in streams)
    if encoder.answers is None or encoded.kind != "photo" or not seen:
        return None
    assert encoded.frames is not None
    words = next(stream for stream in streams if stream.modality == "text")
    best = encoder.answers.likeliest(words.tokens, words.mask, encoded.frames.flatten(0, 1)[None], N_CLASSIFIED)
    other = next((probability for answer, probability in best if answer == OTHER), 0.0)
    if other > MOST_OTHER:
        return None
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", "en")])
    memory = encoder.model.fuse(streams)
    scores: list[tuple[float, tuple[int, ...], float]] = []
    for answer, probability in best:
        if answer != OTHER and not _echoes(question, answer):
            ids = tuple(encoder.tokenizer.encode(answer))
            written = max(float(_written(encoder, memory, prefix, ids)[0]), 1e-9)
            score = BY_CLASSIFIER * math.log(probability) + BY_DECODER * math.log(written)
            scores.append((score, ids, written))
    if not scores:
        return None
    scores.sort(reverse=True)
    total = sum(math.exp(score) for score, _, _ in scores)
    alternatives = tuple((ids, math.log(written)) for _, ids, written in scores)
    ids, mean_logprob = alternatives[0]
    hypothesis = Hypothesis(ids, mean_logprob, done=True, alternatives=alternatives)
    return hypothesis, (1.0 - other) * math.exp(scores[0][0]) / total


def _told(encoder: MediaEncoder, encoded: Encoded, request: AskRequest) -> str | None:
    """The answer to a question that needs no model: what is said, or that something is missing; None otherwise."""
    heard = encoded.sound is not None and "sound" not in request.hide
    about_sound = bool(_HEARING.search(request.question))
    if encoded.kind != "photo" and _SAYING.search(request.question):
        said = encoder.transcript(request.media, request.track) if heard else ""
        return said or NO_WORDS[request.language]
    if about_sound and not heard and not _SEEING.search(request.question):
        return NO_SOUND[request.language]
    seen = encoded.frames is not None and "picture" not in request.hide
    if not seen and not about_sound and _SEEING.search(request.question):
        return NO_PICTURE[request.language] if "picture" in request.hide else None
    return None


def _not_echoing(encoder: MediaEncoder, question: str, best: Hypothesis) -> Hypothesis:
    """The best answer that does not repeat the question."""
    for ids, mean_logprob in best.alternatives:
        text = encoder.tokenizer.decode(ids)
        if text and not _echoes(question, text):
            return best if ids == best.ids else replace(best, ids=ids, mean_logprob=mean_logprob, logprobs=())
    return best


def _echoes(question: str, answer: str) -> bool:
    """Whether an answer only repeats words of the question: what is above the bed is not the bed. A question with a
    choice in it ("a dog or a cat?") is answered by one of its words."""
    if not _ASKS_WHAT.search(question) or _CHOICE.search(question):
        return False
    asked = question.lower()
    return all(word in asked for word in re.findall(r"\w+", answer.lower()))


def _judged(
    encoder: MediaEncoder, encoded: Encoded, hypothesis: Hypothesis, probability: float | None
) -> doubt.Judgement:
    """How likely an answer is right; the other answers that came into question are the guesses where it is not sure.
    probability: of the answer, where the classifier knows it."""
    guesses = list(dict.fromkeys(encoder.tokenizer.decode(ids) for ids, _ in hypothesis.alternatives))
    if probability is not None:
        single = [text for text in guesses if "," not in text]  # lists would read as more guesses
        return doubt.of_probability(encoder, "doubt.answer", probability, single)
    judged = doubt.answer(encoder, encoded, hypothesis, [text for text in guesses if text])
    if judged.confidence is None:
        return doubt.Judgement(math.exp(hypothesis.mean_logprob))
    return judged


def asked(encoder: MediaEncoder, question: str) -> Stream:
    """A question as a stream."""
    return Stream("text", *encoder.read(encoder.tokenizer.encode(question)[:MAX_QUESTION_TOKENS]))


def _modalities_used(
    encoder: MediaEncoder, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> tuple[tuple[Modality, float], ...]:
    """For each modality there is, the part of the answer's probability that goes when it is taken away."""
    before = float(_probability(encoder, streams, prefix, answer)[0])
    found: list[tuple[Modality, float]] = []
    for stream in streams:
        if stream.modality != "text":
            gone = (
                {stream.modality, "names"} if stream.modality == "picture" else {stream.modality}
            )  # names are of the picture
            left = [other for other in streams if other.modality not in gone]
            found.append((stream.modality, _lost(before, float(_probability(encoder, left, prefix, answer)[0]))))
    return tuple(found)


def _moments_s(
    encoder: MediaEncoder, encoded: Encoded, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> tuple[float, ...]:
    """The times an answer names, else the middle of the stretch it is least likely without; () if none stands out.

    Row n of a batch hears and sees everything but stretch n; one more row misses nothing.
    """
    named = [encoder.tokenizer.time_s(piece) for piece in answer.ids]
    if any(time_s is not None for time_s in named):
        return tuple(time_s for time_s in named if time_s is not None)
    times = [stream.times_s for stream in streams if stream.times_s is not None]
    if not times or encoded.duration_s <= 0.0:
        return ()
    end_s = max(float(t.max()) for t in times) + 1e-3
    rows = []
    for stream in streams:
        tokens = stream.tokens.expand(N_MOMENTS + 1, -1, -1)
        mask = stream.mask.expand(N_MOMENTS + 1, -1)
        if stream.times_s is not None:
            at = (stream.times_s / end_s * N_MOMENTS).long()  # (1, T), 0 to N_MOMENTS - 1
            mask = mask & (at != torch.arange(N_MOMENTS + 1, device=at.device)[:, None])
        rows.append(Stream(stream.modality, tokens, mask, stream.times_s))
    probabilities = _probability(encoder, rows, prefix, answer)
    least = int(probabilities[:-1].argmin())
    if _lost(float(probabilities[-1]), float(probabilities[least])) < MOMENT_SHARE:
        return ()
    return (round((least + 0.5) * end_s / N_MOMENTS, 2),)


def _probability(
    encoder: MediaEncoder, streams: Sequence[Stream], prefix: torch.Tensor, answer: Hypothesis
) -> torch.Tensor:
    """Mean probability (geometric) of the answer's tokens and its end, given streams of B rows -> (B,)."""
    return _written(encoder, encoder.model.fuse(streams), prefix, answer.ids)


@torch.inference_mode()
def _written(encoder: MediaEncoder, memory: Memory, prefix: torch.Tensor, answer: Sequence[int]) -> torch.Tensor:
    """Mean probability (geometric) of an answer's tokens and its end, given a memory of B rows -> (B,)."""
    ids = torch.tensor([[*prefix[0].tolist(), *answer, encoder.tokenizer.eos_id]], device=memory.tokens.device)
    logits = encoder.model.decode(ids[:, :-1].expand(len(memory.tokens), -1), memory).float()
    wanted = ids[:, prefix.shape[1] :].expand(len(logits), -1)  # (B, L)
    given = logits[:, prefix.shape[1] - 1 :].log_softmax(-1).gather(2, wanted[..., None])[..., 0]
    return given.mean(1).exp()


def _lost(before: float, after: float) -> float:
    """The part of a probability that is gone, 0 to 1."""
    return min(max((before - after) / max(before, 1e-9), 0.0), 1.0)


# --- spelling --------------------------------------------------------------------------------------------------------

R = TypeVar("R", CaptionResult, AskResult)


def spelt(result: R, language: str) -> R:
    """A result whose text, names and guesses are spelt so."""
    return replace(
        result,
        text=with_capitals(result.text, language),
        names=tuple((with_capitals(name, language), probability) for name, probability in result.names),
        guesses=tuple(with_capitals(guess, language) for guess in result.guesses),
    )
