"""What a cosine means: one half where wrong hits end, nine tenths for the median right one."""

import numpy as np
import pytest

from scripts.calibrate_search import curve


def test_the_curve_is_one_half_where_wrong_hits_end_and_nine_tenths_at_the_median_right_hit():
    wrong, right = np.linspace(-0.2, 0.3, 501), np.linspace(0.4, 0.8, 401)
    midpoint, slope = curve(right, wrong)
    assert (wrong > midpoint).mean() == pytest.approx(0.02, abs=0.002)
    assert 1 / (1 + np.exp(-slope * (np.median(right) - midpoint))) == pytest.approx(0.9)


def test_a_direction_that_tells_nothing_apart_still_has_a_rising_curve():
    same = np.linspace(-0.2, 0.3, 501)
    midpoint, slope = curve(same, same)
    assert midpoint == pytest.approx(0.29) and slope > 0
