"""Scripts that run experiments measure on a few examples, as the Lab's own tests do."""

from tests.engines.lab.conftest import few_examples

__all__ = ["few_examples"]
