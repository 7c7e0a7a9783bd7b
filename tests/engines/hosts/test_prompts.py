"""A request becomes a conversation; a medium is shown as far as the model takes it."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import AbilityError, MediaError
from engines.hosts.prompts import HEARD_S, N_FRAMES, conversation, dictation, material, translation
from engines.protocol import (
    LANGUAGES,
    RATE_HZ,
    AskRequest,
    CaptionRequest,
    Clip,
    Modality,
    Sound,
    TranslateRequest,
)
from tests.conftest import tone, write_photo, write_sound
from tests.engines.media.makers import pitch_hz, several_tracks

BOTH: frozenset[Modality] = frozenset({"picture", "sound"})
SEES: frozenset[Modality] = frozenset({"picture"})
HEARS: frozenset[Modality] = frozenset({"sound"})
SILENCE = Sound(np.zeros(RATE_HZ, np.float32))


# --- what is shown ------------------------------------------------------------------------------------------------


def test_a_photo_is_one_frame(photo, tmp_path):
    for medium in (photo, write_photo(tmp_path / "red.png", photo)):
        given = material(medium, SEES, "tiny")
        (frame,) = given.frames
        assert given.kind == "photo" and given.samples is None and not given.silent
        assert np.array_equal(frame, photo.pixels)


def test_a_sound_is_samples_at_16_khz_and_no_more_than_half_a_minute(sound, tmp_path):
    for medium in (sound, write_sound(tmp_path / "tone.wav", sound.samples), Sound(tone(2.0)[::2].copy(), 8_000)):
        given = material(medium, HEARS, "tiny")
        assert given.kind == "sound" and given.samples is not None and len(given.samples) == 2 * RATE_HZ
    given = material(Sound(tone(HEARD_S + 5.0)), HEARS, "tiny")
    assert given.samples is not None and len(given.samples) == HEARD_S * RATE_HZ


def test_the_track_asked_for_is_heard_and_the_others_are_named(tmp_path):
    sounds = {"ger": tone(2.0, hz=300.0), "eng": tone(2.0, hz=800.0)}
    path = several_tracks(tmp_path / "film.mka", sounds, default="eng")
    for track, hz in ((0, 800), (1, 300)):
        given = material(path, HEARS, "tiny", track=track)
        assert given.samples is not None and pitch_hz(given.samples) == pytest.approx(hz, abs=3)
        assert [note.key for note in given.notes] == ["note.other_tracks"]
    with pytest.raises(MediaError, match="has 2 sound tracks; choose one of them"):
        material(path, HEARS, "tiny", track=3)


def test_a_clip_is_frames_with_times_and_its_sound(clip):
    given = material(clip, BOTH, "tiny")
    assert given.kind == "clip" and given.times_s == clip.times_s and len(given.frames) == 4
    assert given.samples is not None and len(given.samples) == 2 * RATE_HZ and not given.silent


def test_of_a_long_clip_evenly_spread_frames_are_kept(photo):
    frames = tuple(photo.pixels for _ in range(50))
    given = material(Clip(frames, tuple(float(n) for n in range(50)), 50.0), BOTH, "tiny")
    assert len(given.frames) == N_FRAMES and given.times_s == (0.0, 7.0, 14.0, 21.0, 28.0, 35.0, 42.0, 49.0)


def test_a_clip_without_a_track_and_one_with_a_silent_track_are_both_silent(clip):
    for track in (None, SILENCE):
        given = material(Clip(clip.frames, clip.times_s, clip.duration_s, track), BOTH, "tiny")
        assert given.silent and given.samples is None and given.frames


def test_of_a_silent_sound_nothing_is_left():
    given = material(SILENCE, HEARS, "tiny")
    assert given.kind == "sound" and given.silent and given.samples is None


def test_what_is_hidden_is_not_shown(clip):
    without_picture = material(clip, BOTH, "tiny", hide=SEES)
    assert without_picture.frames == () and without_picture.times_s == () and without_picture.samples is not None
    without_sound = material(clip, BOTH, "tiny", hide=HEARS)
    assert without_sound.frames and without_sound.samples is None and not without_sound.silent


def test_of_a_clip_a_model_with_one_modality_gets_its_half(clip):
    assert material(clip, SEES, "tiny").samples is None and material(clip, SEES, "tiny").frames
    assert material(clip, HEARS, "tiny").frames == () and material(clip, HEARS, "tiny").samples is not None


def test_a_medium_the_model_does_not_take_is_refused(photo, sound, clip):
    with pytest.raises(AbilityError, match="tiny does not hear; choose a photo or a clip"):
        material(sound, SEES, "tiny")
    mute = Clip(clip.frames, clip.times_s, clip.duration_s)
    for medium, modalities in ((photo, HEARS), (mute, HEARS), (clip, frozenset())):
        with pytest.raises(AbilityError, match="tiny does not see; choose a sound"):
            material(medium, modalities, "tiny")


def test_an_empty_sound_and_a_missing_file_are_told(tmp_path):
    with pytest.raises(MediaError, match="The sound is empty; record or choose another"):
        material(Sound(np.zeros(0, np.float32)), HEARS, "tiny")
    with pytest.raises(MediaError, match=r"gone\.jpg"):
        material(tmp_path / "gone.jpg", SEES, "tiny")
    with pytest.raises(TypeError, match="int is no medium"):
        material(3, SEES, "tiny")


# --- what is asked ------------------------------------------------------------------------------------------------


def test_a_caption_names_the_kind_of_medium_and_the_language(photo):
    (turn,) = conversation(CaptionRequest(media=photo, language="fr"), material(photo, SEES, "tiny"))
    assert turn.text == "Describe this photo in one sentence, in French."
    assert turn.role == "user" and len(turn.frames) == 1 and turn.samples is None


def test_a_clips_frames_come_with_their_times(clip):
    (turn,) = conversation(CaptionRequest(media=clip), material(clip, BOTH, "tiny"))
    assert turn.text.startswith("These are pictures of a clip, taken at 0.2, 0.8, 1.2, 1.8 seconds. Describe this clip")
    (heard,) = conversation(CaptionRequest(media=clip), material(clip, HEARS, "tiny"))
    assert heard.text.startswith("Describe this clip") and heard.samples is not None


def test_earlier_questions_come_first_and_the_medium_with_the_first_of_them(photo):
    request = AskRequest(media=photo, question=" And now? ", language="de", history=(("What is it?", "A square."),))
    first, answer, last = conversation(request, material(photo, SEES, "tiny"))
    assert (first.role, first.text, len(first.frames)) == ("user", "What is it?", 1)
    assert (answer.role, answer.text, answer.frames) == ("assistant", "A square.", ())
    assert (last.role, last.text, last.frames) == ("user", "And now?\nAnswer briefly, in German.", ())


def test_a_translation_names_both_languages_and_holds_the_text():
    (turn,) = conversation(TranslateRequest(text="Guten Tag", source="de", target="zh"), None)
    assert turn.text == "Translate from German to Chinese. Write the translation and nothing else.\n\nGuten Tag"
    assert translation("Guten Tag", None, "en").startswith("Translate to English. ")


def test_a_dictation_names_the_language_where_it_is_known():
    samples = tone(1.0)
    for language in (*LANGUAGES, None):
        (turn,) = dictation(samples, language)
        assert turn.samples is samples and ("The language is" in turn.text) == (language is not None)


def test_a_request_without_words_is_no_conversation(photo):
    with pytest.raises(TypeError, match="a str is not put to a model in words"):
        conversation("caption this", None)
