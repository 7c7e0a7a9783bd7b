import pytest

from engines.lab import Curve, Findings, FusionRequest


def test_a_curve_grows_and_the_one_before_stays_as_it_was() -> None:
    curve = Curve("sum")
    longer = curve.then(1, 0.5).then(2, 0.7)
    assert (longer.x, longer.y) == ((1, 2), (0.5, 0.7))
    assert curve.x == ()


@pytest.mark.parametrize(("end", "done"), [(None, False), ("finished", True), ("cancelled", True)])
def test_findings_are_done_once_they_have_an_end(end: str | None, done: bool) -> None:
    assert Findings(request=FusionRequest(), end=end).done == done  # type: ignore[arg-type]
