"""Text files are read in whatever they are written, without the marks of their format."""

from __future__ import annotations

import pytest

from engines import media
from engines.errors import MediaError
from engines.media.texts import load_text

GERMAN = "Der Hund schläft auf dem Sofa, während es draußen regnet. Müßiggang ist aller Laster Anfang."
CHINESE = "今天天气很好，我们去公园看了一只狗在草地上奔跑，然后回家吃饭。"

SHORT = "你好，世界。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((GERMAN, encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1")),
        *((SHORT, encoding) for encoding in ("gb18030", "gbk", "utf-16-be", "utf-16-le")),
        *((CHINESE, encoding) for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "gb18030")),
    ],
)
def test_text_is_read_in_any_usual_encoding(tmp_path, text, encoding):
    path = tmp_path / "note.txt"
    path.write_bytes(text.encode(encoding))
    assert load_text(path) == text
    assert media.load_text(path) == text


def test_a_character_cut_off_at_the_end_does_not_change_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr("engines.media.texts.MAX_BYTES", 31)
    path = tmp_path / "note.txt"
    path.write_text(CHINESE, encoding="utf-8")
    assert load_text(path) == CHINESE[:10]


@pytest.mark.parametrize(
    ("name", "written", "read"),
    [
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n<i>A dog</i> barks\n\n2\n00:00:03,000 --> 00:00:04,000\nIt runs\n",
         ["A dog barks", "It runs"]),
        ("a.vtt", "WEBVTT\n\nintro\n00:01.000 --> 00:02.000\nHello there\n", ["Hello there"]),
        ("a.html", "<title>Dogs</title><script>var cats</script><p>A <b>dog</b> &amp; a cat</p><p>run</p>",
         ["Dogs", "A dog & a cat", "run"]),
        ("a.csv", "animal,sound\ndog,barks\n", ["animal,sound", "dog,barks"]),
        ("a.rst", "Dogs\n====\n", ["Dogs", "===="]),
    ],
)  # fmt: skip
def test_only_the_words_of_a_format_are_read(tmp_path, name, written, read):
    path = tmp_path / name
    path.write_text(written, encoding="utf-8")
    assert [line for line in load_text(path).splitlines() if line] == read


@pytest.mark.parametrize("data", [bytes(range(256)) * 4, b" \n\n", b"\x7fELF" + bytes(500)])
def test_what_holds_no_text_says_so(tmp_path, data):
    path = tmp_path / "note.txt"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=r"^note\.txt holds no text"):
        load_text(path)
