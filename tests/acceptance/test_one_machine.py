"""What a user gets on one machine, on real files, with real processes that really get killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from installation import CORPORA, EXAMPLES, Installation, penstock_up
from real_servers import wait_until

pytestmark = pytest.mark.slow

needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="needs the corpora in ../shared/corpora")


@pytest.fixture(scope="module")
def penstock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with penstock_up(tmp_path_factory.mktemp("data")) as installation:
        yield installation


def chunks_of(installation: Installation) -> list[tuple[Any, ...]]:
    """Every Chunk of every File with its vector, by name and index."""
    with psycopg.connect(installation.database_url) as connection:
        return connection.execute(
            "select f.name, c.index, c.text, e.embedding::text from chunks c join files f using (file_id)"
            " left join embeddings e using (chunk_id) order by f.name, f.file_id, c.index"
        ).fetchall()


def test_the_examples_become_searchable_with_page_and_place(penstock: Installation) -> None:
    added = penstock.lines("add", EXAMPLES)
    assert {line["status"] for line in added} == {"complete"}
    assert len(added) == len(list(EXAMPLES.iterdir()))
    for question, name, pages in (
        ("how fast may the intake gate be closed", "operations-manual.pdf", [4, 4]),
        ("what caused the turbine trip in March", "incident-report-march.html", None),
        ("who must sign the lock-out sheet", "lock-out-procedure.docx", None),
    ):
        first = penstock.json("search", question, "-k", 1)[0]
        assert (Path(first["name"]).name, first["pages"]) == (name, pages)
        start, end = first["char_span"]
        assert end - start == len(first["text"])
        assert set(first) == {
            "score", "file_id", "name", "chunk_id", "index", "text", "pages", "char_span", "headings",
            "context", "metadata", "highlights",
        }  # fmt: skip
    again = penstock.lines("add", EXAMPLES)
    assert {line["file_id"] for line in again} == {line["file_id"] for line in added}, "nothing is handed in twice"


@needs_corpora
def test_every_corpus_file_ends_complete_or_failed_with_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_EMBEDDING_MODEL", "fake://384")  # whose vectors do not matter here: they take minutes
    with penstock_up(tmp_path / "data") as penstock:
        added = penstock.lines("add", CORPORA / "formats", CORPORA / "docs", "--recursive", seconds=900, status=None)
        queues = penstock.json("queues")
    assert {line["status"] for line in added} <= {"complete", "failed"}
    assert all(line["error"]["code"] for line in added if line["status"] == "failed")
    assert all(queue["waiting"] == queue["in_flight"] == 0 for queue in queues.values())
    outcomes = Counter(
        (Path(line["name"]).suffix.lower(), line["error"]["code"] if line["error"] else "complete") for line in added
    )
    good = {".pdf", ".docx", ".pptx", ".xlsx", ".html", ".md", ".txt", ".csv", ".eml"}
    for (suffix, outcome), count in outcomes.items():
        if suffix in good and outcome not in ("complete", "no_text"):
            assert count <= 1, (suffix, outcome, count)


@needs_corpora
def test_hostile_files_hurt_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    for n in range(100):
        (tmp_path / "good" / f"note-{n}.md").write_text(f"# Note {n}\n\nGauge {n} was read by the night shift.\n" * 5)
    with penstock_up(tmp_path / "data") as penstock:
        workers = {role: [process.pid for process in penstock.processes(role)] for role in ("ingester", "embedder")}
        added = penstock.lines("add", tmp_path / "good", CORPORA / "hostile", "--recursive", seconds=900, status=1)
        by_kind = Counter((line["name"].startswith("good/"), line["status"]) for line in added)
        assert by_kind[True, "complete"] == 100
        assert {status for _, status in by_kind} == {"complete", "failed"}
        assert all(line["error"]["code"] for line in added if line["status"] == "failed")
        after = {role: [process.pid for process in penstock.processes(role)] for role in workers}
        assert after == workers, "no worker process died"
        assert sum(child.memory_info().rss for child in penstock.processes("ingester")) < 600 * 2**20
    assert not list(Path("/tmp").glob("evil*")), "nothing was written outside"


def test_killed_workers_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(200):
        (folder / f"report-{n:03}.md").write_text(
            "\n\n".join(f"# Section {s} of {n}\n\n" + f"Sluice {s} of plant {n} was opened. " * 60 for s in range(3))
        )
    with penstock_up(tmp_path / "data") as penstock:
        adding = penstock.start("add", folder, "--json")
        for role, status in (("ingester", "embedding"), ("embedder", "complete"), ("ingester", "complete")):
            _wait_for_files(penstock, status, at_least=20)
            (victim,) = penstock.processes(role)
            victim.kill()
            wait_until(
                lambda role=role, dead=victim.pid: [p.pid for p in penstock.processes(role) if p.pid != dead],
                what=f"another {role}",
            )
        out, err = adding.communicate(timeout=300)
        assert adding.returncode == 0, err
        assert Counter(json.loads(line)["status"] for line in out.splitlines()) == {"complete": 200}
        rows = chunks_of(penstock)
        assert len({(name, index) for name, index, *_ in rows}) == len(rows), "no Chunk twice"
        assert all(vector for *_, vector in rows), "no Chunk without its vector"
        assert {name for name, *_ in rows} == {f"files/report-{n:03}.md" for n in range(200)}


def _wait_for_files(penstock: Installation, status: str, *, at_least: int) -> None:
    with psycopg.connect(penstock.database_url, autocommit=True) as connection:

        def enough() -> bool:
            row = connection.execute(
                "select count(*) from files where status = any(%s)", [["complete", status]]
            ).fetchone()
            return bool(row and row[0] >= at_least)

        wait_until(enough, seconds=120, what=f"{at_least} files {status}")


def test_state_survives_down_and_up(tmp_path: Path) -> None:
    with penstock_up(tmp_path / "data") as penstock:
        (added,) = penstock.lines("add", EXAMPLES / "glossary.txt")
        (hit, *_) = penstock.json("search", "headpond")
    with penstock_up(tmp_path / "data") as penstock:
        (file,) = penstock.json("files")
        assert (file["file_id"], file["status"]) == (added["file_id"], "complete")
        (same, *_) = penstock.json("search", "headpond")
        assert same == hit
        penstock.run("delete", added["file_id"])
        assert penstock.json("files") == []
        assert penstock.json("search", "headpond") == []
    wait_until(lambda: not _processes_of(tmp_path), seconds=5, what="nothing of it to run any more")


def _processes_of(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]
