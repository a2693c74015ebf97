"""What a number looks like in a cell.

LibreOffice shows the same, but for dates of figures and the days before March 1900.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.parsing.formats.format_code import EPOCH_1904, shown
from penstock.parsing.formats.number_format import BUILT_IN, NumberFormats, number_shown

NOON = 45_413.5
"""1 May 2024."""


@pytest.mark.parametrize(
    ("code", "number", "text"),
    [
        ("0", 2.5, "3"),
        ("0.00", 99.995, "100.00"),
        ("0.00", 0.1 + 0.2, "0.30"),
        ("#,##0.00", -1234.567, "-1,234.57"),
        ("#,##0", 1e21, "1,000,000,000,000,000,000,000"),
        ("0.00000000", 1e21, "1000000000000000000000.00000000"),
        ("0.00", -0.004, "0.00"),
        ("#.##", 0.125, ".13"),
        ("0.###", 5, "5"),
        ("00000", 12, "00012"),
        ("000-00-0000", 123456789, "123-45-6789"),
        ("(###) ###-####", 5551234567, "(555) 123-4567"),
        ("0%", 0.125, "13%"),
        ("0.0%", 0.125, "12.5%"),
        ('0.0"%"', 0.125, "0.1%"),
        ('"approx. "#,##0.0', 1234.56, "approx. 1,234.6"),
        ('"$"#,##0_);("$"#,##0)', -1234.5, "($1,235)"),
        ('_("$"* #,##0.00_);_("$"* (#,##0.00);_("$"* "-"??_);_(@_)', 1234.5, "$1,234.50"),
        ('_("$"* #,##0.00_);_("$"* (#,##0.00);_("$"* "-"??_);_(@_)', 0, "$-"),
        ("#,##0.00 [$€-40C]", 7, "7.00 €"),
        ('0.0 "kg"', 1.25, "1.3 kg"),
        ('#,##0.0,,"M"', 123456789, "123.5M"),
        ("#,##0,.0", 1234567, "1,234.6"),
        ('[>=1000]#,##0," k";0', 12345, "12 k"),
        ('[>=1000]#,##0," k";0', 12, "12"),
        ('"yes";"no";"none"', -3, "no"),
        ("[Red]0.0;[Blue]-0.0", -3, "-3.0"),
        ("0;;", -3, "-3"),
        ("0;;", 0, ""),
        ("0.00E+00", 1234.5, "1.23E+03"),
        ("##0.0E+0", 0.125, "125.0E-3"),
        ("0E+0", 9.9, "1E+1"),
        ("# ?/?", 2.5, "2 1/2"),
        ("# ?/8", 0.5, "4/8"),
        ("# ?/?", 0.99, "1"),
        ("General", 1 / 3, "0.333333333333333"),
        ('General "units"', 5, "5 units"),
        ("@", 5, "5"),
    ],
)
def test_numbers(code: str, number: float, text: str) -> None:
    assert shown(number, code) == text


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("dd/mm/yyyy", "2024-05-01"),
        ("m/d/yy h:mm", "2024-05-01 12:00"),
        ("m/yyyy", "2024-05"),
        ('yyyy-mm-dd"T"hh:mm:ss', "2024-05-01 12:00:00"),
        ("d mmm yyyy", "1 May 2024"),
        ("[$-409]dddd, mmmm d, yyyy;@", "Wednesday, May 1, 2024"),
        ("mmm-yy", "May-24"),
        ('yyyy"年"m"月"d"日"', "2024年5月1日"),
        ("h:mm AM/PM", "12:00 PM"),
        ("hh:mm:ss.00", "12:00:00.00"),
        ("[h]:mm", "1089924:00"),
        ('hh"h"mm', "12h00"),
    ],
)
def test_dates_and_times(code: str, text: str) -> None:
    assert shown(NOON, code) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1900-01-01"),
        (59, "1900-02-28"),
        (61, "1900-03-01"),
        (2_958_465, "9999-12-31"),
        (-1, "-1"),
        (3e6, "3000000"),
    ],
)
def test_the_ends_of_the_calendar(number: float, text: str) -> None:
    assert shown(number, "yyyy-mm-dd") == text


def test_workbooks_that_count_from_1904() -> None:
    assert shown(0, "yyyy-mm-dd", EPOCH_1904) == "1904-01-01"
    assert shown(NOON - 1462, "d mmm yyyy", EPOCH_1904) == "1 May 2024"


def test_what_is_stored_is_kept_where_there_is_no_format() -> None:
    formats = NumberFormats(["General", BUILT_IN[4]])
    assert formats.shown("12345678901234567890", "0") == "12345678901234567890"
    assert formats.shown("0.30000000000000004", None) == "0.3"
    assert formats.shown("1234.5", "1") == "1,234.50"
    assert formats.shown("1234.5", "99") == "1234.5"
    assert formats.shown("not a number", "1") == "not a number"
    assert formats.shown("NaN", "1") == "NaN"
    assert formats.shown("1e400", "1") == "1e400"


CODES = st.text(alphabet='0#?.,%/E+-;@[]"\\_* $€ymdhsaAMPgb:><=1()k', max_size=24)


@given(CODES, st.floats(allow_nan=False, allow_infinity=False))
def test_any_code_shows_something_of_any_number(code: str, number: float) -> None:
    assert isinstance(number_shown(repr(number), code), str)
    assert isinstance(number_shown(repr(number), code, EPOCH_1904), str)
