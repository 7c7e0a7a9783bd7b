"""Install what reads words in pictures into the environment the studio runs in, when its owner asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable

from engines import Cancelled, RequestError
from engines.media import ocr
from studio import bootstrap


def install_ocr(is_stopped: Callable[[], bool]) -> None:
    """Install the packages of the extra `ocr`, in their tested versions where those are known.

    is_stopped: asked at each line pip says; then Cancelled is raised and pip ended. Raises RequestError.
    """
    tested = bootstrap.CONSTRAINTS
    known = ["--constraint", str(tested)] if tested.is_file() else []
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"]

    def hear(_line: str) -> None:
        if is_stopped():
            raise Cancelled

    command = [sys.executable, "-m", "pip", "install", *options, *known, *ocr.PACKAGES]
    failed, said = bootstrap.run_installer(command, hear=hear)
    if not failed and ocr.is_installed():
        return
    text = "\n".join(said).lower()
    if any(sign in text for sign in bootstrap.SIGNS_OF_NO_SPACE):
        raise RequestError(
            "extra_no_space", "There is not enough disk space for the packages; make room, then try again."
        )
    if any(sign in text for sign in bootstrap.SIGNS_OF_NO_NETWORK):
        raise RequestError(
            "extra_no_network", "The packages cannot be fetched, for no package index answers; connect and try again."
        )
    raise RequestError(
        "extra_failed",
        "The packages could not be installed; `python -m pip install {packages}` in the studio's environment says why.",
        packages=" ".join(ocr.PACKAGES),
    )
