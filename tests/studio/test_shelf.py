from pathlib import Path

from engines import AskRequest, AskResult, CaptionRequest, CaptionResult
from studio import shelf as module
from studio.shelf import Shelf
from tests.studio.findings import finished

CLIP = Path("walk.mp4")


def turn(media: Path) -> AskResult:
    return AskResult(request=AskRequest(media=media, question="What is it?"), text="a dog", end="finished")


def test_a_file_is_found_under_its_id_only(shelf: Shelf) -> None:
    name = shelf.put_file(CLIP)
    assert shelf.file(name) == CLIP
    assert shelf.file("walk.mp4") is None
    assert shelf.file("") is None


def test_the_same_file_gets_another_id_each_time(shelf: Shelf) -> None:
    assert shelf.put_file(CLIP) != shelf.put_file(CLIP)


def test_the_oldest_results_fall_off(shelf: Shelf) -> None:
    result = CaptionResult(request=CaptionRequest(media=CLIP), text="a dog", end="finished")
    names = [shelf.put_result(result) for _ in range(module.N_RESULTS + 1)]
    assert shelf.result(names[0]) is None
    assert shelf.result(names[-1]) is result


def test_a_talk_is_about_one_clip_of_one_session(shelf: Shelf) -> None:
    shelf.keep_talk("mine", CLIP, (turn(CLIP),))
    assert len(shelf.talk("mine", CLIP)) == 1
    assert shelf.talk("mine", Path("other.mp4")) == ()
    assert shelf.talk("yours", CLIP) == ()


def test_a_talk_can_be_forgotten(shelf: Shelf) -> None:
    shelf.keep_talk("mine", CLIP, (turn(CLIP),))
    shelf.forget_talk("mine")
    shelf.forget_talk("mine")
    assert shelf.talk("mine", CLIP) == ()


def test_the_oldest_runs_of_the_lab_fall_off(shelf: Shelf) -> None:
    run = finished()
    names = [shelf.put_run(run) for _ in range(module.N_RUNS + 1)]
    assert shelf.run(names[0]) is None
    assert shelf.run(names[-1]) is run
