"""Three promises with figures: FLUSHALL in the middle, hostile files beside good ones, a bulk load and a newcomer."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

from chaos.client import Client
from chaos.corpus import CORPORA, ENGLISH, MOST_CHUNKS, Document, made
from chaos.ledger import await_stillness
from chaos.report import Section
from chaos.site import Plan, Site

HANDS = 4
PACE = 0.8
"""Good files beside hostile ones must be done at no less than this share of their pace without."""
PAIRS = 3
NEWCOMER_SECONDS = 30.0


def flush_in_the_middle(root: Path, plan: Plan, *, files: int = 1000) -> Section:
    """FLUSHALL when half of the files are done."""
    chance = random.Random(files)
    documents = [made(number, chance, words=ENGLISH, most_words=1500) for number in range(files)]
    with Site(root, plan).open() as site:
        began = time.monotonic()
        batch = uuid4()
        driving = threading.Thread(target=_hand_in, args=(site, documents, batch))
        driving.start()
        flushed_at = _when_settled(site, files // 2)
        site.broker.empty()
        flushed = time.monotonic()
        driving.join()
        await_stillness(site)
        seconds, since = time.monotonic() - began, time.monotonic() - flushed
        (counts,) = site.rows(
            "select count(*) as files, count(*) filter (where status = 'complete') as complete from files"
        )
    told = f"{counts['complete']:,} of {files:,} files complete after FLUSHALL when {flushed_at:,} were; "
    told += f"{seconds:.0f} s in all, {since:.0f} s of them after it."
    return Section("`FLUSHALL` in the middle", told, "" if counts["complete"] == counts["files"] == files else told)


def hostile_beside_good(root: Path, plan: Plan, *, good: int = 200) -> Section:
    """The pace of good files, alone and with the hostile folder handed in beside them."""
    chance = random.Random(good)
    documents = [made(number, chance, words=ENGLISH, most_words=150 * MOST_CHUNKS) for number in range(good)]
    hostile = [
        Document(f"hostile-{number}-{path.name}", path.read_bytes())
        for number, path in enumerate(sorted((CORPORA / "hostile").rglob("*")))
        if path.is_file() and path.name != "manifest.tsv"
    ]
    if not hostile:
        return Section("Hostile files beside good ones", "Not measured: the corpora are not there.")
    # In turns: the seconds of one pair differ from those of the next by more than the measure allows.
    pairs = [
        (
            _seconds_until_done(root / f"alone-{pair}", plan, documents, [])[0],
            _seconds_until_done(root / f"beside-{pair}", plan, documents, hostile),
        )
        for pair in range(PAIRS)
    ]
    ratio = median(alone / beside for alone, (beside, _) in pairs)
    shown = "; ".join(
        f"{alone:.1f} s alone, {beside:.1f} s beside, {alone / beside:.2f}" for alone, (beside, _) in pairs
    )
    told = (
        f"{good} good files, alone and with {len(hostile)} hostile ones handed in at the same time, in turns: {shown}. "
        f"The median is {ratio:.2f} of the pace. {pairs[-1][1][1]} hostile files failed, each with its code."
    )
    return Section("Hostile files beside good ones", told, "" if ratio >= PACE else told)


def _seconds_until_done(
    root: Path, plan: Plan, documents: Sequence[Document], hostile: Sequence[Document]
) -> tuple[float, int]:
    """From the first request until every good file is complete; hostile files that failed by the end."""
    with Site(root, plan).open() as site:
        good, bad = uuid4(), uuid4()
        warm = Client(site.url)
        warm.hand_in("warm.txt", b"Everybody has worked once.", uuid4())
        await_stillness(site)
        began = time.monotonic()
        drivers = [
            threading.Thread(target=_hand_in, args=(site, files, batch))
            for files, batch in ((documents, good), (hostile, bad))
        ]
        for driver in drivers:
            driver.start()
        while _settled(site, good) < len(documents):
            time.sleep(0.05)
        seconds = time.monotonic() - began
        for driver in drivers:
            driver.join()
        await_stillness(site)
        failed = len(site.rows("select 1 from files where batch = %s and status = 'failed'", bad))
        warm.close()
    return seconds, failed


def newcomer_beside_bulk(root: Path, plan: Plan, *, bulk: int = 10_000) -> Section:
    """A bulk batch, then a single file of another: seconds until it is found, and the most messages on the queues."""
    chance = random.Random(bulk)
    documents = [made(number, chance, words=ENGLISH, most_words=150) for number in range(bulk)]
    with Site(root, plan).open() as site:
        highest = _Highest(site)
        driving = threading.Thread(target=_hand_in, args=(site, documents, uuid4()))
        driving.start()
        waits: list[float] = []
        client = Client(site.url)
        for share in (0.5, 0.75, 1.0):
            _until(lambda share=share: _files(site) >= share * bulk)
            waits.append(_until_found(client, f"newcomer {share}"))
        driving.join()
        unfinished = bulk - len(site.rows("select 1 from files where status = 'complete'"))
        most = highest.stop()
        client.close()
    shown = ", ".join(f"{wait:.1f}" for wait in waits)
    told = (
        f"{bulk:,} files handed in as one batch, and a single file of somebody else after a half, three quarters and "
        f"all of them: found by search {shown} s after it was handed in, with {unfinished:,} files of the batch "
        f"unfinished at the end. Never more than {most:,} messages in {site.broker.name}."
    )
    return Section("A bulk load and a newcomer", told, "" if max(waits) < NEWCOMER_SECONDS else told)


def _until_found(client: Client, word: str) -> float:
    began = time.monotonic()
    file_id = str(client.hand_in(f"{word}.txt", f"The {word} asks about the anemometer.".encode(), uuid4()))
    _until(lambda: any(hit["file_id"] == file_id for hit in client.search(f"{word} anemometer", k=10)))
    return time.monotonic() - began


class _Highest:
    """The most messages that were on the queues at any time."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stop = threading.Event()
        self._most = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            self._most = max(self._most, self._site.broker.messages())

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._most


def _hand_in(site: Site, documents: Sequence[Document], batch: UUID) -> None:
    client = Client(site.url)
    with ThreadPoolExecutor(HANDS) as hands:
        for handed in [hands.submit(client.hand_in, file.name, file.content, batch) for file in documents]:
            handed.result()
    client.close()


def _when_settled(site: Site, files: int) -> int:
    while (settled := len(site.rows("select 1 from files where settled_at is not null"))) < files:
        time.sleep(0.05)
    return settled


def _settled(site: Site, batch: UUID) -> int:
    (row,) = site.rows("select count(*) as n from files where batch = %s and settled_at is not null", batch)
    return row["n"]


def _files(site: Site) -> int:
    (row,) = site.rows("select count(*) as n from files")
    return row["n"]


def _until(condition: Callable[[], bool], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.05)
