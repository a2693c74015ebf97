"""What a search by words shows on real PostgreSQL: languages, quotes, highlights, neighbours, places in a File."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from pipeline_services import Pipeline, open_pipeline

from penstock.database.search import Filter
from penstock.models import Hit
from penstock.pipeline.search import Query, SearchMode, search

GERMAN = (
    "Die Verträge mit den Lieferanten wurden gestern von beiden Seiten unterschrieben und treten morgen in Kraft. "
    "Der Vorstand hat der Erhöhung der Preise nicht zugestimmt."
)
FRENCH = (
    "Les contrats avec les fournisseurs ont été signés hier par les deux parties et entrent en vigueur demain. "
    "Le conseil n'a pas approuvé l'augmentation des prix."
)
ENGLISH = (
    "The agreements with the suppliers were signed yesterday by both parties and come into force tomorrow. "
    "The board has not approved the increase of the prices."
)
JAPANESE = "契約は昨日、双方によって署名されました。東京都の水道料金は明日から上がります。"
TEXTS = {"de.txt": GERMAN, "fr.txt": FRENCH, "en.txt": ENGLISH, "ja.txt": JAPANESE}


@pytest.fixture
async def pipeline(migrated_url: str, redis_url: str, tmp_path: Path) -> AsyncGenerator[Pipeline]:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://64") as opened:
        yield opened


async def add(pipeline: Pipeline, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        await pipeline.submit(text, name)
    await pipeline.run()


async def find(
    pipeline: Pipeline, text: str, *, which: Filter | None = None, mode: str = "text", context: int = 0
) -> list[Hit]:
    return await search(
        Query(text, mode=SearchMode(mode), which=which or Filter(), context=context),
        database=pipeline.services.database,
        engine=pipeline.embedding.engine,
        index=pipeline.embedding.index,
    )


def names(hits: list[Hit]) -> list[str]:
    return [hit.name for hit in hits]


def bold(hit: Hit) -> list[str]:
    return [hit.text[start:end] for start, end in hit.highlights]


@pytest.mark.slow
async def test_each_file_in_its_language_and_a_query_in_all(pipeline: Pipeline) -> None:
    await add(pipeline, TEXTS)
    languages = await pipeline.values(b"select name, language from files order by name")
    assert languages == [("de.txt", "german"), ("en.txt", "english"), ("fr.txt", "french"), ("ja.txt", "simple")]
    assert await pipeline.values(b"select language from search_languages order by 1") == [
        ("english",),
        ("french",),
        ("german",),
        ("simple",),
    ]
    for query, name, words in [
        ("Vertrag mit Lieferant", "de.txt", ["Verträge", "Lieferanten"]),
        ("contrat signé", "fr.txt", ["contrats", "signés"]),
        ("agreement with a supplier", "en.txt", ["agreements", "suppliers"]),
        ("東京", "ja.txt", ["東京"]),
        ("水道料金", "ja.txt", ["水道料金"]),
        ("料", "ja.txt", ["料"]),
    ]:
        hits = await find(pipeline, query)
        assert names(hits)[0] == name, query
        assert bold(hits[0]) == words, query


@pytest.mark.slow
async def test_a_word_weighs_the_same_in_every_language(pipeline: Pipeline) -> None:
    """`contract` is common in English; that it is rare in German must not put the German text first."""
    await add(
        pipeline, {f"{n}.txt": f"The contract number {n} with the suppliers was signed in May." for n in range(30)}
    )
    await add(
        pipeline,
        {
            "best.txt": "The contract about the dredger was signed by the board and the suppliers in May.",
            "de.txt": f"{GERMAN} Man nennt das auch einen contract.",
        },
    )
    assert names(await find(pipeline, "the contract about the dredger"))[0] == "best.txt"
    hits = await find(pipeline, "contract", which=Filter(names=["best.txt", "de.txt"]))
    assert {hit.name for hit in hits} == {"best.txt", "de.txt"}


@pytest.mark.slow
async def test_stop_words_of_one_language_do_not_lift_texts_of_another(pipeline: Pipeline) -> None:
    texts = {f"{n}.txt": f"{ENGLISH} Remark number {n}, and the board knows of the agreements." for n in range(20)}
    await add(pipeline, {**texts, "codes.txt": f"{JAPANESE} The of and what is the of. {JAPANESE}"})
    assert (await pipeline.values(b"select language from files where name = 'codes.txt'")) == [("simple",)]
    hits = await find(pipeline, "what is the force of the agreements")
    assert hits[0].name != "codes.txt"
    assert await find(pipeline, "of the", which=Filter(names=["3.txt"])) == []


@pytest.mark.slow
async def test_a_language_that_is_set_is_that_of_every_file(migrated_url: str, redis_url: str, tmp_path: Path) -> None:
    async with open_pipeline(migrated_url, redis_url, tmp_path, "fake://64") as opened:
        settings = opened.services.settings
        german = settings.model_copy(update={"search": settings.search.model_copy(update={"language": "german"})})
        pipeline = dataclasses.replace(opened, services=dataclasses.replace(opened.services, settings=german))
        await add(pipeline, TEXTS)
        assert await pipeline.values(b"select distinct language from files") == [("german",)]
        assert names(await find(pipeline, "Vertrag")) == ["de.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["text", "hybrid", "vector"])
async def test_what_is_in_quotes_must_stand_there(pipeline: Pipeline, mode: str) -> None:
    await add(
        pipeline,
        {
            "yes.txt": "There is doubt about it as a going concern, and concern about the going rate.",
            "no.txt": "The concern is going on, said the board. It is a concern, going by the books.",
            "other.txt": "Pumps and valves.",
        },
    )
    (hit,) = await find(pipeline, 'the "going concern" doubt', mode=mode)
    assert hit.name == "yes.txt"
    assert bold(hit) == ["doubt", "going concern"]
    (hit,) = await find(pipeline, "\u201cconcern is going\u201d", mode=mode)
    assert (hit.name, bold(hit)) == ("no.txt", ["concern is going"])
    assert await find(pipeline, '"going valves"', mode=mode) == []
    assert set(names(await find(pipeline, 'a 5" pipe with going concern', mode=mode))) >= {"yes.txt", "no.txt"}
    without = Filter(without=["going concern"])
    assert "yes.txt" not in names(await find(pipeline, "going concern", which=without, mode=mode))
    assert names(await find(pipeline, "going concern", which=Filter(without=["doubt", "pump"]), mode=mode)) == [
        "no.txt"
    ]


@pytest.mark.slow
async def test_phrases_where_no_spaces_are_written(pipeline: Pipeline) -> None:
    await add(pipeline, {"ja.txt": JAPANESE, "other.txt": "東の京都では契約がまだ署名されていません。"})
    (hit,) = await find(pipeline, '"東京都"')
    assert (hit.name, bold(hit)) == ("ja.txt", ["東京都"])


@pytest.mark.slow
async def test_highlights_are_the_words_that_match(pipeline: Pipeline) -> None:
    text = "Prices rose: the U.S. e-mail of OpenServices (v1.2.3) cost $4.2 billion, 1,234.5 at Café Müller."
    await add(pipeline, {"a.txt": text})
    for query, words in [
        ("price", ["Prices"]),
        ("email", ["e-mail"]),
        ("mail", ["mail"]),
        ("services", ["Services"]),
        ("openservices", ["OpenServices"]),
        ("1.2.3", ["1.2.3"]),
        ("$4.2 billion", ["4.2", "billion"]),
        ("1234.5", ["1,234.5"]),
        ("cafe muller", ["Café", "Müller"]),
        ("US", ["U.S."]),
        ("pump price", ["Prices"]),
    ]:
        (hit,) = await find(pipeline, query)
        assert bold(hit) == words, query
    (hit,) = await find(pipeline, "price pump", mode="vector")
    assert bold(hit) == ["Prices"]
    (hit,) = await find(pipeline, "nothing", mode="vector")
    assert hit.highlights == []


@pytest.mark.slow
async def test_neighbours_of_a_hit(pipeline: Pipeline) -> None:
    sections = [f"# Part {n}\n\n" + f"Sentence about subject{n} and more of it. " * 25 for n in range(8)]
    await add(pipeline, {"long.md": "\n\n".join(sections), "other.md": "Nothing."})
    chunks = await pipeline.values(b"select index, text from chunks join files using (file_id) where name = 'long.md'")
    whole: dict[object, object] = {index: text for index, text in chunks}  # noqa: C416  # rows of unknown length
    hits = await find(pipeline, "subject3", context=2)
    for hit in hits:
        near = [*hit.before, *hit.after]
        assert [each.index for each in hit.before] == [n for n in (hit.index - 2, hit.index - 1) if n in whole]
        assert [each.index for each in hit.after] == [n for n in (hit.index + 1, hit.index + 2) if n in whole]
        assert all(each.text == whole[each.index] for each in near)
        assert "before" in hit.model_fields_set
    (first, *_) = await find(pipeline, "subject0", context=1)
    assert (first.before, len(first.after)) == ([], 1)
    assert "before" not in (await find(pipeline, "subject3"))[0].model_fields_set


@pytest.mark.slow
async def test_where_in_the_file_a_text_stands(pipeline: Pipeline) -> None:
    await add(
        pipeline, {"body.txt": "A pump.", "remark.txt": "A pump, says a reviewer.", "late.txt": "A pump on a page."}
    )
    async with pipeline.services.database.transaction() as rows:
        await rows.execute(
            'update chunks set metadata = \'{"origins": ["comment", "footnote"]}\' where text like \'%%reviewer%%\''
        )
        await rows.execute("update chunks set first_page = 3, last_page = 5 where text like '%%page%%'")

    async def found(**conditions: object) -> set[str]:
        which = Filter(**conditions)  # pyright: ignore[reportArgumentType]  # by name
        by_words = {hit.name for hit in await find(pipeline, "pump", which=which)}
        assert by_words == {hit.name for hit in await find(pipeline, "pump", which=which, mode="vector")}
        return by_words

    assert await found(origins=["comment"]) == {"remark.txt"}
    assert await found(origins=["body"]) == {"body.txt", "late.txt"}
    assert await found(origins=["hidden", "footnote", "body"]) == {"body.txt", "remark.txt", "late.txt"}
    assert await found(without_origins=["comment", "hidden"]) == {"body.txt", "late.txt"}
    assert await found(without_origins=["body"]) == {"remark.txt"}
    assert await found(pages=(1, 2)) == set()
    assert await found(pages=(5, 9)) == {"late.txt"}
    assert await found(pages=(1, 4)) == {"late.txt"}
