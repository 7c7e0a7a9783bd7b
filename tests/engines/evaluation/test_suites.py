"""All suites by name, on nothing, on the built-in host, on real data."""

from __future__ import annotations

import pytest

from engines.errors import RequestError
from engines.evaluation.suites import SUITES, chosen
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost


@pytest.mark.parametrize("name", [name for name in SUITES if name not in ("speed", "repetition")])
def test_an_empty_data_folder_skips_every_suite_with_a_reason(oracle, tmp_path, name):
    rows = rows_of(oracle, tmp_path, name, 1)
    without_value = [row for row in rows.values() if row.value is None]
    assert without_value
    assert all(row.skipped.startswith("the data has no") for row in without_value)


def test_suites_are_chosen_by_name_and_a_wrong_name_lists_the_right_ones():
    assert chosen([]) == list(SUITES)
    assert chosen(["video_qa", "caption"]) == ["caption", "video_qa.composed", "video_qa.mini"]
    with pytest.raises(RequestError, match="No suite is called 'captoin'; known are caption, retrieval") as caught:
        chosen(["captoin"])
    assert "captoin" in caught.value.text("zh")


def test_every_suite_runs_on_real_data(real_data):
    for name in SUITES:
        rows = rows_of(FakeHost(), real_data, name, 4)
        assert rows


@pytest.mark.parametrize("name", SUITES)
def test_the_built_in_host_answers_every_suite(tiny_host, tiny, name):
    rows = rows_of(tiny_host, tiny, name, 1)
    reasons = {row.skipped for row in rows.values() if row.value is None}
    expected = ("the data has no", "espeak-ng", "flite", "only 0 classes", "only 1 classes")
    assert {reason for reason in reasons if not reason.startswith(expected)} == set()
