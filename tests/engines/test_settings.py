"""How a host is opened: values that make no sense say so."""

import pytest

from engines.errors import RequestError
from engines.settings import Settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"dtype": "float8"}, "dtype 'float8' is not known; choose auto, float32, bfloat16, int8, int4."),
        ({"n_threads": -1}, "n_threads, cache_bytes and idle_s are 0 or more."),
        ({"idle_s": -1.0}, "n_threads, cache_bytes and idle_s are 0 or more."),
        ({"timeout_s": 0.0}, "timeout_s is more than 0 seconds."),
        ({"cache_bytes": -1}, "n_threads, cache_bytes and idle_s are 0 or more."),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong, sentence):
    with pytest.raises(RequestError) as caught:
        Settings(**wrong)
    assert caught.value.en == sentence
    assert caught.value.zh != sentence


def test_a_key_is_not_shown():
    assert "secret" not in repr(Settings(api_key="secret"))
