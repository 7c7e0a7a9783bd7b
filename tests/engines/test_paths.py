import pytest

from engines.paths import write_whole


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "a folder" / "a file"
    write_whole(file, b"before")
    monkeypatch.setattr(type(file), "replace", lambda *paths: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="full"):
        write_whole(file, b"after")
    monkeypatch.undo()
    assert file.read_bytes() == b"before" and list(file.parent.iterdir()) == [file]
    write_whole(file, b"after")
    assert file.read_bytes() == b"after"
