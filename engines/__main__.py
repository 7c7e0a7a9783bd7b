"""`python -m engines ...`: the command line `fusion-studio`, where no console script is installed."""

from __future__ import annotations

from engines.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
