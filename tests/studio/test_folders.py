"""Folders of the machine, one level at a time, and what the chooser shows of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines import RequestError
from studio import folders
from studio.app import build
from studio.tabs.search import folder as search_folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A home with two folders that show, one that does not, and a photo among other files."""
    for name in ("Zoo", "archive <old>", ".cache"):
        (tmp_path / name).mkdir()
    for name in ("dog.JPG", "setup.exe", ".hidden.jpg"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_a_folder_is_taken_as_it_is_pasted(home):
    assert folders.existing_folder(f'  "{home}" ') == home
    assert folders.existing_folder("~") == home
    assert folders.existing_folder(f"{home}/Zoo/..") == home


@pytest.mark.parametrize(
    "typed",
    ["", None, "   ", "Pictures", "/no/such/folder", "~/none", "~nobody-here", "/a\0b", "/" + "n" * 300, "/\udcff"],
)
def test_a_folder_that_is_none_is_one_sentence(typed):
    with pytest.raises(RequestError, match="no such folder") as caught:
        folders.existing_folder(typed)
    assert "没有这个文件夹" in caught.value.zh


def test_a_level_holds_the_folders_by_name_and_counts_what_can_be_searched(home):
    level = folders.level(home)
    assert [path.name for path in level.folders] == ["archive <old>", "Zoo"]
    assert (level.n_files, level.n_more, level.n_unnamed) == (1, 0, 0)
    assert level.parent == home.parent
    assert folders.level(Path(home.anchor)).parent is None


def test_of_very_many_folders_the_first_are_listed_and_the_rest_counted(home, monkeypatch):
    monkeypatch.setattr(folders, "N_FOLDERS", 1)
    assert folders.level(home).n_more == 1
    assert "1 more folder is not shown" in search_folder.level_of(str(home))


def test_at_first_the_home_is_shown_with_the_ways_up_and_into_its_folders(home):
    shown = search_folder.level_of(None)
    assert f'data-go="{home.parent}"' in shown and "Up one folder" in shown
    assert f'data-go="{home / "Zoo"}"' in shown
    assert "archive &lt;old&gt;" in shown and "<old>" not in shown
    assert "2 folders, 1 file to search" in shown and "2 个文件夹，1 个可检索的文件" in shown


@pytest.mark.skipif(os.name == "nt", reason="Windows names are always text")
def test_a_folder_whose_name_is_not_text_is_told_of_and_not_offered(home):
    try:
        (home / "Zoo" / os.fsdecode(b"caf\xe9")).mkdir()
    except OSError:
        pytest.skip("this file system takes no such names")
    shown = search_folder.level_of(str(home / "Zoo"))
    assert "1 folder has a name that is not text" in shown
    shown.encode()


def test_a_folder_that_may_not_be_read_is_one_sentence_and_one_stays_where_one_is(home, monkeypatch):
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if Path(path) == home / "Zoo":  # rights do not bind whoever runs the tests as root
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(RequestError, match=r"You may not read the folder .*Zoo; check its rights") as caught:
        folders.level(home / "Zoo")
    assert "没有读取文件夹" in caught.value.zh
    shown = search_folder.level_of(str(home), caught.value)
    assert 'role="alert"' in shown and f'data-go="{home / "Zoo"}"' in shown


def test_a_folder_that_has_gone_is_one_sentence(home):
    with pytest.raises(RequestError, match="not there any more") as caught:
        folders.level(home / "gone")
    assert "已不存在" in caught.value.zh


def listings(state) -> list[object]:
    """The endpoints of a page that list folders."""
    return [fn for fn in build(state.host, state=state).fns.values() if "search-folders" in _elements(fn.outputs)]


def _elements(blocks) -> set[str | None]:
    return {getattr(block, "elem_id", None) for block in blocks}


def test_visitors_have_no_endpoint_that_lists_folders(owner, visitor, home):
    owner.collections.folder(str(home))
    assert listings(owner)
    assert not listings(visitor)
    assert str(home) not in str(build(visitor.host, state=visitor).get_config_file())
