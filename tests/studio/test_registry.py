import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from engines import AskRequest, AskResult, Result
from studio.registry import ChatHistory, Registry

CLIP = Path("walk.mp4")


def turn(media: Path) -> AskResult:
    return AskResult(request=AskRequest(media=media, question="What is it?"), text="a dog", end="finished")


def test_a_file_is_found_under_its_id_only_and_gets_another_id_each_time(downloads):
    one, two = downloads.add_file(CLIP), downloads.add_file(CLIP)
    assert one != two
    assert downloads.file(one) == CLIP
    assert downloads.file("walk.mp4") is None and downloads.file("") is None
    assert downloads.result(one) is None


def test_a_file_that_is_shown_again_and_again_keeps_its_id_until_another_takes_its_place(downloads, tmp_path):
    talk = tmp_path / "talk.wav"
    talk.write_bytes(b"one")
    first = {downloads.same_file(talk) for _ in range(3)}
    talk.write_bytes(b"another")
    other = downloads.same_file(talk)
    assert len(first) == 1 and other not in first, "the browser keeps what it was sent under an id"
    assert downloads.file(other) == talk and "talk" not in other


def test_two_corrections_that_are_sent_at_once_both_stay(downloads):
    name, begun, may_end = downloads.add_result(turn(CLIP)), threading.Event(), threading.Event()

    def slowly(result: Result) -> Result:
        begun.set()
        assert may_end.wait(60)
        return replace(result, text=f"{result.text}, black")

    with ThreadPoolExecutor(2) as sent:
        sent.submit(downloads.correct, name, slowly)
        assert begun.wait(60)
        sent.submit(downloads.correct, name, lambda result: replace(result, text=f"{result.text}, white"))
        may_end.set()
    assert downloads.result(name).text == "a dog, black, white"
    downloads.undo(name)
    assert downloads.result(name).text == "a dog, black"


def test_the_oldest_values_are_dropped():
    registry = Registry[str](limit=2)
    ids = [registry.add(value) for value in "abc"]
    assert [registry.get(each) for each in ids] == [None, "b", "c"]


def test_a_chat_is_about_one_clip_of_one_session_until_it_is_forgotten(downloads):
    chats = ChatHistory(9)
    name = downloads.add_result(turn(CLIP))
    chats.put("mine", (CLIP, (name,)))
    assert list(chats.turns("mine", CLIP, downloads)) == [name]
    assert chats.turns("mine", Path("other.mp4"), downloads) == {} == chats.turns("yours", CLIP, downloads)
    chats.remove("mine")
    assert chats.turns("mine", CLIP, downloads) == {}


def test_a_chat_goes_on_with_an_answer_as_it_was_corrected(downloads):
    chats = ChatHistory(9)
    name = downloads.add_result(turn(CLIP))
    chats.put("mine", (CLIP, (name,)))
    downloads.correct(name, lambda result: replace(result, text="a kitten"))
    assert [answer.text for answer in chats.turns("mine", CLIP, downloads).values()] == ["a kitten"]
