"""The same request from Python, the command line, HTTP and MCP gives the same JSON, but for the seconds.

The command line keeps whole paths, since it is the person's own machine; programs get bare names.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client as HttpClient
from gradio_client import handle_file
from mcp import Client as ToolClient

from engines import (
    AskRequest,
    CaptionRequest,
    EmbedRequest,
    Host,
    Request,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    run,
    to_json,
)
from engines.cli import main
from studio.collections import CollectionStore
from studio.server import start
from tests.conftest import SAMPLES
from tests.fake_host import FakeHost, LentHost

DOG, SPEECH, CLIP = SAMPLES / "dog.jpg", SAMPLES / "all-busy.mp3", SAMPLES / "dog.mp4"


@dataclass(frozen=True)
class Case:
    """One request: as Python makes it, as a command's words, and as named values of a task ("file" is a path)."""

    task: str
    request: Callable[[Path], Request]
    words: tuple[str, ...]
    values: dict[str, Any]


CASES = (
    Case(
        "caption",
        lambda _: CaptionRequest(media=DOG, language="de"),
        (str(DOG), "--language", "de"),
        {"file": DOG, "language": "de"},
    ),
    Case(
        "transcribe",
        lambda _: TranscribeRequest(media=SPEECH, translate_to="de"),
        (str(SPEECH), "--translate-to", "de"),
        {"file": SPEECH, "translate_to": "de"},
    ),
    Case(
        "translate",
        lambda _: TranslateRequest(text="A dog is running.", source="en", target="fr"),
        ("A dog is running.", "--from", "en", "--to", "fr"),
        {"text": "A dog is running.", "source": "en", "target": "fr"},
    ),
    Case(
        "ask",
        lambda _: AskRequest(media=CLIP, question="What is seen?", hide=frozenset({"sound"}), track=0),
        (str(CLIP), "What is seen?", "--hide", "sound"),
        {"file": CLIP, "question": "What is seen?", "hide": "sound"},
    ),
    Case("embed", lambda _: EmbedRequest(media=DOG), ("--file", str(DOG)), {"file": DOG}),
    Case(
        "embed",
        lambda _: EmbedRequest(media="a dog", against="sound"),
        ("a dog", "--against", "sound"),
        {"text": "a dog", "against": "sound"},
    ),
    Case(
        "search",
        lambda collection: SearchRequest(query="a dog", collection=collection, k=2),
        ("COLLECTION", "a dog", "-k", "2"),
        {"query": "a dog", "n_hits": 2, "folder": "FOLDER"},
    ),
)


class Studio:
    """One host behind the four ways, with a folder that is indexed."""

    def __init__(self, host: Host, home: Path, folder: Path, url: str) -> None:
        self._host, self._folder, self._url = host, folder, url
        self._http = HttpClient(url, verbose=False)
        self._http.predict(str(folder), api_name="/index")
        self._collection = CollectionStore(home, SAMPLES).folder(str(folder)).file

    def python(self, case: Case) -> dict[str, Any]:
        return to_json(run(self._host, case.request(self._collection)))

    def command(self, case: Case, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        words = [str(self._collection) if word == "COLLECTION" else word for word in case.words]
        assert main([case.task, *words, "--json", "--quiet"], opener=lambda _, __: LentHost(self._host)) == 0
        (line,) = capsys.readouterr().out.splitlines()
        told = json.loads(line)
        if case.task != "search":
            told.pop("file")  # the input, which the lines of several files are told apart by
        return _bare(told)

    def http(self, case: Case) -> dict[str, Any]:
        given = self._http.predict(**self._values(case, handle_file), api_name=f"/{case.task}")
        assert isinstance(given, dict)
        return given

    def tool(self, case: Case) -> dict[str, Any]:
        async def call() -> Any:
            async with ToolClient(f"{self._url}/gradio_api/mcp") as client:
                return await client.call_tool(case.task, self._values(case, str))

        with ThreadPoolExecutor(1) as thread:  # the browser's tests leave an event loop running in this one
            answer = thread.submit(asyncio.run, call()).result()
        assert not answer.is_error, answer.content
        return dict(answer.structured_content)

    def _values(self, case: Case, file: Callable[[str], Any]) -> dict[str, Any]:
        return {
            name: file(str(value)) if isinstance(value, Path) else str(self._folder) if value == "FOLDER" else value
            for name, value in case.values.items()
        }


def _bare(value: Any) -> Any:
    """JSON with bare file names in place of whole paths."""
    match value:
        case dict():
            return {name: _bare(part) for name, part in value.items()}
        case list():
            return [_bare(part) for part in value]
        case str() if value.startswith("/"):
            return Path(value).name
    return value


@contextmanager
def studio(host: Host, home: Path) -> Iterator[Studio]:
    folder = home / "pictures"
    folder.mkdir()
    for name in ("dog.jpg", "coffee.jpg"):
        (folder / name).write_bytes((SAMPLES / name).read_bytes())
    with start(host, home=home, devices=("cpu",)) as served:
        yield Studio(host, home, folder, served.url)


@pytest.fixture(scope="module")
def scripted(tmp_path_factory) -> Iterator[Studio]:
    home = tmp_path_factory.mktemp("scripted")
    with studio(FakeHost(), home) as made:
        yield made


@pytest.fixture(scope="module")
def real(builtin, tmp_path_factory) -> Iterator[Studio]:
    with studio(builtin, tmp_path_factory.mktemp("real")) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=[case.task for case in CASES])
@pytest.mark.parametrize("model", ["scripted", pytest.param("real", marks=pytest.mark.slow)])
def test_four_ways_give_the_same_json(request, capsys, model, case):
    ways = request.getfixturevalue(model)
    expected = ways.python(case) | {"seconds": 0}
    assert expected["end"] == "finished"
    assert ways.command(case, capsys) | {"seconds": 0} == expected
    assert ways.http(case) | {"seconds": 0} == expected
    assert ways.tool(case) | {"seconds": 0} == expected
