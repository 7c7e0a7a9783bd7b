from pathlib import Path

from engines import AskRequest, AskResult, CaptionRequest, CaptionResult
from studio import registry as module
from studio.registry import DownloadRegistry
from tests.studio.findings import finished

CLIP = Path("walk.mp4")


def turn(media: Path) -> AskResult:
    return AskResult(request=AskRequest(media=media, question="What is it?"), text="a dog", end="finished")


def test_a_file_is_found_under_its_id_only(downloads: DownloadRegistry) -> None:
    name = downloads.put_file(CLIP)
    assert downloads.file(name) == CLIP
    assert downloads.file("walk.mp4") is None
    assert downloads.file("") is None


def test_the_same_file_gets_another_id_each_time(downloads: DownloadRegistry) -> None:
    assert downloads.put_file(CLIP) != downloads.put_file(CLIP)


def test_the_oldest_results_fall_off(downloads: DownloadRegistry) -> None:
    result = CaptionResult(request=CaptionRequest(media=CLIP), text="a dog", end="finished")
    names = [downloads.put_result(result) for _ in range(module.N_RESULTS + 1)]
    assert downloads.result(names[0]) is None
    assert downloads.result(names[-1]) is result


def test_a_talk_is_about_one_clip_of_one_session(downloads: DownloadRegistry) -> None:
    downloads.keep_talk("mine", CLIP, (turn(CLIP),))
    assert len(downloads.talk("mine", CLIP)) == 1
    assert downloads.talk("mine", Path("other.mp4")) == ()
    assert downloads.talk("yours", CLIP) == ()


def test_a_talk_can_be_forgotten(downloads: DownloadRegistry) -> None:
    downloads.keep_talk("mine", CLIP, (turn(CLIP),))
    downloads.forget_talk("mine")
    downloads.forget_talk("mine")
    assert downloads.talk("mine", CLIP) == ()


def test_the_oldest_runs_of_the_lab_fall_off(downloads: DownloadRegistry) -> None:
    run = finished()
    names = [downloads.put_run(run) for _ in range(module.N_RUNS + 1)]
    assert downloads.run(names[0]) is None
    assert downloads.run(names[-1]) is run
