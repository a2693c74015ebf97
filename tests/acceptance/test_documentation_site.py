"""The documentation site is built strictly, without a network, and asks for nothing from elsewhere when it is read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"
"""The discard port, where nothing listens: what would be fetched while the site is built fails."""
FETCHED = re.compile(
    r"""<(?:script|img|iframe)[^>]+src="(https?:)?//|<link[^>]+href="(https?:)?//|url\(["']?(https?:)?//"""
)
"""What a browser would load from another server."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    offline = {"http_proxy": NOBODY, "https_proxy": NOBODY, "HTTP_PROXY": NOBODY, "HTTPS_PROXY": NOBODY}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **offline, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr, built.stderr
    return folder


def test_every_page_is_there_and_nothing_on_it_comes_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 40
    assert not [page for page in [*pages, *site.rglob("*.css")] if FETCHED.search(page.read_text())]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("index.html", "<svg"),
        ("workers/handlers.html", "Turn one generation of a File into Chunks"),
        ("workers/handlers.html", "Give the Chunks of a message their vectors"),
        ("reference/settings.html", "PENSTOCK_QUEUE_LEASE_SECONDS"),
        ("reference/api.html", "/files/reference"),
        ("operations/errors.html", 'id="password_protected"'),
        ("guarantees.html", "test_a_dead_workers_messages_are_taken_over_whatever_it_was_called"),
        ("project/readme.html", "../fidelity.html"),
        ("decisions/index.html", "0018-rows-are-the-backlog.html"),
        ("performance.html", "<h1"),
    ],
)
def test_a_page_says_what_it_is_for(site: Path, page: str, says: str) -> None:
    assert says in (site / page).read_text()


def test_no_piece_of_a_page_was_left_out(site: Path) -> None:
    assert not [page for page in site.rglob("*.html") if "<!-- from code:" in page.read_text()]
