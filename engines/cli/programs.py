"""Commands with a parser of their own: they are given the rest of the command line."""

from __future__ import annotations

from collections.abc import Sequence


def serve(argv: Sequence[str]) -> int:
    """The page in the browser."""
    from studio import serving
    from studio.offline import stay_offline

    stay_offline()
    serving.serve(serving.parse(["serve", *argv], "fusion-studio"))
    return 0


def lab(argv: Sequence[str]) -> int:
    """An experiment of the Lab, or a kept run again."""
    from engines.lab.__main__ import main

    return main(argv)


def train(argv: Sequence[str]) -> int:
    """One stage of the training."""
    from engines.training.train import main

    main(argv)
    return 0


def evaluate(argv: Sequence[str]) -> int:
    """The tables of figures."""
    from engines.evaluation.__main__ import main

    return main(argv)


def publish(argv: Sequence[str]) -> int:
    """A model folder on the Hugging Face hub."""
    from engines.hosts import publish as publishing

    return publishing.main(list(argv), "fusion-studio")
