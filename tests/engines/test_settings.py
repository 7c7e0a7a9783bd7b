"""How a host is opened: values that make no sense say so."""

import pytest

from engines.errors import RequestError
from engines.settings import Settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"dtype": "float8"}, "dtype 'float8' is not known; choose auto, float32 or bfloat16."),
        ({"n_threads": -1}, "n_threads and cache_bytes are counts; 0 or more."),
        ({"cache_bytes": -1}, "n_threads and cache_bytes are counts; 0 or more."),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        Settings(**wrong)  # type: ignore[arg-type]
    assert caught.value.en == sentence
    assert caught.value.zh != sentence
