"""`fusion-studio` and `python -m studio`: serve the page, or run a command in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from studio import cli
from studio.sharing import stay_offline


def main(argv: list[str] | None = None, program: str = "") -> int:
    """Run one command and return its exit code. program: as it was called, for usage lines."""
    arguments = sys.argv[1:] if argv is None else argv
    if cli.asks_for_page(arguments):
        called = "fusion-studio" if Path(sys.argv[0]).name.startswith("fusion") else "python -m studio"
        return cli.main(arguments, program or called)
    from engines.cli import main as run

    stay_offline()
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
