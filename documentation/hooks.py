"""What MkDocs is told at each step of the build: which pages there are, and what in them comes from the code.

- A line `<!-- from code: NAME ARGUMENT -->` of a page is replaced by what `from_code` writes under that name.
- README.md and others of the repository become pages where they are; links between all of them are led to the
  page, or become plain text where what they name is no page.
- Every test and source file that a page names has to exist.

What is wrong ends the build: there is no page with a hole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from from_code import PIECES, api, decisions, links, named, navigation
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
INCLUDED = {
    "project/readme.md": "README.md",
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "operations/deploying.md": "deploy/README.md",
    "project/benchmarks.md": "benchmarks/README.md",
    "project/examples.md": "examples/README.md",
}
"""Page, and the file of the repository that is its text."""
NOT_MADE_YET = {
    "performance.md": "# Performance\n\nNot measured yet in this copy: `make bench` measures, and writes this page.\n"
}
"""Pages that a command writes, and what stands there until it has run."""
PLACEHOLDER = re.compile(r"^<!-- from code: (\w+)(?: ([^>]+?))? -->$", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The pages in the order of mkdocs.yml, and those that are not told of there."""
    config.nav = navigation.complete(cast("list[Any]", config["nav"]), Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are not in docs/."""
    made = {decisions.INDEX: decisions.index(Path(config.docs_dir) / "decisions"), **api.documents()}
    made |= {uri: text for uri, text in NOT_MADE_YET.items() if files.get_file_from_path(uri) is None}
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for uri, source in INCLUDED.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001  # MkDocs names it
    """The text with all that comes from the code, its links led to pages, and its names checked."""
    uri = page.file.src_uri
    try:
        text = PLACEHOLDER.sub(_piece, markdown)
        if not uri.startswith(("decisions/", "project/changelog")):  # they tell of what was once
            named.check(text, ROOT, to_come={f"docs/{page}" for page in NOT_MADE_YET})
        source = ROOT / INCLUDED.get(uri, f"docs/{uri}")
        return links.lead(text, uri, source, ROOT, _pages(files))
    except (LookupError, ValueError) as error:
        raise PluginError(f"{uri}: {error}") from error


def _piece(match: re.Match[str]) -> str:
    name, argument = match.groups()
    if name not in PIECES:
        raise LookupError(f"nothing in from_code is named {name}")
    return PIECES[name](argument or "")


def _pages(files: Files) -> dict[Path, str]:
    """The page of each file of the repository that is one."""
    found = {ROOT / "docs" / uri: uri for uri in files.src_uris}
    found[ROOT / "docs" / "decisions"] = decisions.INDEX
    for uri, source in INCLUDED.items():
        found[ROOT / source] = uri
        if "/" in source:
            found[(ROOT / source).parent] = uri
    return found
