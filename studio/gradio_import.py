"""Import gradio without the work that only an editor needs.

For each component class gradio (6.31) parses the class's source and writes a .pyi file beside it, at every start, in
the folder of the installed package: about a third of the time of its import, and nothing that runs reads them.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WRITER = "gradio.component_meta"
"""The module that writes them."""


class _WithoutInterfaceFiles(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != WRITER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                load(module)
                module.create_or_modify_pyi = _write_nothing  # type: ignore[attr-defined]

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def skip_interface_files() -> None:
    """Let gradio, if it is not imported yet, write no interface files."""
    if WRITER not in sys.modules:
        sys.meta_path.insert(0, _WithoutInterfaceFiles())


def _write_nothing(*_: Any) -> None:
    pass
