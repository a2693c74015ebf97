"""The words of a text as PostgreSQL indexes them, and as `database/words.py` finds them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock.database.words import spellings, terms, words

Lexemes = Callable[[str, str], list[str]]


@pytest.fixture(scope="module")
def connection(make_database: Callable[..., str], migrated_template: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(make_database(template=migrated_template), autocommit=True) as opened:
        yield opened


def indexed(connection: psycopg.Connection, text: str, language: str = "english") -> set[str]:
    rows = connection.execute("select lexeme from unnest(penstock_text_search(%s, %s))", [language, text])
    return {lexeme for (lexeme,) in rows}


def found_again(connection: psycopg.Connection, text: str, language: str = "english") -> set[str]:
    spelled = [word.spelling for word in (*words(text), *spellings(text))]
    rows = connection.execute(
        "select lexeme from unnest(%s::text[]) word cross join lateral unnest(penstock_lexemes(%s, word))",
        [spelled, language],
    )
    return {lexeme for (lexeme,) in rows}


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("It came to 1,234.5 units.", "1,234.5"),
        ("It came to 1,234.5 units.", "1234.5"),
        ("Sales of $4.2 billion, up 5%", "$4.2 billion"),
        ("worth 4.2bn", "4.2"),
        ("our Form 10-K for 2023", "10-K"),
        ("our Form 10-K for 2023", "10K"),
        ("certified to ISO-9001 in May", "ISO 9001"),
        ("certified to ISO-9001 in May", "ISO9001"),
        ("certified to ISO 9001 in May", "ISO9001"),
        ("write to joe.smith@example.com today", "joe.smith@example.com"),
        ("write to joe.smith@example.com today", "smith"),
        ("see https://www.example.com/manual/pump.html#prime", "https://www.example.com/manual/pump.html#prime"),
        ("see https://www.example.com/manual/pump.html#prime", "pump.html"),
        ("since v1.2.3 of it", "1.2.3"),
        ("since version 1.2.3 of it", "v1.2.3"),
        ("needs Python3.11", "Python 3.11"),
        ("a multi-tenant service", "tenant"),
        ("a multi-tenant service", "multitenant"),
        ("an e-mail", "email"),
        ("calls OpenServices()", "openservices"),
        ("calls OpenServices()", "open"),
        ("class HTTPServer:", "server"),
        ("set max_tokens=5", "tokens"),
        ("report_2024-final.pdf", "report_2024-final.pdf"),
        ("report_2024-final.pdf", "final"),
        ("FY2023 results", "2023"),
        ("pumps and/or valves", "valves"),
        ("pump/valve sets", "pump"),
        ("It was the end.The valve stayed.", "valve"),
        ("if a <b and pump> c", "pump"),
        ("AT&T and R&D", "R&D"),
        ("AT&T and R&D", "AT&T"),
        ("made in the U.S. in May", "US"),
        ("made in the U.S. in May", "U.S."),
        ("the café is open", "cafe"),
        ("the cafe is open", "café"),
        ("Herr Müller fuhr", "Muller"),
        ("the \ufb01nance o\ufb03ce", "finance office"),
        ("a hy\u00adphen and zero\u200bwidth", "hyphen"),
        ("the director\u2019s \u201clast\u201d words\u2014here", "last"),
        ("ÜBER ALLES", "über"),
        ("東京都は日本の首都です", "東京"),
        ("東京都は日本の首都です", "都"),
        ("\uff46\uff55\uff4c\uff4c \uff11\uff12\uff13", "123"),
        ("계약은 어제 서명되었습니다", "서명"),
        ("สัญญาถูกลงนามเมื่อวานนี้", "ลงนาม"),
        ("अनुबंध पर हस्ताक्षर", "हस्ताक्षर"),
        ("договоры подписаны", "договоры"),
    ],
)
@pytest.mark.parametrize("language", ["english", "simple"])
def test_what_somebody_types_is_found(connection: psycopg.Connection, text: str, query: str, language: str) -> None:
    rows = connection.execute(
        "select lexeme from unnest(%s::text[]) term cross join lateral unnest(penstock_lexemes(%s, term))",
        [terms(query), language],
    )
    assert {lexeme for (lexeme,) in rows} & indexed(connection, text, language)


# fmt: off
PIECES = st.sampled_from([
    *"aAbBzZ09.,-/&@_'\"<>()#$% \n", *"éÜß東京のー한ไทд", "o\ufb03ce", " \uff21\uff11 ", "\u2014", "\u2019",
    "so\u00adft", "HTTP", "Server", "12", "345", "ing", "the", " U.S. ", "1,000", "v1.2",
])
# fmt: on


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=14).map("".join))
@example("Form 10-K, ISO-9001, U.S. and 1,234.5 of OpenServices")
@example("東京都の,1.5é-B")
def test_words_follow_the_rules_of_the_index(connection: psycopg.Connection, text: str) -> None:
    assert indexed(connection, text) <= found_again(connection, text)


@given(st.text(max_size=60))
def test_words_stand_where_they_say(text: str) -> None:
    for word in (*words(text), *spellings(text)):
        assert 0 <= word.start < word.end <= len(text)
    starts = [word.start for word in words(text)]
    assert starts == sorted(set(starts))


def test_the_terms_of_a_query() -> None:
    assert terms("the 10-K, the 10-K") == ["the", "10", "10K", "K"]
    assert terms("東京都 と A東") == ["東京", "京都", "と", "A", "東"]
    assert len(terms(" ".join(map(str, range(1000))))) == 200
