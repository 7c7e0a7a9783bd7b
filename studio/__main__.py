"""`fusion-studio` and `python -m studio`: serve the page, or run a command in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from studio import serving
from studio.sharing import stay_offline


def main(argv: list[str] | None = None, program: str = "") -> int:
    """Run one command and return its exit code. program: as it was called, for usage lines."""
    arguments = sys.argv[1:] if argv is None else argv
    stay_offline()
    if serving.is_asked_for(arguments):
        from engines.cli.process import ends_on_ctrl_c

        called = program or ("fusion-studio" if Path(sys.argv[0]).name.startswith("fusion") else "python -m studio")
        options = serving.parse(arguments, called)
        with ends_on_ctrl_c():
            serving.serve(options)
        return 0
    from engines.cli import main as run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
