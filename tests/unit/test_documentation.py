"""The pages that are made from the code, and the names in the others: nothing missing, nothing stale."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import hooks
import pytest
import typer
from from_code import PIECES, api, commands, errors, links, metrics, models, named, navigation, settings, tree
from mkdocs.config import load_config  # pyright: ignore[reportUnknownVariableType]  # **kwargs
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from penstock.cli import app
from penstock.models import Chunk, FileStatus
from penstock.settings import (
    CLIENT_VARIABLES,
    EmbeddingSettings,
    Group,
    QueueSettings,
    SearchSettings,
    Settings,
    describe,
)

ROOT = Path(__file__).parents[2]
FAILURES = ROOT / "docs" / "operations" / "errors.md"


def test_each_error_code_has_one_entry_that_says_what_to_do() -> None:
    assert errors.without_entry(FAILURES.read_text()) == ([], [])


def test_each_entry_shows_the_facts_of_its_own_code() -> None:
    for entry in FAILURES.read_text().split("\n### `")[1:]:
        code = entry.partition("`")[0]
        assert f"<!-- from code: error {code} -->" in entry


def test_a_code_without_an_entry_and_an_entry_without_a_code_are_found() -> None:
    page = FAILURES.read_text().replace("### `no_text`", "### `no_words`")
    assert errors.without_entry(page) == (["no_text"], ["no_words"])
    assert errors.without_entry(f"{FAILURES.read_text()}\n### `no_text`\n") == ([], ["no_text", "no_text"])


def test_the_codes_are_those_of_the_tree() -> None:
    assert {"password_protected", "parser_timeout", "rate_limited", "schema_mismatch"} <= errors.kinds().keys()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("password_protected", "*Not tried again.*"),
        ("parser_crashed", "up to `PENSTOCK_QUEUE_MAX_ATTEMPTS` times."),
        ("rate_limited", "no attempt is counted. Over HTTP: 503."),
        ("port_taken", "exit status 6"),
        ("internal_error", "Over HTTP: 500."),
    ],
)
def test_what_becomes_of_a_failure_is_told(code: str, says: str) -> None:
    assert says in errors.facts(code)


def test_every_setting_is_on_the_page_with_its_default_and_meaning() -> None:
    rows = [line for line in settings.tables().splitlines() if line.startswith("| `PENSTOCK_")]
    for variable, default, told in describe(Settings()):
        [row] = [row for row in rows if row.startswith(f"| `{variable}` |")]
        assert default in row
        assert told in row


@pytest.mark.parametrize(
    ("group", "name", "says"),
    [
        (QueueSettings, "max_attempts", "whole number ≥ 1 ≤ 100"),
        (EmbeddingSettings, "precision", "`auto`, `bf16`, `f32`"),
        (EmbeddingSettings, "api_key", "secret text"),
        (SearchSettings, "language", "text as `^[a-z_]+$`"),
    ],
)
def test_what_a_setting_may_be_is_told(group: type[Group], name: str, says: str) -> None:
    assert settings.allowed(group.model_fields[name]) == says


def test_a_variable_of_the_command_line_without_a_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "CLIENT_VARIABLES", settings.CLIENT_VARIABLES | {"PENSTOCK_NEW"})
    with pytest.raises(LookupError, match="PENSTOCK_NEW"):
        settings.tables()


def test_fields_and_statuses_are_those_of_the_models() -> None:
    table = models.fields("Chunk")
    assert all(f"| `{field}` |" in table for field in Chunk.model_fields)
    assert all(
        "|  |" not in models.fields(name) for name in ("File", "Chunk", "Hit", "Failure", "DeadLetter", "EmbedRequest")
    )
    assert "| `char_span` | [integer, integer] |" in table
    assert all(f"| `{status}` |" in models.statuses() for status in FileStatus)


def test_every_call_and_every_schema_that_it_names_is_on_the_page_of_the_api() -> None:
    calls, schemas = api.operations(), api.schemas()
    assert "### `POST /search`" in calls
    linked = {part.partition(")")[0] for part in calls.split("](#")[1:]}
    assert linked
    assert all(f"{{ #{anchor} }}" in schemas for anchor in linked)


def test_every_command_is_told_of() -> None:
    helps = commands.helps()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"## `penstock {command.name or command.callback.__name__}`" in helps
    assert "## `penstock dead-letters replay`" in helps


def test_metrics_of_both_sides_are_told_by_the_names_that_prometheus_sees() -> None:
    told = metrics.tables()
    assert "| `penstock_attempts_total` | counter |" in told
    assert "| `penstock_queue_waiting` | gauge |" in told


def test_the_layers_are_those_of_the_contract() -> None:
    assert tree.layers()[0] == ["cli"]
    assert "pipeline" in tree.picture()
    assert "| `ingest.py` |" in tree.modules("pipeline")


def test_every_piece_that_a_page_asks_for_is_made() -> None:
    asked = [match for page in (ROOT / "docs").rglob("*.md") for match in hooks.PLACEHOLDER.findall(page.read_text())]
    assert {name for name, _ in asked} == PIECES.keys()
    assert all(PIECES[name](argument).strip() for name, argument in asked)


def test_links_lead_to_pages_and_what_is_no_page_is_named() -> None:
    pages = {ROOT / "docs" / "fidelity.md": "fidelity.md", ROOT / "docs" / "decisions": "decisions/index.md"}
    text = (
        "[a](docs/fidelity.md#x) [b](docs/decisions) [Makefile](Makefile) [c](https://a.b/c)\n```\n[d](nowhere)\n```\n"
    )
    assert links.lead(text, "project/readme.md", ROOT / "README.md", ROOT, pages) == (
        "[a](../fidelity.md#x) [b](../decisions/index.md) `Makefile` [c](https://a.b/c)\n```\n[d](nowhere)\n```\n"
    )


def test_a_link_to_nowhere_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"nowhere\.md"):
        links.lead("[a](nowhere.md)", "index.md", ROOT / "docs" / "index.md", ROOT, {})


def test_files_and_tests_that_are_named_have_to_exist() -> None:
    here = "tests/unit/test_documentation.py"
    named.check(
        f"`{here}::test_files_and_tests_that_are_named_have_to_exist` `docs/later.md`", ROOT, to_come={"docs/later.md"}
    )
    with pytest.raises(LookupError, match="test_of_yesterday"):
        named.check(f"`{here}::test_of_yesterday`", ROOT)
    with pytest.raises(LookupError, match=r"src/penstock/gone\.py"):
        named.check("`src/penstock/gone.py`", ROOT)


def test_pages_that_nobody_placed_come_under_more(tmp_path: Path) -> None:
    (tmp_path / "decisions").mkdir()
    (tmp_path / "decisions" / "0001-one.md").write_text("# 1. One\n")
    (tmp_path / "new.md").write_text("# New\n")
    assert navigation.complete([{"Decisions": "decisions/"}], tmp_path) == [
        {"Decisions": ["decisions/index.md", {"1. One": "decisions/0001-one.md"}]},
        {"More": ["new.md"]},
    ]


@pytest.mark.parametrize(
    "text", ["<!-- from code: nothing -->", "<!-- from code: error no_such_code -->", "[a](gone.md)"]
)
def test_a_page_with_a_hole_ends_the_build(tmp_path: Path, text: str) -> None:
    file = File("hole.md", str(ROOT / "docs"), str(tmp_path), use_directory_urls=False)
    config = load_config(str(ROOT / "mkdocs.yml"))
    with pytest.raises(PluginError, match=r"hole\.md"):
        hooks.on_page_markdown(text, Page(None, file, config), config, Files([file]))


def spoken() -> list[Path]:
    """The pages that say what is now; decisions and the changelog tell of what was once."""
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"]
    return [*pages, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


COMMAND = re.compile(r"(?:^\$ (?:[A-Z_]+=\S+ )*penstock ([^#\n&|>]+)|`penstock ([^`]+)`)", re.MULTILINE)
"""Typed in a console, or named in a sentence."""


def typed() -> set[str]:
    found = [match for page in spoken() for match in COMMAND.findall(page.read_text())]
    return {(console or inline).strip() for console, inline in found}


@pytest.mark.parametrize("line", sorted(typed()))
def test_each_command_that_a_page_types_is_one(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    if words:  # a sentence may name a command alone
        command.make_context("penstock", words)  # raises where an option is unknown or an argument is missing


def test_pages_type_commands() -> None:
    assert {"up --detach", "queues --json", "dead-letters replay --all"} <= typed()


def test_each_variable_that_a_page_names_is_one() -> None:
    of_benchmarks = {"PENSTOCK_CORPORA"}
    known = {variable for variable, _, _ in describe(Settings())} | CLIENT_VARIABLES | of_benchmarks
    for page in spoken():
        named_there = set(re.findall(r"\bPENSTOCK_[A-Z_]*[A-Z]\b", page.read_text()))
        assert named_there <= known, page


def test_each_target_of_make_that_a_page_names_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in spoken():
        assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text())) <= targets, page
