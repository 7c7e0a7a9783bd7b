"""Name -> host. The only place that knows which kinds of host there are.

A host's own module, and torch with it, is imported when the host is opened, not before.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path

from engines.errors import RequestError
from engines.protocol import Host
from engines.settings import Settings

KNOWN = ("builtin",)

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_REMEDY = 'open "builtin", or a folder that holds a Fusion Studio checkpoint'
_REMEDY_ZH = "请使用 builtin，或存有 Fusion Studio 模型的文件夹"


def open_host(name: str = "builtin", settings: Settings | None = None) -> Host:
    """Open a host by name: "builtin", or the path of a folder with a checkpoint of ours.

    Raises RequestError for a name nothing answers to, CheckpointError for a folder that holds no usable checkpoint,
    DeviceError for a device that is not there.
    """
    folder = None if name == "builtin" else _checkpoint_folder(name)
    from engines.hosts import builtin

    return builtin.load(folder, settings=settings if settings is not None else Settings())


def _checkpoint_folder(name: str) -> Path:
    """The folder a name points to; what lies in it is checked when it is loaded."""
    if re.match(r"\w+://", name):
        raise RequestError(
            f"A model behind a web address cannot be used in this version; {_REMEDY}.",
            f"此版本还不能使用网址上的模型；{_REMEDY_ZH}。",
        )
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise _unknown(name, folder)
    if _is_transformers(folder / "config.json"):
        raise RequestError(
            f"{folder.name!r} is a transformers checkpoint, which this version cannot use; {_REMEDY}.",
            f"{folder.name!r} 是 transformers 模型，此版本还不能使用；{_REMEDY_ZH}。",
        )
    return folder


def _is_transformers(config: Path) -> bool:
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # missing or damaged: loading says so, and what to do
        return False
    return isinstance(settings, dict) and ("architectures" in settings or "model_type" in settings)


def _unknown(name: str, folder: Path) -> RequestError:
    """Why no host answers to a name: a path that is not there, a hub name, or a slip of the keyboard."""
    if _HUB_NAME.fullmatch(name) and not name.startswith("."):
        return RequestError(
            f"There is no folder {name!r} here, and models from the Hugging Face hub cannot be used in this version; "
            f"{_REMEDY}.",
            f"找不到文件夹 {name!r}，此版本也还不能使用 Hugging Face 上的模型；{_REMEDY_ZH}。",
        )
    if folder.is_file():
        return RequestError(
            f"{folder.name!r} is a file; give the folder that holds it.",
            f"{folder.name!r} 是文件，请给出它所在的文件夹。",
        )
    if name.startswith(("~", ".")) or os.sep in name or "/" in name:
        return RequestError(
            f"The model folder {folder.name!r} does not exist; check the path.",
            f"模型文件夹 {folder.name!r} 不存在，请检查路径。",
        )
    likely = difflib.get_close_matches(name.lower(), KNOWN, n=1, cutoff=0.5)
    hint, hint_zh = (f"; did you mean {likely[0]!r}?", f"，是否指 {likely[0]!r}？") if likely else (".", "。")
    return RequestError(
        f"No host is called {name!r}. Known are: {', '.join(KNOWN)}, or the path of a checkpoint folder{hint}",
        f"没有名为 {name!r} 的模型。可用：{'、'.join(KNOWN)}，或模型文件夹的路径{hint_zh}",
    )
