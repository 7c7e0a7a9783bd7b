import json
from dataclasses import replace
from pathlib import Path

from engines import CaptionRequest, CaptionResult, TranscribeRequest, TranscribeResult, run
from studio.registry import DownloadRegistry
from studio.state import SAMPLES, RunningRequests, read_samples
from tests.fake_host import FakeHost


def test_a_stop_stops_one_tab_of_one_session():
    stops = RunningRequests()
    mine, other_tab, yours = stops.start("me", "speech"), stops.start("me", "caption"), stops.start("you", "speech")
    stops.stop("me", "speech")
    assert (mine.is_set, other_tab.is_set, yours.is_set) == (True, False, False)


def test_a_new_run_in_a_tab_stops_the_one_before():
    stops = RunningRequests()
    first, second = stops.start("me", "speech"), stops.start("me", "speech")
    assert first.is_set
    assert stops.is_latest("me", "speech", second)
    assert not second.is_set


def test_the_end_of_an_old_run_leaves_the_new_one_alone():
    stops = RunningRequests()
    first, second = stops.start("me", "speech"), stops.start("me", "speech")
    stops.end("me", "speech", first)
    assert stops.is_latest("me", "speech", second)
    stops.stop("me", "speech")
    assert second.is_set


def test_closing_the_page_stops_all_it_had_running_and_nothing_else():
    stops = RunningRequests()
    mine, yours = [stops.start("me", tab) for tab in ("speech", "video")], stops.start("you", "video")
    stops.leave("me")
    assert all(cancel.is_set for cancel in mine)
    assert not yours.is_set


def test_a_tab_is_busy_from_the_start_of_its_run_to_the_end():
    stops = RunningRequests()
    assert not stops.is_busy("me", "speech")
    cancel = stops.start("me", "speech")
    assert stops.is_busy("me", "speech") and not stops.is_busy("me", "video")
    stops.end("me", "speech", cancel)
    assert not stops.is_busy("me", "speech")


def test_a_studio_without_samples_has_none(tmp_path):
    assert read_samples(tmp_path, DownloadRegistry()) == ()


def test_a_listed_sample_whose_file_is_missing_is_left_out(tmp_path):
    row = {"tab": ["speech"], "kind": "speech", "title_en": "A bell", "title_zh": "钟声"}
    (tmp_path / "bell.wav").write_bytes(b"x")
    (tmp_path / "samples.json").write_text(json.dumps([row | {"file": "bell.wav"}, row | {"file": "gone.wav"}]))
    (sample,) = read_samples(tmp_path, DownloadRegistry())
    assert sample.input_kind == "sound"
    assert sample.question("zh") == ""


def test_every_shipped_sample_can_be_clicked_in_a_tab():
    downloads = DownloadRegistry()
    for sample in read_samples(SAMPLES, downloads):
        assert set(sample.tabs) <= {"search", "speech", "video", "caption"}
        assert downloads.file(sample.file_id) == sample.path


def test_a_result_is_signed_by_the_model_that_gave_it(state):
    state.host.route("transcribe", FakeHost(name="whisper", source="a/whisper"))
    speech = run(state.host, TranscribeRequest(media=Path("tone.wav")))
    assert isinstance(speech, TranscribeResult)
    assert state.info_of(speech).name == "whisper"
    caption = run(state.host, CaptionRequest(media=Path("dog.jpg")))
    assert isinstance(caption, CaptionResult)
    assert state.info_of(caption).name == "fake"


def test_a_result_of_a_model_that_was_closed_since_is_shown_with_the_one_that_answers_now(state):
    caption = run(state.host, CaptionRequest(media=Path("dog.jpg")))
    assert state.info_of(replace(caption, host="gone")).name == "fake"


def test_a_result_stays_with_its_model_when_the_task_goes_to_another(state):
    caption = run(state.host, CaptionRequest(media=Path("dog.jpg")))
    state.host.route("caption", FakeHost(name="other", source="a/other"))
    assert state.info_of(caption).name == "fake"
