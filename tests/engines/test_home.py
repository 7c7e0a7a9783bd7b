"""Where settings and collections live: found, moved from the old place once, one sentence where there can be none."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from engines.errors import UserError
from engines.home import data_folder


@pytest.fixture
def person(tmp_path, monkeypatch) -> Path:
    """The home folder of somebody who named no other place."""
    for name in ("FUSION_STUDIO_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "me"))
    (tmp_path / "me").mkdir()
    return tmp_path / "me"


def test_the_folder_is_where_the_system_keeps_data_and_is_made(person):
    assert data_folder() == platformdirs.user_data_path("fusion-studio", appauthor=False)
    assert data_folder().is_dir() and person in data_folder().parents


def test_a_variable_names_another_folder(person, tmp_path, monkeypatch):
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(tmp_path / "elsewhere"))
    assert data_folder() == tmp_path / "elsewhere"
    assert list(person.iterdir()) == []


def test_what_the_old_place_holds_is_moved_once_and_old_paths_still_lead_there(person):
    old = person / ".fusion-studio"
    (old / "labels").mkdir(parents=True)
    (old / "models.json").write_text("{}")
    new = data_folder()
    assert (new / "models.json").read_text() == "{}" and (new / "labels").is_dir()
    assert old.resolve() == new.resolve()
    assert data_folder() == new


def test_an_old_place_is_left_alone_where_there_is_a_new_one(person):
    data_folder()
    (person / ".fusion-studio").mkdir()
    (person / ".fusion-studio" / "models.json").write_text("{}")
    assert list(data_folder().iterdir()) == []


def test_what_cannot_be_moved_is_used_where_it_is(person, monkeypatch):
    (person / ".fusion-studio").mkdir()

    def rename(self: Path, target: Path) -> Path:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "rename", rename)
    assert data_folder() == person / ".fusion-studio"


def test_a_home_that_is_a_file_is_one_sentence(person):
    person.rmdir()
    person.touch()
    with pytest.raises(UserError, match=r"cannot be made \((not a directory|file exists)\); name another one") as error:
        data_folder()
    assert "FUSION_STUDIO_HOME" in error.value.zh


@pytest.mark.skipif(os.name == "nt", reason="there the home folder comes from elsewhere")
def test_no_home_at_all_is_one_sentence(person, monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with pytest.raises(UserError, match=r"\(there is no home folder\); name another one"):
        data_folder()
