"""Start Fusion Studio: find or make an environment that has everything, then run a command in it.

    python launch.py                       the page
    python launch.py caption photo.jpg     any command of fusion-studio
    python launch.py test                  the tests

This file keeps to the standard library and to plain syntax, so that an old Python too can run it far enough to say
what it lacks. What is served is studio/cli.py's, the other commands are engines/cli's.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)  # the oldest that numpy 2.4 and pandas 3 take
OLD_PYTHON = "This is Python {have}; Fusion Studio needs Python {need} or newer. Install one and start again with it."
STEERS_PYTEST = re.compile(r"-n|-[sh]$|--(numprocesses|dist|pdb|trace|capture|collect-only|co|version|help)(=|$)")
TRIED_REPAIR = "FUSION_STUDIO_TRIED_REPAIR"


def main(argv: list[str]) -> None:
    require_python()
    from studio import bootstrap, cli  # written for the Python we now know to be there

    testing = argv[:1] == ["test"]
    if cli.asks_for_page(argv):
        cli.parse(argv, "launch.py")  # wrong options and --help end here, before anything is installed
    try:
        python = bootstrap.python("test" if testing else "")
    except bootstrap.SetupError as error:
        raise SystemExit(f"{error.en}\n{error.zh}") from error
    if python != sys.executable:
        become([python, str(ROOT / "launch.py"), *argv])
    elif testing:
        test(argv[1:])
    else:
        run(argv)


def require_python() -> None:
    if sys.version_info[:2] < OLDEST_PYTHON:
        chinese = json.loads((ROOT / "assets/locales/zh.json").read_text(encoding="utf-8"))["error.old_python"]
        have, need = "{}.{}".format(*sys.version_info[:2]), "{}.{}".format(*OLDEST_PYTHON)
        raise SystemExit(f"{OLD_PYTHON}\n{chinese}".format(have=have, need=need))


def become(command: list[str]) -> None:
    """Go on as another program, in this window and with its exit code."""
    sys.stdout.flush()
    if os.name == "nt":  # there exec returns to the prompt while the new program still runs
        raise SystemExit(subprocess.call(command))
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


def test(arguments: list[str]) -> None:
    """Run pytest, on two workers unless the arguments steer or watch the run themselves."""
    spread = [] if any(STEERS_PYTEST.match(a) for a in arguments) else ["-n", "2", "--dist", "loadfile"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers with a thread each; more would wait for each other
    os.chdir(ROOT)
    become([sys.executable, "-m", "pytest", *spread, *arguments])


def run(argv: list[str]) -> None:
    """Run a command of fusion-studio; if a package in our environment turns out to be damaged, make that anew first."""
    try:
        from studio.__main__ import main as command

        code = command(argv, program="launch.py")
    except ImportError as error:
        repair(error, argv)
        raise
    raise SystemExit(code)


def repair(error: ImportError, argv: list[str]) -> None:
    """Start over with a fresh environment, once, if a package in ours turns out to be damaged."""
    from studio import bootstrap

    package = (error.name or "").split(".")[0]
    if not bootstrap.in_own_venv() or package in ("", "engines", "studio") or TRIED_REPAIR in os.environ:
        return
    bootstrap.say(f"The package {package} in .venv is damaged; the environment is set up again.")
    bootstrap.invalidate()
    os.environ[TRIED_REPAIR] = "1"
    become([sys._base_executable, str(ROOT / "launch.py"), *argv])  # type: ignore[attr-defined]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None
