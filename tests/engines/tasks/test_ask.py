"""Questions are answered from what is seen and heard, and the answer says what it rests on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.decoding import Hypothesis
from engines.encoder import MediaEncoder
from engines.model.fusion import Memory
from engines.protocol import LANGUAGES, RATE_HZ, AskRequest, AskResult, Sound, run
from engines.tasks import ask
from tests.conftest import tone


def last_of(encoder: MediaEncoder, media: object, question: str = "What is it?", **options: object) -> AskResult:
    *_, last = ask.stream(encoder, AskRequest(media=media, question=question, **options))
    return last


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_grows_and_ends_in_every_language(encoder, clip, language):
    results = list(ask.stream(encoder, AskRequest(media=clip, question="Was ist das?", language=language)))
    assert results[-1].end == "finished" and results[-1].text and 0.0 < results[-1].confidence <= 1.0
    assert len({result.text for result in results}) > 3


@pytest.mark.parametrize(
    ("kind", "hide", "wanted"),
    [
        ("clip", (), ["picture", "sound"]),
        ("clip", ("picture",), ["sound"]),
        ("clip", ("picture", "sound"), []),
        ("photo", (), ["picture"]),
        ("sound", (), ["sound"]),
    ],
)
def test_every_modality_there_is_gets_its_share(encoder, kind, hide, wanted, request):
    last = last_of(encoder, request.getfixturevalue(kind), hide=frozenset(hide))
    assert last.end == "finished" and [name for name, _ in last.modalities] == wanted
    assert all(0.0 <= share <= 1.0 for _, share in last.modalities)
    assert not last.silent, "what is only hidden is not silent"
    assert kind != "photo" or last.moments_s == ()


def test_an_answer_that_rests_on_one_moment_names_it(encoder, clip, monkeypatch):
    """A stand-in for the decoder: an answer is likely only if something at 1.1 to 1.3 s is seen or heard."""

    def probability(encoder: MediaEncoder, streams: list, prefix: object, hypothesis: object) -> torch.Tensor:
        kept = torch.zeros(max(len(stream.mask) for stream in streams), dtype=torch.bool)
        for stream in streams:
            if stream.times_s is not None:
                kept |= (stream.mask & (stream.times_s > 1.1) & (stream.times_s < 1.3)).any(1)
        return torch.where(kept, 0.9, 0.1)

    monkeypatch.setattr(ask, "_probability", probability)
    (moment_s,) = last_of(encoder, replace(clip, sound=None)).moments_s
    assert moment_s == pytest.approx(1.25, abs=0.15)
    assert last_of(encoder, replace(clip, times_s=(0.2, 0.4, 0.6, 0.8), sound=None)).moments_s == ()


def test_times_an_answer_names_are_its_moments(encoder, clip):
    pieces = (*encoder.tokenizer.encode("at"), encoder.tokenizer.time_ids[7])
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", "en")])
    encoded = encoder.encode(clip)
    said = ask.Hypothesis(pieces, -0.1, True)
    assert ask._moments_s(encoder, encoded, encoder.streams(encoded), prefix, said) == (pytest.approx(1.4),)


@pytest.mark.parametrize("track", [None, Sound(np.zeros(2 * RATE_HZ, np.float32))])
def test_a_clip_with_nothing_to_hear_is_answered_from_its_picture(encoder, clip, track):
    last = last_of(encoder, replace(clip, sound=track))
    assert last.end == "finished" and last.text
    assert last.silent and [name for name, _ in last.modalities] == ["picture"]


@pytest.mark.parametrize(
    ("question", "language", "hide", "right"),
    [
        ("What can be heard?", "en", (), "there is no sound"),
        ("Was kann man hören? Welches Geräusch?", "de", (), "es gibt keinen Ton"),
        ("能听到什么？", "zh", (), "没有声音"),
        ("What does the person say?", "en", (), "nothing is said"),
        ("What can be seen?", "en", ("picture",), "the picture is hidden"),
    ],
)
def test_what_cannot_be_seen_or_heard_is_said_to_be_so(encoder, clip, question, language, hide, right):
    last = last_of(encoder, replace(clip, sound=None), question, language=language, hide=frozenset(hide))
    assert last.end == "finished" and last.text == right and last.confidence == 1.0


def test_what_is_said_in_a_clip_is_read_from_its_transcript(encoder, clip, monkeypatch):
    monkeypatch.setattr(MediaEncoder, "transcript", lambda self, media, track: "bin blue at f two now")
    assert last_of(encoder, clip, "What does the person say?").text == "bin blue at f two now"


def test_a_silent_sound_leaves_nothing_to_answer_from(encoder):
    last = last_of(encoder, Sound(np.zeros(RATE_HZ, np.float32)), "What can be heard?")
    assert last.end == "empty" and last.silent and last.text == ""


def test_a_question_is_put_in_the_language_the_model_is_asked_in(encoder, clip, monkeypatch):
    asked: list[tuple[str, str, str]] = []

    def growing(encoder: MediaEncoder, text: str, source: str, target: str):
        asked.append((text, source, target))
        yield ask.translate.Translation(text)

    monkeypatch.setattr(ask.translate, "growing", growing)
    last_of(encoder, clip, "Was hört man?", language="de")
    assert asked[0] == ("Was hört man?", "de", "en") and asked[1][1:] == ("en", "de")
    asked.clear()
    last_of(encoder, clip, "能听到什么？", language="en")
    last_of(encoder, clip, "能听到什么？", language="zh")
    last_of(encoder, clip, "What is it?", language="zh")
    assert [pair[1:] for pair in asked] == [("zh", "en"), ("zh", "zh"), ("en", "zh")]


def test_the_probability_of_an_answer_is_that_of_its_pieces_and_its_end(encoder, photo):
    """Teacher-forced over the whole answer, it must equal what decoding counted on the way."""
    streams = [*encoder.streams(encoder.encode(photo)), ask.asked(encoder, "What is it?")]
    prefix = torch.tensor([encoder.tokenizer.prefix("answer", "en")])
    ended = replace(ask.OPTIONS, max_new=3)
    *_, (hypothesis,) = ask.generate(encoder.model, encoder.model.fuse(streams), prefix, encoder.tokenizer, ended)
    logits = encoder.model.decode(torch.tensor([[*prefix[0], *hypothesis.ids]]), encoder.model.fuse(streams))[0]
    wanted = [*hypothesis.ids, encoder.tokenizer.eos_id]
    by_hand = logits[3:].log_softmax(-1)[torch.arange(4), torch.tensor(wanted)].mean().exp()
    assert float(ask._probability(encoder, streams, prefix, hypothesis)[0]) == pytest.approx(float(by_hand), rel=1e-4)


def test_the_built_in_model_answers_from_the_sound(builtin):
    sound = Sound(np.concatenate([tone(2.0), np.zeros(RATE_HZ, np.float32)]))
    result = run(builtin, AskRequest(media=sound, question="What can be heard?"))
    assert isinstance(result, AskResult) and result.text and dict(result.modalities).keys() == {"sound"}


@pytest.mark.parametrize(
    ("question", "texts", "wanted"),
    [
        ("What is above the bed?", ("bed", "picture", "pillow"), "picture"),
        ("What is above the bed?", ("picture", "bed"), "picture"),
        ("What is it, a dog or a cat?", ("dog", "cat"), "dog"),
        ("Is it a dog?", ("dog", "no"), "dog"),
        ("What is on the bed?", ("bed", "the bed"), "bed"),
        ("床上有什么？", ("床", "枕头"), "枕头"),
    ],
)
def test_an_answer_is_no_word_of_its_question_unless_that_offers_a_choice(encoder, question, texts, wanted):
    found = tuple((tuple(encoder.tokenizer.encode(text)), -1.0 - n) for n, text in enumerate(texts))
    best = Hypothesis(found[0][0], -1.0, True, alternatives=found)
    assert encoder.tokenizer.decode(ask._not_echoing(encoder, question, best).ids) == wanted


class Answers:
    """A stand-in for the classifier of answers."""

    def __init__(self, **probabilities: float) -> None:
        self.best = sorted(
            ((name.replace("other", ""), p) for name, p in probabilities.items()), key=lambda pair: -pair[1]
        )

    def likeliest(self, question: torch.Tensor, mask: torch.Tensor, picture: torch.Tensor, n: int) -> list:
        assert question.shape[:2] == mask.shape and picture.dim() == 3 and len(picture) == 1
        return self.best[:n]


@pytest.fixture
def with_parts(encoder):
    """The encoder with a classifier that gives these probabilities."""
    before = encoder.answers

    def build(**probabilities: float) -> MediaEncoder:
        encoder.answers = Answers(**probabilities)
        return encoder

    yield build
    encoder.answers = before


def written(monkeypatch, **probabilities: float) -> None:
    """Let the decoder give answers these probabilities, all others 0.1."""

    def probability(encoder: MediaEncoder, memory: Memory, prefix: object, ids: tuple) -> torch.Tensor:
        return torch.full(memory.tokens.shape[:1], probabilities.get(encoder.tokenizer.decode(ids), 0.1))

    monkeypatch.setattr(ask, "_written", probability)


def test_an_answer_people_often_give_counts_by_classifier_and_decoder(with_parts, photo, monkeypatch):
    written(monkeypatch, table=0.5, chair=0.01)
    last = last_of(with_parts(chair=0.5, table=0.3, other=0.2), photo, "What is in the middle?")
    assert last.text == "table" and 0.5 < last.confidence < 0.8 and last.end == "finished"
    assert [name for name, _ in last.modalities] == ["picture"]
    written(monkeypatch)
    assert last_of(with_parts(chair=0.5, table=0.3, other=0.2), photo, "What is in the middle?").text == "chair"


def test_an_answer_of_the_classifier_does_not_repeat_the_question(with_parts, photo, monkeypatch):
    written(monkeypatch)
    encoder = with_parts(bed=0.8, pillow=0.1)
    assert last_of(encoder, photo, "What is on the bed?").text == "pillow"
    assert last_of(encoder, photo, "Is it a bed or a table?").text == "bed"


@pytest.mark.parametrize("case", ["other", "hidden", "sound", "chinese", "none"])
def test_all_other_questions_are_answered_by_the_decoder_alone(with_parts, photo, sound, monkeypatch, case):
    written(monkeypatch, table=0.9)
    encoder = with_parts(**({"other": 0.6, "table": 0.4} if case == "other" else {"table": 0.9}))
    if case == "none":
        encoder.answers = None
    last = last_of(
        encoder,
        sound if case == "sound" else photo,
        "中间有什么？" if case == "chinese" else "What is in the middle?",
        language="zh" if case == "chinese" else "en",
        hide=frozenset({"picture", "names"} if case == "hidden" else ()),
    )
    assert last.end == "finished" and last.text != "table"


def test_a_list_of_things_is_no_guess_among_others(encoder, photo, monkeypatch):
    told = []
    monkeypatch.setattr(ask.doubt, "of_probability", lambda *given: told.append(given[3]))
    found = tuple((tuple(encoder.tokenizer.encode(text)), -1.0) for text in ("pillow", "pillow, sheet", "clothes"))
    ask._judged(encoder, encoder.encode(photo), Hypothesis(found[0][0], -1.0, True, alternatives=found), 0.3)
    assert told == [["pillow", "clothes"]]
