import pytest

from engines.lab import Table
from engines.lab.report import cell, markdown, over_seeds, text


@pytest.mark.parametrize(
    ("value", "column", "shown"),
    [
        (0.5, "accuracy %", "50.0"),
        (1.0, "accuracy %", "100.0"),
        (-0.022, "difference %", "-2.2"),
        (97635, "parameters", "97,635"),
        (17.348, "ms per step", "17.3"),
        (0.25, "modality gap", "0.25"),
        (None, "accuracy %", "-"),
        ("3", "says", "3"),
    ],
)
def test_a_cell_is_written_by_what_its_column_holds(value, column, shown):
    assert cell(value, column) == shown


def table(*rows: tuple[str, float, int | None]) -> Table:
    return Table("fusion", ("operator", "accuracy %", "parameters"), rows)


def test_several_seeds_are_a_mean_and_a_spread():
    joined = over_seeds([table(("sum", 0.7, 9), ("猫", 0.5, None)), table(("sum", 0.8, 9), ("猫", 0.5, None))])
    assert joined.rows == (("sum", "75.0 ± 7.1", "9"), ("猫", "50.0 ± 0.0", None))


def test_rows_are_matched_by_name_whatever_their_order():
    joined = over_seeds([table(("a", 0.0, 1), ("b", 1.0, 1)), table(("b", 1.0, 1), ("a", 0.0, 1))])
    assert joined.rows == (("a", "0.0 ± 0.0", "1"), ("b", "100.0 ± 0.0", "1"))


def test_words_that_differ_between_seeds_are_left_out():
    one, other = (Table("trust", ("operator", "says"), (("sum", said),)) for said in "35")
    assert over_seeds([one, other]).rows == (("sum", None),)
    assert over_seeds([one, one]).rows == (("sum", "3"),)


def test_a_table_stands_in_columns_also_with_wide_letters():
    lines = text(table(("attention", 0.5, 1234), ("猫", 1.0, None))).splitlines()
    assert lines == [
        "FUSION",
        "operator   accuracy, %  parameters",
        "attention         50.0       1,234",
        "猫               100.0           -",
    ]


def test_markdown_is_a_table_and_a_name_cannot_break_it():
    assert markdown(table(("a|b", 0.5, 1))).splitlines() == [
        "| operator | accuracy, % | parameters |",
        "| --- | ---: | ---: |",
        "| a\\|b | 50.0 | 1 |",
    ]
