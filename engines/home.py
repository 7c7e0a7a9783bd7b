"""Where settings, collections and label sets are kept on this machine: one folder of the person who runs the program.

FUSION_STUDIO_HOME names it; otherwise it is where the system keeps the data of programs, for example
~/.local/share/fusion-studio on Linux. What versions before 0.6 kept in ~/.fusion-studio is moved there once.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from engines.errors import UserError

OLD_NAME = ".fusion-studio"


def data_folder() -> Path:
    """The folder, made if need be. Raises UserError where it cannot be."""
    import platformdirs

    before: Path | None = None
    try:
        if named := os.environ.get("FUSION_STUDIO_HOME"):
            folder = Path(named).expanduser().absolute()
        else:
            folder, before = platformdirs.user_data_path("fusion-studio", appauthor=False), Path.home() / OLD_NAME
    except RuntimeError as error:  # neither the variables nor the system know of a home folder
        raise _unusable(OLD_NAME, "there is no home folder") from error
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if before is not None and before.is_dir() and not folder.exists():
            with contextlib.suppress(FileNotFoundError):  # another start moved it at this moment
                before.rename(folder)
                with contextlib.suppress(OSError):  # label sets name the copies of their examples by the old path
                    before.symlink_to(folder, target_is_directory=True)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        if before is not None and before.is_dir():  # on another disk, or the new place is closed: the old one serves on
            return before
        raise _unusable(folder, (error.strerror or str(error)).lower()) from error
    return folder


def _unusable(folder: Path | str, reason: str) -> UserError:
    return UserError(
        "home_unusable",
        "The folder for settings and collections, {folder}, cannot be made ({reason}); name another one in the "
        "variable FUSION_STUDIO_HOME.",
        folder=folder,
        reason=reason,
    )
