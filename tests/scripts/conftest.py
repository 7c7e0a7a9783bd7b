"""Scripts that run experiments measure on a few examples, as the Lab's tests do; those for training read their data."""

from tests.engines.lab.conftest import few_examples
from tests.engines.training.conftest import data

__all__ = ["data", "few_examples"]
