"""The client commands, each against the API's contract over real HTTP."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from api_in_memory import ApiInMemory, Server
from typer.testing import CliRunner, Result

from penstock import cli
from penstock.chunking.document import Origin
from penstock.cli import commands, main
from penstock.cli.search import readable
from penstock.cli.upload import hash_file
from penstock.local.data_folder import find_data_folder
from penstock.local.run_state import ProcessName, RunState, write_state
from penstock.models import QUEUES, FileStatus

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server().running() as server:
        yield server


@pytest.fixture
def api(server: Server) -> ApiInMemory:
    return server.fresh()


@pytest.fixture
def run(api: ApiInMemory) -> Run:
    def run(*arguments: object) -> Result:
        words = [str(argument) for argument in arguments]
        return CliRunner().invoke(cli.app, words, env={"PENSTOCK_URL": api.url}, catch_exceptions=False)

    return run


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a.md", "b.md"):
        (folder / name).write_text(f"text of {name}")
    return folder


def rows(result: Result) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert len({row["name"] for row in found}) == len(found)
    return {row["name"]: row for row in found}


# -- add


def test_add_hands_in_a_folder_and_tells_each_file_and_the_sum(run: Run, docs: Path) -> None:
    result = run("add", docs)
    assert result.exit_code == 0
    *lines, summary = result.stdout.splitlines()
    assert sorted(lines) == ["complete  docs/a.md  3 chunks", "complete  docs/b.md  3 chunks"]
    assert summary.startswith("2 files, 2 pages, 6 chunks in ")


def test_add_as_json_prints_one_object_a_file_and_nothing_else(run: Run, docs: Path, api: ApiInMemory) -> None:
    (docs / "c.md").write_text("FAIL no_text The file holds no text.")
    result = run("add", docs, "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    found = rows(result)
    [stored] = api.named("docs/a.md")
    assert found["docs/a.md"] == {
        "file_id": str(stored.file_id),
        "name": "docs/a.md",
        "status": "complete",
        "chunk_count": 3,
        "unread_pages": [],
        "error": None,
    }
    assert found["docs/c.md"]["status"] == "failed"
    assert found["docs/c.md"]["error"] == {"code": "no_text", "message": "The file holds no text."}


def test_what_arrives_is_what_was_sent_with_name_and_metadata(run: Run, tmp_path: Path, api: ApiInMemory) -> None:
    content = bytes(range(256)) * 5000 + b"\r\n--penstock-"
    name = 'żółć "quoted"; 100%\n.bin'
    (tmp_path / name).write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    assert (
        run("add", tmp_path / name, tmp_path / "empty", "--metadata", "year=2026", "--metadata", "x=a=b").exit_code == 0
    )
    [stored] = api.named(name)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert stored.metadata == {"year": "2026", "x": "a=b"}
    assert api.named("empty")[0].size == 0


def test_unchanged_files_are_not_handed_in_again(run: Run, docs: Path, api: ApiInMemory) -> None:
    run("add", docs)
    (docs / "b.md").write_text("changed")
    result = run("add", docs)
    assert result.exit_code == 0
    assert [len(api.named(f"docs/{name}")) for name in ("a.md", "b.md")] == [1, 2]
    assert "; 1 already there" in result.stdout
    assert rows(run("add", docs, "--json")).keys() == {"docs/a.md", "docs/b.md"}
    assert len(api.files) == 3
    run("add", docs, "--again")
    assert len(api.files) == 5


def test_the_same_file_given_twice_is_handed_in_once(run: Run, docs: Path, api: ApiInMemory) -> None:
    assert len(rows(run("add", docs / "a.md", docs / "a.md", "--json"))) == 1
    assert len(api.files) == 1


def test_a_file_that_is_still_in_work_is_waited_for(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.embed_seconds = 0.3
    handed_in = rows(run("add", docs, "--no-wait", "--json"))
    assert {row["status"] for row in handed_in.values()} <= {"queued", "ingesting", "embedding"}
    found = rows(run("add", docs, "--json"))
    assert {row["status"] for row in found.values()} == {"complete"}
    assert len(api.files) == 2


def test_a_file_in_work_that_then_fails_is_told(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.embed_seconds = 0.5
    (docs / "bad.md").write_text("FAIL corrupt_file The file is damaged.")
    run("add", docs / "bad.md", "--no-wait")
    result = run("add", docs / "bad.md", "--json")
    assert result.exit_code == 1
    assert rows(result)["bad.md"]["error"]["code"] == "corrupt_file"
    assert len(api.files) == 1


def test_no_wait_tells_how_to_look(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.embed_seconds = 60
    result = run("add", docs, "--no-wait")
    assert result.exit_code == 0
    assert "2 handed in, the work goes on (`penstock queues`)" in result.stdout


def test_what_cannot_be_handed_in_is_told_by_name_and_the_rest_goes_on(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.max_upload_bytes = 1000
    (docs / "large.bin").write_bytes(bytes(5_000_000))
    result = run("add", docs, docs / "missing", "--json")
    assert result.exit_code == 1
    found = rows(result)
    assert found["docs/large.bin"]["error"]["code"] == "too_large"
    assert found["docs/large.bin"]["file_id"] is None
    assert found["missing"]["error"]["code"] == "not_found"
    assert [found[name]["status"] for name in ("docs/a.md", "docs/b.md")] == ["complete", "complete"]


def test_a_name_that_cannot_be_fails_alone(run: Run, docs: Path, api: ApiInMemory) -> None:
    deep = docs / "/".join(["d" * 200] * 6)
    deep.mkdir(parents=True)
    (deep / "c.md").write_text("text")
    run("add", docs)
    found = rows(run("add", docs, "--recursive", "--json"))
    assert sorted(row["status"] for row in found.values()) == ["complete", "complete", "failed"]
    assert len(api.files) == 2


def test_a_file_that_shrinks_under_way_fails_alone(
    run: Run, docs: Path, api: ApiInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hash_before_it_shrank(path: Path) -> tuple[int, str]:
        size, sha256 = hash_file(path)
        return size + 10 * (path.name == "a.md"), sha256

    monkeypatch.setattr("penstock.cli.hand_in.hash_file", hash_before_it_shrank)
    found = rows(run("add", docs, "--json"))
    assert found["docs/a.md"]["error"]["code"] == "unreadable"
    assert found["docs/b.md"]["status"] == "complete"
    assert len(api.files) == 1


def test_an_answer_lost_on_the_way_hands_nothing_in_twice(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.drop_answers = 1
    result = run("add", docs, "--json")
    assert result.exit_code == 0
    assert len(rows(result)) == len(api.files) == 2


def test_a_busy_server_is_asked_again(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.busy = 5
    result = run("add", docs, "--json")
    assert result.exit_code == 0
    assert len(api.files) == 2


def test_files_that_the_settled_list_leaves_out_are_asked_for(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.forget_settled = True
    assert len(rows(run("add", docs, "--json"))) == 2


def test_a_file_deleted_meanwhile_is_told(run: Run, docs: Path, api: ApiInMemory) -> None:
    api.lose = "docs/a.md"
    result = run("add", docs, "--json")
    assert result.exit_code == 1
    assert rows(result)["docs/a.md"]["error"] == {
        "code": "not_found",
        "message": "the file was deleted before it was complete",
    }


def test_several_are_uploaded_at_once(run: Run, tmp_path: Path, api: ApiInMemory) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.bin").write_bytes(number.to_bytes(1) * 2_000_000)
    assert run("add", tmp_path, "--json").exit_code == 0
    assert 3 <= api.most_uploads_at_once <= 8


def test_a_long_silence_is_explained(run: Run, docs: Path, api: ApiInMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.add.STALLED_SECONDS", 0.5)
    api.embed_seconds = 1.5
    result = run("add", docs / "a.md", "--json")
    assert result.stderr.count("Nothing has moved for a while") == 1
    assert result.exit_code == 0


def test_an_empty_folder_is_no_failure_but_gets_a_hint(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("text")
    result = run("add", tmp_path)
    assert result.exit_code == 0
    assert "there are no files in" in result.stderr
    assert "--recursive" in result.stderr


def test_metadata_that_is_no_pair_is_wrong_usage(run: Run, docs: Path) -> None:
    result = run("add", docs, "--metadata", "year")
    assert result.exit_code == 2
    assert "'year' is not of the form KEY=VALUE" in result.stderr


def test_names_do_not_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    (tmp_path / "\x1b[2Jevil\u202etxt.md").write_text("FAIL no_text [red]none[/red]\x1b[0m")
    result = run("add", tmp_path)
    assert "\x1b" not in result.stdout
    assert r"failed    " + tmp_path.name + r"/\x1b[2Jevil\u202etxt.md  no_text: [red]none[/red]\x1b[0m" in result.stdout


def test_many_files_get_summary_lines_but_every_failure_its_own(run: Run, tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number:03}.md").write_text(f"{number}")
    for number in range(3):
        (tmp_path / f"z{number}.md").write_text(f"FAIL no_text none {number}")
    result = run("add", tmp_path)
    lines = result.stdout.splitlines()
    assert sum(line.startswith("complete") for line in lines) <= 100
    assert sum(line.startswith("failed") for line in lines) == 3
    assert lines[-1].endswith("; 3 failed")


# -- search


HIT = {
    "score": 0.875,
    "file_id": str(uuid4()),
    "name": "manual.pdf",
    "chunk_id": str(uuid4()),
    "index": 4,
    "text": "Close the valve. " * 20 + "\n\x1b[31mThen [bold]wait[/bold].",
    "pages": [3, 4],
    "char_span": [10, 30],
    "headings": ["Operation", "Shutdown"],
}


def test_search_shows_passages_wrapped_with_where_they_are_from(run: Run, api: ApiInMemory) -> None:
    api.hits = [HIT, HIT | {"pages": [7, 7], "headings": []}]
    result = run("search", "how do I stop it?")
    lines = result.stdout.splitlines()
    assert lines[0] == "1. manual.pdf  pages 3-4  score 0.875"
    assert lines[1].strip() == "Operation > Shutdown"
    assert max(map(len, lines)) <= 100
    assert r"\x1b[31mThen [bold]wait[/bold]." in result.stdout
    assert "2. manual.pdf  page 7  score 0.875" in lines


def test_search_as_json_is_the_list_of_hits(run: Run, api: ApiInMemory) -> None:
    api.hits = [HIT]
    file_id = str(uuid4())
    words = ("search", "q", "-k", 3, "--mode", "text", "--file", file_id, "--media-type", "text/html", "--json")
    assert json.loads(run(*words).stdout) == [HIT]
    assert api.searched == [
        {"query": "q", "k": 3, "mode": "text", "filters": {"file_ids": [file_id], "media_types": ["text/html"]}}
    ]


def test_search_asks_for_what_the_options_say(run: Run, api: ApiInMemory) -> None:
    words = ("--name", "a.pdf", "--metadata", "team=ops", "--pages", "3-7", "--context", 2)
    places = ("--origin", "comment", "--origin", "body", "--without-origin", "hidden", "--without", "draft")
    assert run("search", "q", *words, *places).exit_code == 0
    assert api.searched[0]["context"] == 2
    assert api.searched[0]["filters"] == {
        "names": ["a.pdf"],
        "metadata": {"team": "ops"},
        "pages": [3, 7],
        "origins": ["comment", "body"],
        "without_origins": ["hidden"],
        "without": ["draft"],
    }
    run("search", "q", "--pages", 4)
    assert api.searched[1]["filters"] == {"pages": [4, 4]}


def test_search_shows_neighbours_and_the_lines_with_the_words(run: Run, api: ApiInMemory) -> None:
    lines = [f"line {n}" for n in range(40)]
    text = "\n".join(lines)
    place = text.index("line 30")
    found = HIT | {"text": text, "highlights": [[place, place + 4]]}
    api.hits = [found]
    shown = run("search", "line").stdout
    assert "line 30" in shown
    assert ("line 10\n" in shown, "line 39" in shown, shown.count("…")) == (False, False, 2)
    near = {name: HIT[name] for name in ("chunk_id", "index", "pages", "char_span")}
    api.hits = [found | {"before": [near | {"text": "what came before"}], "after": [near | {"text": "what follows"}]}]
    shown = run("search", "line", "--context", 1).stdout
    places = [shown.index(text) for text in ("what came before", "line 0", "line 39", "what follows")]
    assert places == sorted(places)


def test_the_words_of_the_query_are_bold() -> None:
    text = "  The\tpump\nis a very long sentence that goes on for a while, indeed on\nand \x1bon: pump"
    spans = [(place, place + 4) for place in (6, text.rindex("pump"))]
    shown = readable(text, spans)
    assert shown.plain == (
        "  The   pump\nis a very long sentence that goes on for a while, indeed on and \\x1bon: pump"
    )
    assert [shown.plain[span.start : span.end] for span in shown.spans] == ["pump", "pump"]


def test_search_that_finds_nothing_says_so(run: Run) -> None:
    result = run("search", "nothing")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing found" in result.stderr
    assert json.loads(run("search", "nothing", "--json").stdout) == []


@pytest.mark.parametrize(
    "words",
    [
        ("-k", 0),
        ("-k", 101),
        ("--mode", "magic"),
        ("--context", 11),
        ("--pages", "7-3"),
        ("--pages", "0"),
        ("--pages", "x"),
        ("--origin", "heaven"),
        ("--metadata", "x"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(run: Run, api: ApiInMemory, words: tuple[object, ...]) -> None:
    assert run("search", "q", *words).exit_code == 2
    assert not api.requests


# -- files


def test_files_are_listed_over_all_pages(run: Run, tmp_path: Path, api: ApiInMemory) -> None:
    for number in range(130):
        (tmp_path / f"{number}.md").write_text(f"{number}")
    (tmp_path / "bad.md").write_text("FAIL no_text none")
    run("add", tmp_path, "--json")
    assert len(run("files").stdout.splitlines()) == 131
    assert len(json.loads(run("files", "--json").stdout)) == 131
    [bad] = json.loads(run("files", "--status", "failed", "--json").stdout)
    assert bad["name"] == f"{tmp_path.name}/bad.md"
    assert "\tno_text: " in run("files", "--status", "failed").stdout
    assert json.loads(run("files", "--status", "queued", "--json").stdout) == []


def test_status_shows_one_file(run: Run, docs: Path, api: ApiInMemory) -> None:
    (docs / "bad.md").write_text("FAIL no_text The file holds no text.")
    ids = {name: row["file_id"] for name, row in rows(run("add", docs, "--json")).items()}
    shown = run("status", ids["docs/a.md"])
    assert shown.exit_code == 0
    assert "chunks      3, of which 3 embedded" in shown.stdout
    assert "coverage    99.93 % of the words that an independent count finds" in shown.stdout
    failed = run("status", ids["docs/bad.md"])
    assert failed.exit_code == 1
    assert "error       no_text: The file holds no text." in failed.stdout
    assert "coverage" not in failed.stdout
    assert "unread" not in shown.stdout
    assert json.loads(run("status", ids["docs/a.md"], "--json").stdout)["status"] == "complete"


def test_status_says_which_pages_were_not_read_and_what_to_do(run: Run, docs: Path, api: ApiInMemory) -> None:
    run("add", docs)
    [stored] = api.named("docs/a.md")
    stored.unread_pages = [3, 7, 8, 9]
    shown = run("status", stored.file_id).stdout
    assert "unread      pages 3, 7-9 hold pictures and were not read, or not wholly." in shown
    assert "apt-get install tesseract-ocr-eng" in shown
    assert f"then `penstock reingest {stored.file_id}`" in shown
    stored.unread_pages = [3]
    assert "unread      page 3 holds a picture and was not read" in run("status", stored.file_id).stdout
    assert json.loads(run("status", stored.file_id, "--json").stdout)["unread_pages"] == [3]
    assert {tuple(file["unread_pages"]) for file in json.loads(run("files", "--json").stdout)} == {(3,), ()}


def test_delete_and_reingest_go_on_after_a_wrong_id(run: Run, docs: Path, api: ApiInMemory) -> None:
    ids = [row["file_id"] for row in rows(run("add", docs, "--json")).values()]
    result = run("reingest", ids[0], "no-such-id", ids[1], "--wait")
    assert result.exit_code == 1
    assert result.stdout.count("complete") == 2
    assert "penstock: no-such-id: There is no such File." in result.stderr
    assert [file.generation for file in api.files.values()] == [2, 2]
    assert run("delete", *ids).exit_code == 0
    assert not api.files
    assert run("delete", "../queues").exit_code == 1


# -- queues and dead letters


def test_queues(run: Run) -> None:
    assert run("queues").stdout.splitlines()[0].split("\t") == ["ingest-queue", "1,200", "2", "0", "12.3 s"]
    depths = json.loads(run("queues", "--json").stdout)
    assert depths["ingest-queue"] == {"waiting": 1200, "in_flight": 2, "dead_letters": 0, "oldest_seconds": 12.34}


def test_dead_letters_are_listed_shown_replayed_and_dropped(run: Run, api: ApiInMemory) -> None:
    api.add_letter("1-0")
    api.add_letter("2-0", queue="embedding-queue", reason="it is away")
    api.add_letter("3-0")
    assert len(run("dead-letters", "list").stdout.splitlines()) == 3
    assert len(json.loads(run("dead-letters", "list", "--queue", "ingest-queue", "--json").stdout)) == 2
    assert "it is away" in run("dead-letters", "show", "2-0").stdout
    assert run("dead-letters", "replay", "2-0").stdout == "replayed 1 dead letter\n"
    assert run("dead-letters", "drop", "--all", "--queue", "embedding-queue").stdout == "dropped 0 dead letters\n"
    assert run("dead-letters", "drop", "1-0").stdout == "dropped 1 dead letter\n"
    [dropped] = json.loads(run("dead-letters", "drop", "--all", "--json").stdout)
    assert dropped["dead_letter_id"] == "3-0"
    assert (api.replayed, api.letters) == (["2-0"], {})


def test_replay_all_replays_each_letter_of_every_page(run: Run, api: ApiInMemory) -> None:
    for number in range(250):
        api.add_letter(f"{number}-0")
    assert run("dead-letters", "replay", "--all").stdout == "replayed 250 dead letters\n"


def test_letters_of_one_code_are_replayed_and_the_others_kept(run: Run, api: ApiInMemory) -> None:
    for number, code in enumerate(["parser_timeout", "no_text", "parser_timeout"]):
        api.add_letter(f"{number}-0", code=code)
    assert len(run("dead-letters", "list", "--code", "no_text").stdout.splitlines()) == 1
    assert run("dead-letters", "replay", "--all", "--code", "parser_timeout").stdout == "replayed 2 dead letters\n"
    assert api.replayed == ["0-0", "2-0"]


@pytest.mark.parametrize("words", [(), ("1-0", "--all"), ("1-0", "--code", "no_text")])
def test_replay_wants_ids_or_all(run: Run, words: tuple[str, ...]) -> None:
    assert run("dead-letters", "replay", *words).exit_code == 2


# -- errors


def failing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str, str]:
    """Exit status, stdout and stderr of the real entry point."""
    monkeypatch.setattr(sys, "argv", ["penstock", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return ended.value.code, told.out, told.err


def test_nothing_listens(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], docs: Path) -> None:
    for command in (["queues"], ["add", str(docs), "--json"], ["search", "q", "--json"]):
        status, out, err = failing(monkeypatch, capsys, *command, "--url", "http://127.0.0.1:9")
        assert (status, out) == (1, "")
        assert err == "penstock: No Penstock answers at http://127.0.0.1:9; start it with `penstock up`\n"


def test_what_the_api_says_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], api: ApiInMemory
) -> None:
    status, _, err = failing(monkeypatch, capsys, "status", str(uuid4()), "--url", api.url)
    assert (status, err) == (1, "penstock: There is no such File.\n")
    status, _, err = failing(monkeypatch, capsys, "search", "", "--url", api.url)
    assert err == "penstock: The request is not valid.; body.query: should have at least 1 character\n"


def test_a_password_in_the_url_is_not_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = failing(monkeypatch, capsys, "queues", "--url", "http://ada:s3cret@127.0.0.1:9")
    assert "http://ada:********@127.0.0.1:9" in err
    assert "s3cret" not in err


@pytest.mark.parametrize("url", ["localhost:8321", "ftp://host", "http://", "http://h:port"])
def test_a_wrong_url_is_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    status, _, err = failing(monkeypatch, capsys, "queues", "--url", url)
    assert status == 2
    assert "it must look like http://127.0.0.1:8321" in err


def test_a_wrong_setting_of_a_role_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PENSTOCK_API_PORT", "none")
    status, _, err = failing(monkeypatch, capsys, "api")
    assert status == 2
    assert err.startswith("penstock: PENSTOCK_API_PORT is 'none'")


def test_the_local_installation_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, api: ApiInMemory, run: Run
) -> None:
    supervisor = ProcessName.of(os.getpid())
    assert supervisor
    state = RunState(url=api.url, supervisor=supervisor, started_at=datetime.now(UTC), stop_seconds=1)
    write_state(find_data_folder(tmp_path), state)
    monkeypatch.setenv("PENSTOCK_DATA", str(tmp_path))
    result = CliRunner().invoke(cli.app, ["queues", "--json"], catch_exceptions=False)
    assert result.exit_code == 0


def test_words_said_twice_are_the_same() -> None:
    assert [status.value for status in commands.Status] == [status.value for status in FileStatus]
    assert [origin.value for origin in commands.Origin] == [origin.value for origin in Origin]
    assert tuple(queue.value for queue in commands.Queue) == QUEUES
