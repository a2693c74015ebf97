"""Number formats of spreadsheets (ECMA-376, 18.8.31): what `#,##0.00 "kg"` or `d mmm yyyy` makes of a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import lru_cache

EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - there are no zones in a sheet
EPOCH_1904 = datetime(1904, 1, 1)  # noqa: DTZ001
LAST_SERIAL = 2_958_466
"""The day after 31 December 9999."""
MOST_DIGITS = 15
"""Of a number, by the precision of what is stored; more in a code are zeros."""
MOST_PLACES = 30
_ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)
"""Wide enough for the greatest float and its places."""

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?'
    r"|\\(?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)"
    r"|\[(?P<elapsed>h+|m+|s+)\]|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<bracket>[^\]]*)\]"
    r"|(?P<general>general)|(?P<scientific>e[+-])|(?P<half>am/pm|a/p)|(?P<era>g+|b+)"
    r"|(?P<moment>y+|e+|m+|d+|h+|s+(?:\.0+)?|a{3,})|(?P<digit>[0#?])|(?P<mark>[.,%/@])|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_CORE = re.compile(r"(#,##)?(0+)(?:\.(0+))?")
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[\d.]+)")
_LITERALS = ("quoted", "escaped", "currency", "other")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str

    @property
    def is_literal(self) -> bool:
        return self.kind in _LITERALS


_POINTS = (_Token("mark", "."), _Token("mark", ","))


@dataclass(frozen=True, slots=True)
class _Plain:
    """What most sections are: digits in a row, with words before and behind. Shown ten times as fast as by tokens."""

    before: str
    behind: str
    width: int
    places: int
    grouped: bool
    factor: int

    def shown(self, number: float) -> str:
        value = _rounded(Decimal(general(number)) * self.factor, self.places)
        return f"{self.before}{value:{',' if self.grouped else f'0{self.width}'}f}{self.behind}".strip()


@dataclass(frozen=True, slots=True)
class _Section:
    """A part of a code, for some of the numbers."""

    tokens: Sequence[_Token]
    condition: tuple[str, float] | None
    plain: _Plain | None = None

    def has(self, *kinds: str) -> bool:
        return any(token.kind in kinds for token in self.tokens)

    def marks(self, mark: str) -> int:
        return sum(token.kind == "mark" and token.text == mark for token in self.tokens)


def shown(number: float, code: str, epoch: datetime = EPOCH) -> str:
    """A number as a cell with this format shows it.

    A format that shows nothing of a number (`;;;`) hides it from the eye: it is given without a format, but for zero.

    Dates of figures only are given as ISO 8601, of what the format shows of them: whether 5/4 is in April or in May
    depends on who opens the file. Formats that name months, days or units are followed.
    """
    section, negated = _section_for(number, _sections(code))
    if section.plain and number >= 0:
        return section.plain.shown(number)
    if section.has("moment", "elapsed"):
        return _moment(number, section, epoch)
    size = abs(number) if negated else number
    text = _number(size, section) if section.has("digit") else _around(section, general(size))
    return text if text or not number else general(number)


def is_moment_or_share(code: str) -> bool:
    """Whether the format makes a date, a time or a percentage of a number: without it, it is another number."""
    return any(section.has("moment", "elapsed") or section.marks("%") for section in _sections(code))


def general(number: float) -> str:
    """A number without a format."""
    return f"{number:.{MOST_DIGITS}G}"


@lru_cache(maxsize=1024)
def _sections(code: str) -> tuple[_Section, ...]:
    sections: list[list[_Token]] = [[]]
    for found in _TOKEN.finditer(code):
        kind = found.lastgroup or "other"
        text = found[kind]
        if kind == "other" and text == ";":
            sections.append([])
        else:
            sections[-1].append(_Token(kind, text.lower() if kind in ("moment", "elapsed", "half") else text))
    return tuple(_section(tokens) for tokens in sections[:3])


def _section(tokens: list[_Token]) -> _Section:
    told = tuple(_told_apart(tokens))
    return _Section(told, _condition(tokens), _plain(told))


def _plain(tokens: Sequence[_Token]) -> _Plain | None:
    """Only where `0`, `#,##0` or such, and a fixed number of decimals, stand together."""
    digits = [at for at, token in enumerate(tokens) if token.kind == "digit" or token in _POINTS]
    kinds = {token.kind for token in tokens} - {*_LITERALS, "space", "fill", "bracket", "digit", "mark"}
    if not digits or kinds or digits != list(range(digits[0], digits[-1] + 1)):
        return None
    core = _CORE.fullmatch("".join(tokens[at].text for at in digits))
    around = (*tokens[: digits[0]], *tokens[digits[-1] + 1 :])
    marks = [token.text for token in around if token.kind == "mark"]
    if not core or marks not in ([], ["%"]):
        return None
    places = len(core[3] or "")
    width = len(core[2]) + (places + 1 if places else 0)
    before, behind = ("".join(map(_literal, part)) for part in (tokens[: digits[0]], tokens[digits[-1] + 1 :]))
    return _Plain(before, behind, width, places, grouped=bool(core[1]), factor=100 if marks else 1)


def _told_apart(tokens: list[_Token]) -> list[_Token]:
    """`m` is minutes behind hours and before seconds, else months; `E+` is no moment."""
    told: list[_Token] = []
    times = [at for at, token in enumerate(tokens) if token.kind in ("moment", "elapsed")]
    for at, token in enumerate(tokens):
        if token.kind == "moment" and token.text in ("m", "mm"):
            before = [tokens[other].text[0] for other in times if other < at][-1:]
            after = [tokens[other].text[0] for other in times if other > at][:1]
            told.append(_Token("moment", token.text.replace("m", "i")) if "h" in before or "s" in after else token)
        else:
            told.append(token)
    return told


def _condition(tokens: list[_Token]) -> tuple[str, float] | None:
    for token in tokens:
        found = _CONDITION.fullmatch(token.text) if token.kind == "bracket" else None
        if found:
            try:
                return found[1], float(found[2])
            except ValueError:
                return None
    return None


def _section_for(number: float, sections: tuple[_Section, ...]) -> tuple[_Section, bool]:
    """The section for a number, and whether it says itself that the number is negative."""
    if any(section.condition for section in sections):
        for section in sections:
            if section.condition is None or _holds(number, *section.condition):
                return section, section.condition is not None and number < 0 and section is not sections[0]
        return sections[-1], False
    if number < 0 and len(sections) > 1:
        return sections[1], True
    return sections[2 if number == 0 and len(sections) > 2 else 0], False


def _holds(number: float, operator: str, bound: float) -> bool:
    match operator:
        case "<":
            return number < bound
        case "<=":
            return number <= bound
        case ">":
            return number > bound
        case ">=":
            return number >= bound
        case "=":
            return number == bound
        case _:
            return number != bound


def _around(section: _Section, text: str) -> str:
    """Literals with `text` in the place of `General` or `@`; only literals where the format shows no number."""
    parts = [
        text if token.kind == "general" or token.text == "@" else _literal(token)
        for token in section.tokens
    ]  # fmt: skip
    return "".join(parts).strip()


def _literal(token: _Token) -> str:
    return token.text if token.is_literal else " " if token.kind == "space" else "%" if token.text == "%" else ""


# ---- numbers ----


def _number(number: float, section: _Section) -> str:
    sign = "-" if number < 0 else ""
    value = Decimal(general(abs(number))) * 100 ** min(section.marks("%"), 3)
    if section.has("scientific"):
        text = _scientific(value, section)
    elif section.marks("/"):
        text = _fraction(value, section)
    else:
        text = _decimal(value, section)
    # What rounds to nothing has no sign
    return (f"{sign}{text}" if re.search("[1-9]", text) else text).strip()


def _decimal(value: Decimal, section: _Section) -> str:
    before, after = _halves(section.tokens)
    value /= 1000 ** _scaling_commas(section.tokens)
    places = _digits(after)
    whole, _, decimals = f"{_rounded(value, len(places)):f}".partition(".")
    kept = len(decimals.rstrip("0"))
    kept = max(kept, len("".join(places).rstrip("#")))
    return _whole(whole, before) + _decimals(decimals[:kept], after, has_point=len(after) > 0)


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-min(places, MOST_PLACES)), context=_ROUNDING)


def _halves(tokens: Sequence[_Token]) -> tuple[Sequence[_Token], Sequence[_Token]]:
    """What stands before the decimal point, and the point with what is behind it."""
    for at, token in enumerate(tokens):
        if token.kind == "mark" and token.text == ".":
            return tokens[:at], tokens[at:]
    return tokens, ()


def _digits(tokens: Sequence[_Token]) -> list[str]:
    return [token.text for token in tokens if token.kind == "digit"]


def _scaling_commas(tokens: Sequence[_Token]) -> int:
    """Each comma behind the last digit stands for a thousand."""
    last = max(at for at, token in enumerate(tokens) if token.kind == "digit")
    count = 0
    for token in tokens[last + 1 :]:
        if token.text != ",":
            break
        count += 1
    before = _halves(tokens)[0]
    if count == 0 and len(before) < len(tokens):  # `#,##0,.00`
        while count < len(before) and before[-1 - count].text == ",":
            count += 1
    return count


def _whole(digits: str, tokens: Sequence[_Token]) -> str:
    """The digits before the point, from the last one on, among the literals of the code."""
    places = _digits(tokens)
    digits = digits.lstrip("0").rjust(len("".join(places).lstrip("#?")), "0")
    grouped = _is_grouped(tokens)
    left, shown_digits, parts = len(places), 0, list[str]()
    for token in reversed(tokens):
        if token.kind != "digit":
            parts.append(_literal(token))
            continue
        left -= 1
        take = digits if left == 0 else digits[-1:]
        digits = digits[: len(digits) - len(take)]
        for digit in reversed(take):
            if grouped and shown_digits and shown_digits % 3 == 0:
                parts.append(",")
            parts.append(digit)
            shown_digits += 1
    return "".join(reversed(parts))


def _is_grouped(tokens: Sequence[_Token]) -> bool:
    places = [at for at, token in enumerate(tokens) if token.kind == "digit"]
    return (
        any(token.text == "," and places[0] < at < places[-1] for at, token in enumerate(tokens)) if places else False
    )


def _decimals(digits: str, tokens: Sequence[_Token], *, has_point: bool) -> str:
    parts = ["."] if has_point and (digits or not _digits(tokens)) else []
    rest = iter(digits)
    parts += [next(rest, "") if token.kind == "digit" else _literal(token) for token in tokens[1:]]
    return "".join(parts)


def _scientific(value: Decimal, section: _Section) -> str:
    at = next(at for at, token in enumerate(section.tokens) if token.kind == "scientific")
    mantissa, exponent = section.tokens[:at], section.tokens[at + 1 :]
    before, after = _halves(mantissa)
    step = max(len(_digits(before)), 1)
    power = value.adjusted() if value else 0
    power -= power % step if step > 1 else 0
    scaled = _rounded(value.scaleb(-power), len(_digits(after)))
    if scaled.adjusted() >= step:
        scaled, power = _rounded(scaled.scaleb(-step), len(_digits(after))), power + step
    whole, _, decimals = f"{scaled:f}".partition(".")
    width = len(_digits(exponent))
    sign = "-" if power < 0 else "+" if section.tokens[at].text.endswith("+") else ""
    return f"{_whole(whole, before)}{_decimals(decimals, after, has_point=bool(after))}E{sign}{abs(power):0{width}}"


def _fraction(value: Decimal, section: _Section) -> str:
    """`# ?/?`: the nearest fraction whose denominator has no more digits than the code, or the one that it gives."""
    at = next(at for at, token in enumerate(section.tokens) if token.kind == "mark" and token.text == "/")
    below = section.tokens[at + 1 :]
    fixed = "".join(token.text for token in below if token.text.isdecimal() and token.text != "0")
    most = 10 ** min(max(len(_digits(below)), 1), 5) - 1
    has_whole = any(token.text == " " for token in section.tokens[:at] if token.kind == "other")
    whole, rest = divmod(Fraction(value), 1) if has_whole else (0, Fraction(value))
    if fixed:
        over, under = round(rest * int(fixed)), int(fixed)
    else:
        over, under = rest.limit_denominator(most).as_integer_ratio()
    if has_whole and over == under:
        whole, over = whole + 1, 0
    parts = [str(whole)] if whole or (has_whole and not over) else []
    return " ".join([*parts, f"{over}/{under}"] if over or not has_whole else parts)


# ---- dates and times ----


@lru_cache(maxsize=8192)  # the days of twenty years: they are dear, and a column has the same ones again and again
def _moment(number: float, section: _Section, epoch: datetime) -> str:
    if not 0 <= number < LAST_SERIAL:
        return general(number)  # a cell that shows nothing but ####
    digits = max((len(token.text.partition(".")[2]) for token in section.tokens if token.kind == "moment"), default=0)
    seconds = _seconds(number, digits)
    if epoch == EPOCH and number < 60:
        epoch += timedelta(days=1)  # the 29th of February 1900, which never was, is day 60
    moment = epoch + timedelta(seconds=float(seconds))
    if _names_something(section):
        return _followed(section.tokens, moment, seconds, section).strip()
    date = [token.text[0] for token in section.tokens if token.kind == "moment" and token.text[0] in "yemd"]
    times = [at for at, token in enumerate(section.tokens) if _is_time(token)]
    parts = [_iso(date, moment)] if date else []
    if times:
        parts.append(_followed(section.tokens[times[0] : times[-1] + 1], moment, seconds, section))
    return " ".join(parts)


def _seconds(number: float, digits: int) -> Decimal:
    return _rounded(Decimal(general(number)) * 86_400, min(digits, 6))


def _names_something(section: _Section) -> bool:
    """Whether there are words in what the format shows of a date."""
    return any(
        (token.kind == "moment" and token.text[0] in "md" and len(token.text) > 2)
        or (token.kind == "moment" and token.text.startswith("aaa"))
        or (token.is_literal and any(map(str.isalpha, token.text)) and token.text.lower() not in ("t", "z"))
        for token in section.tokens
    )


def _is_time(token: _Token) -> bool:
    return token.kind in ("elapsed", "half") or (token.kind == "moment" and token.text[0] in "his")


def _iso(parts: list[str], moment: datetime) -> str:
    shown_parts = {"y": f"{moment.year:04}", "m": f"{moment.month:02}", "d": f"{moment.day:02}"}
    present = {"y" if part == "e" else part for part in parts}
    return "-".join(text for part, text in shown_parts.items() if part in present)


def _followed(tokens: Sequence[_Token], moment: datetime, seconds: Decimal, section: _Section) -> str:
    half_days = section.has("half")
    return "".join(
        _component(token, moment, seconds, half_days=half_days)
        if token.kind in ("moment", "elapsed", "half")
        else token.text if token.kind == "mark" else _literal(token)
        for token in tokens
    )  # fmt: skip


def _component(token: _Token, moment: datetime, seconds: Decimal, *, half_days: bool) -> str:
    if token.kind == "half":
        return "AM" if moment.hour < 12 else "PM"
    letter, width = token.text[0], len(token.text)
    if token.kind == "elapsed":
        unit = {"h": 3600, "m": 60, "s": 1}[letter]
        return f"{int(seconds // unit):0{width}}"
    if letter in "ye":
        return f"{moment.year % 100:02}" if letter == "y" and width <= 2 else f"{moment.year:04}"
    if letter in "ma" or (letter == "d" and width > 2):
        return _named(letter, width, moment)
    if letter == "s":
        width = len(token.text.partition(".")[0])
        digits = len(token.text.partition(".")[2])
        return f"{seconds % 60:0{width + digits + 1 if digits else width}.{digits}f}"
    hour = (moment.hour - 1) % 12 + 1 if half_days else moment.hour
    return f"{ {'d': moment.day, 'h': hour, 'i': moment.minute}[letter]:0{min(width, 2)}}"


def _named(letter: str, width: int, moment: datetime) -> str:
    """Months and days of the week, in English: the language is that of who opens the file."""
    if letter == "m" and width <= 2:
        return f"{moment.month:0{width}}"
    name = _MONTHS[moment.month - 1] if letter == "m" else _DAYS[moment.weekday()]
    return name[0] if width == 5 and letter == "m" else name[:3] if width == 3 else name
