"""`fusion-studio` and `python -m studio`: serve the page, or run a command in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import engines
from studio import serving
from studio.offline import stay_offline


def main(argv: list[str] | None = None, program: str = "") -> int:
    """Run one command and return its exit code. program: as it was called, for usage lines."""
    arguments = sys.argv[1:] if argv is None else argv
    called = program or ("fusion-studio" if Path(sys.argv[0]).name.startswith("fusion") else "python -m studio")
    stay_offline()
    if arguments[:1] == ["--version"]:
        print(f"fusion-studio {engines.__version__}")
        return 0
    if serving.is_asked_for(arguments):
        from engines.cli.process import ends_on_ctrl_c

        options = serving.parse(arguments, called)
        with ends_on_ctrl_c():
            serving.serve(options)
        return 0
    if arguments[0] == "publish":
        from engines.hosts import publish

        return publish.main(arguments[1:], called)
    from engines.cli import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
