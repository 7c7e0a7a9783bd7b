from pathlib import Path

from engines import AskRequest, AskResult
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


def test_the_oldest_values_are_dropped():
    registry = Registry[str](limit=2)
    ids = [registry.add(value) for value in "abc"]
    assert [registry.get(each) for each in ids] == [None, "b", "c"]


def test_a_chat_is_about_one_clip_of_one_session_until_it_is_forgotten():
    chats = ChatHistory(9)
    chats.put("mine", (CLIP, (turn(CLIP),)))
    assert len(chats.turns("mine", CLIP)) == 1
    assert chats.turns("mine", Path("other.mp4")) == () == chats.turns("yours", CLIP)
    chats.remove("mine")
    assert chats.turns("mine", CLIP) == ()
