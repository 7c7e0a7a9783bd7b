"""Translation models: pairs told by the checkpoint, lines kept, sentence by sentence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.errors import AbilityError
from engines.hosts.pretrained import checkpoint, translation
from engines.hosts.results import Written
from engines.protocol import TranslateRequest, run


def pairs(folder: Path, source: str) -> set[str]:
    return {ability.language for ability in translation.abilities(checkpoint.read(folder, source))}


def test_a_pair_is_told_by_settings_or_else_by_the_name(built, tmp_path):
    assert pairs(built("marian"), "x") == {"en-de"}
    folder = Path(shutil.copytree(built("marian"), tmp_path / "opus-mt-fr-en"))
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    bare = {key: value for key, value in settings.items() if key not in ("source_lang", "target_lang")}
    (folder / "tokenizer_config.json").write_text(json.dumps(bare), encoding="utf-8")
    assert pairs(folder, str(folder)) == {"fr-en"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps(bare | {"source_lang": "fi", "target_lang": "en"}), encoding="utf-8"
    )
    assert pairs(folder, "x") == set()


def test_a_model_of_many_languages_has_every_pair_it_has_pieces_for(built):
    assert len(pairs(built("m2m"), "x")) == 12


def test_lines_stay_and_the_text_grows_by_sentences(opened, monkeypatch):
    host = opened("marian")

    def upper(self: Any, sentence: str, source: str, target: str, meanwhile: Any) -> Any:
        yield meanwhile
        return Written(sentence.upper(), is_cut=sentence == "Three.")

    monkeypatch.setattr(translation.Translation, "_sentence", upper)
    request = TranslateRequest(text="One two. Three.\n\nFour.", source="en", target="de")
    results = list(host.stream(request))
    assert results[-1].text == "ONE TWO. THREE.\n\nFOUR." and results[-1].end == "cut"
    assert "ONE TWO." in [r.text for r in results]


def test_a_real_pass_through_both_kinds_ends_well(opened):
    assert run(opened("marian"), TranslateRequest(text="Hi.", source="en", target="de")).end in ("finished", "cut")
    assert run(opened("m2m"), TranslateRequest(text="Hi.", source="zh", target="fr")).end in ("finished", "cut")


def test_another_pair_is_refused_with_those_there_are(opened):
    with pytest.raises(AbilityError, match=r"^marian does not translate from de to en; it knows en-de"):
        run(opened("marian"), TranslateRequest(text="Hallo.", source="de", target="en"))
