"""The API over real HTTP, on real PostgreSQL and Redis: what each call does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from by_hand import complete_file, fail
from pydantic import TypeAdapter
from real_servers import RunningServer, redis_command, wait_until
from running_api import RunningApi, running_api

from penstock.models import Chunk, DeadLetter, Failure, File, Hit, IngestRequest, QueueDepth

pytestmark = pytest.mark.slow

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installation:
    """An API, and the servers behind it."""

    api: RunningApi
    database_url: str
    queue_url: str

    def add(self, filename: str, content: bytes = b"hello", **query: str) -> JSON:
        response = self.api.http.post("/files", params=query, files={"file": (filename, content)})
        assert response.status_code == 202, response.text
        return response.json()

    def get(self, path: str, **query: str | int) -> Any:
        response = self.api.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def complete(self, file: JSON, *texts: str, generation: int = 1) -> JSON:
        complete_file(self.database_url, self.api.objects, file["file_id"], texts, generation=generation)
        return self.get(f"/files/{file['file_id']}")

    def pages(self, path: str, **query: str | int) -> list[list[JSON]]:
        """The list at `path`, page by page."""
        pages = [self.get(path, **query)]
        while cursor := pages[-1]["next"]:
            pages.append(self.get(path, cursor=cursor, **query))
        return [page["items"] for page in pages]


@pytest.fixture(scope="module")
def here(
    module_database_url: str, redis_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    redis_command(redis_server.url, "FLUSHALL")
    folder = tmp_path_factory.mktemp("api")
    with running_api(
        folder, database_url=module_database_url, queue_url=redis_server.url, settings={"API_MAX_UPLOAD_MB": "2"}
    ) as api:
        wait_until(api.is_ready)
        yield Installation(api, module_database_url, redis_server.url)
        assert "error" not in api.log, api.log


def test_an_uploaded_file_is_stored_recorded_and_announced(here: Installation) -> None:
    waiting = here.get("/queues")["ingest-queue"]["waiting"]
    response = here.api.http.post("/files", files={"file": ("Bericht für Zoë.txt", b"hello", "text/plain")})
    assert response.status_code == 202
    file = response.json()
    assert response.headers["Location"] == f"/files/{file['file_id']}"
    assert (file["name"], file["size"], file["status"]) == ("Bericht für Zoë.txt", 5, "queued")
    assert file["sha256"] == hashlib.sha256(b"hello").hexdigest()
    assert (here.api.objects / file["object_key"]).read_bytes() == b"hello"
    assert here.get(f"/files/{file['file_id']}") == file
    assert here.get("/queues")["ingest-queue"]["waiting"] == waiting + 1
    File.model_validate_json(response.content)


def test_the_query_names_batches_and_describes(here: Installation) -> None:
    batch = str(uuid4())
    file = here.add("x", name="reports/2026/ü.txt", batch=batch, metadata=json.dumps({"a": {"b": [1, "ü"]}}))
    assert (file["name"], file["metadata"]) == ("reports/2026/ü.txt", {"a": {"b": [1, "ü"]}})
    here.add("y", b"", batch=batch)
    progress = here.get(f"/batches/{batch}")
    assert progress == {
        "files": {"queued": 2, "ingesting": 0, "embedding": 0, "complete": 0, "failed": 0},
        "bytes": 5,
        "pages": 0,
        "chunks": 0,
        "embedded": 0,
    }
    assert (file["coverage"], file["unread_pages"]) == (None, [])
    complete = here.complete(file, "one", "two")
    assert (complete["coverage"], complete["unread_pages"]) == (0.9993, [2, 3])
    progress = here.get(f"/batches/{batch}")
    assert (progress["files"]["complete"], progress["pages"], progress["chunks"], progress["embedded"]) == (1, 1, 2, 2)


def test_a_body_that_is_no_form_is_the_file(here: Installation) -> None:
    response = here.api.http.post("/files", params={"name": "raw.bin"}, content=iter([b"ab", b"cd"]))
    assert response.status_code == 202
    assert (here.api.objects / response.json()["object_key"]).read_bytes() == b"abcd"


def test_a_folder_gives_the_bytes_and_no_url_of_them(here: Installation) -> None:
    file = here.add("a.txt", b"bytes")
    content = here.api.http.get(f"/files/{file['file_id']}/content")
    assert (content.content, content.headers["Content-Type"]) == (b"bytes", "application/octet-stream")
    refused = here.api.http.get(f"/files/{file['file_id']}/content?presigned=true")
    assert (refused.status_code, refused.json()["code"]) == (409, "presigning_unsupported")


def test_an_object_that_is_in_the_store_can_be_handed_in(here: Installation) -> None:
    (here.api.objects / "shared").mkdir(parents=True, exist_ok=True)
    (here.api.objects / "shared/plan ü.txt").write_text("a plan")
    response = here.api.http.post("/files/reference", json={"object_key": "shared/plan ü.txt", "metadata": {"a": 1}})
    file = response.json()
    assert (response.status_code, file["name"], file["size"], file["sha256"]) == (202, "plan ü.txt", 6, None)
    assert here.api.http.delete(f"/files/{file['file_id']}").status_code == 204
    assert (here.api.objects / "shared/plan ü.txt").exists()


def test_lookup_tells_in_order_what_is_there(here: Installation) -> None:
    content = uuid4().bytes
    there, failed = here.add("there.txt", content), here.add("failed.txt", content)
    fail(here.database_url, failed["file_id"], Failure(code="no_text", message="None."))
    sha256 = hashlib.sha256(content).hexdigest()
    asked = [("nope.txt", sha256), ("there.txt", sha256), ("there.txt", "0" * 64), ("failed.txt", sha256)]
    response = here.api.http.post("/files/lookup", json={"files": [{"name": n, "sha256": s} for n, s in asked]})
    assert [file and file["file_id"] for file in response.json()] == [None, there["file_id"], None, None]
    assert here.api.http.post("/files/lookup", json={"files": []}).json() == []


def test_files_are_listed_newest_first_page_by_page(here: Installation) -> None:
    batch = str(uuid4())
    added = [here.add(f"{number}.txt", batch=batch)["file_id"] for number in range(5)]
    pages = here.pages("/files", batch=batch, limit=2)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [file["file_id"] for page in pages for file in page] == added[::-1]
    assert [len(page) for page in here.pages("/files", batch=batch, limit=5)] == [5]


def test_files_are_filtered(here: Installation) -> None:
    batch = str(uuid4())
    one, two = here.add("one.txt", batch=batch), here.add("two.txt", batch=batch)
    here.complete(one, "text")

    def names(**query: str) -> list[str]:
        return [file["name"] for file in here.get("/files", batch=batch, **query)["items"]]

    assert names() == ["two.txt", "one.txt"]
    assert names(status="complete") == ["one.txt"]
    assert names(name="two.txt") == [two["name"]]
    assert names(media_type="text/plain") == ["one.txt"]
    assert names(media_type="application/pdf") == []
    assert names(status="queued", name="one.txt") == []


def test_what_settled_is_listed_oldest_first(here: Installation) -> None:
    batch = str(uuid4())
    added = [here.add(f"{number}.txt", batch=batch) for number in range(4)]
    first, second, third, _ = added
    settled = here.complete(second, "b")
    fail(here.database_url, third["file_id"], Failure(code="no_text", message="No text."))
    here.complete(first, "a")
    pages = here.pages("/files", batch=batch, settled_after="2020-01-01T00:00:00Z", limit=1)
    assert [file["name"] for page in pages for file in page] == ["1.txt", "2.txt", "0.txt"]
    assert pages[1][0]["error"] == {"code": "no_text", "message": "No text."}
    since = here.get("/files", batch=batch, settled_after=settled["settled_at"])["items"]
    assert [file["name"] for file in since] == ["1.txt", "2.txt", "0.txt"]
    assert here.get("/files", batch=batch, settled_after="2999-01-01")["items"] == []


def test_chunks_and_text_are_those_of_the_active_generation(here: Installation) -> None:
    file = here.add("poem.txt")
    chunks, text = f"/files/{file['file_id']}/chunks", f"/files/{file['file_id']}/text"
    assert here.get(chunks) == {"items": [], "next": None}
    assert here.api.http.get(text).status_code == 404
    here.complete(file, "über", "alles 😀", "end")
    pages = here.pages(chunks, limit=2)
    assert [len(page) for page in pages] == [2, 1]
    found = [Chunk.model_validate(chunk) for page in pages for chunk in page]
    assert [chunk.index for chunk in found] == [0, 1, 2]
    response = here.api.http.get(text)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert [response.text[slice(*chunk.char_span)] for chunk in found] == ["über", "alles 😀", "end"]
    assert here.api.http.post(f"/files/{file['file_id']}/reingest").json()["generation"] == 2
    assert len(here.get(chunks)["items"]) == 3, "search sees the generation before until the new one is complete"
    assert here.complete(file, "new", generation=2)["active_generation"] == 2
    assert [chunk["text"] for chunk in here.get(chunks)["items"]] == ["new"]
    assert here.api.http.get(text).text == "new"


def test_deleting_leaves_nothing(here: Installation) -> None:
    file = here.complete(here.add("gone.txt", uuid4().bytes), "gone")
    stored = [path for path in here.api.stored_objects() if file["file_id"] in str(path)]
    assert len(stored) == 2, "the bytes and the text"
    response = here.api.http.delete(f"/files/{file['file_id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert not any(path.exists() for path in stored)
    for path in ("", "/chunks", "/text"):
        assert here.api.http.get(f"/files/{file['file_id']}{path}").json()["code"] == "not_found"
    assert here.api.http.delete(f"/files/{file['file_id']}").status_code == 404
    assert here.api.http.post(f"/files/{file['file_id']}/reingest").status_code == 404


def test_search_in_each_mode_and_with_filters(here: Installation) -> None:
    ours = here.complete(
        here.add("rivers.txt", metadata='{"team": "ops", "year": 2026}'), "salmon ladder", "sluice gate"
    )
    here.complete(here.add("other.txt"), "salmon pie")

    def search(query: str, **asked: Any) -> list[Hit]:
        response = here.api.http.post("/search", json={"query": query, **asked})
        assert response.status_code == 200, response.text
        return TypeAdapter(list[Hit]).validate_json(response.content)

    (best, *_) = search("sluice gate")
    assert (best.text, best.name, str(best.file_id)) == ("sluice gate", "rivers.txt", ours["file_id"])
    assert (best.pages, best.char_span, best.headings) == ((1, 1), (14, 25), ["Top"])
    assert search("sluice gate", mode="vector", k=1)[0].text == "sluice gate"
    assert {hit.text for hit in search("salmon", mode="text")} == {"salmon ladder", "salmon pie"}
    assert len(search("salmon", k=1)) == 1
    for filters in (
        {"file_ids": [ours["file_id"]]},
        {"names": ["rivers.txt"]},
        {"metadata": {"team": "ops"}},
        {"names": ["rivers.txt", "nope"], "media_types": ["text/plain"], "metadata": {"year": 2026}},
    ):
        assert {hit.text for hit in search("salmon", mode="text", filters=filters)} == {"salmon ladder"}, filters
    assert search("salmon", filters={"names": []}) == []
    assert search("salmon", filters={"metadata": {"team": "none"}}) == []
    assert search("zyzzyva", mode="text", filters=None) == []


def dead_letter(here: Installation, file: JSON, *, queue: str = "ingest-queue") -> str:
    """What a Worker leaves when it gives up on a message of `file`."""
    message = IngestRequest(file_id=file["file_id"], generation=1).model_dump(mode="json")
    told = {
        "code": "parser_crashed",
        "reason": "It crashed.",
        "attempts": 3,
        "worker": "ingester-1",
        "first_at": "2026-01-01T00:00:00+00:00",
        "last_at": "2026-01-01T00:01:00+00:00",
        "message": message,
    }
    return redis_command(here.queue_url, "XADD", f"{queue}-dead-letters", "*", "dead_letter", json.dumps(told))


def test_dead_letters_are_listed_shown_replayed_and_dropped(here: Installation) -> None:
    file = here.add("bad.txt")
    fail(here.database_url, file["file_id"], Failure(code="parser_crashed", message="It crashed."))
    ids = [dead_letter(here, file) for _ in range(3)] + [dead_letter(here, file, queue="embedding-queue")]
    pages = here.pages("/dead-letters", limit=2)
    assert [[letter["dead_letter_id"] for letter in page] for page in pages] == [ids[:2], ids[2:]]
    letter = DeadLetter.model_validate(pages[0][0])
    assert (letter.code, letter.attempts, str(letter.file_id)) == ("parser_crashed", 3, file["file_id"])
    assert [page[0]["queue"] for page in here.pages("/dead-letters", queue="embedding-queue")] == ["embedding-queue"]
    assert here.get(f"/dead-letters/ingest-queue/{ids[0]}")["reason"] == "It crashed."
    assert here.get("/queues")["ingest-queue"]["dead_letters"] == 3

    replayed = here.api.http.post(f"/dead-letters/ingest-queue/{ids[0]}/replay")
    assert (replayed.status_code, replayed.json()["dead_letter_id"]) == (202, ids[0])
    assert here.get(f"/files/{file['file_id']}")["status"] == "queued"
    assert here.api.http.delete(f"/dead-letters/ingest-queue/{ids[1]}").status_code == 204
    for gone in ids[:2]:
        for method, suffix in (("GET", ""), ("DELETE", ""), ("POST", "/replay")):
            response = here.api.http.request(method, f"/dead-letters/ingest-queue/{gone}{suffix}")
            assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert [page["dead_letter_id"] for page in here.get("/dead-letters")["items"]] == ids[2:]


def test_queues_tell_their_depths(here: Installation) -> None:
    here.add("waits.txt")
    depths = TypeAdapter(dict[str, QueueDepth]).validate_python(here.get("/queues"))
    assert set(depths) == {"ingest-queue", "embedding-queue"}
    assert depths["ingest-queue"].waiting > 0
    assert depths["ingest-queue"].oldest_seconds is not None


def test_metrics_tell_requests_by_route_files_and_queues(here: Installation) -> None:
    here.add("counted.txt")
    here.api.http.get(f"/files/{uuid4()}")
    here.api.http.get(f"/nowhere/{uuid4()}")
    text = here.api.http.get("/metrics").text
    assert 'penstock_http_requests_total{method="GET",route="/files/{file_id}",status="404"}' in text
    assert 'penstock_http_requests_total{method="ANY",route="(unknown)",status="404"}' in text
    assert 'penstock_http_request_seconds_bucket{le="0.1",method="POST",route="/files"}' in text
    assert 'penstock_files{status="queued"}' in text
    assert 'penstock_queue_waiting{queue="ingest-queue"}' in text
    assert 'penstock_service_up{service="database"} 1.0' in text
    assert 'penstock_build_info{version="' in text


def test_the_documents_hold_every_operation_and_no_secret(here: Installation) -> None:
    openapi = here.get("/openapi.json")
    operations = [operation for path in openapi["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["tags"] for operation in operations)
    assert "Problem" in openapi["components"]["schemas"]
    asyncapi = here.get("/asyncapi.json")
    assert set(asyncapi["channels"]) == {"ingest-queue", "embedding-queue"}
    for path in ("/docs", "/asyncapi"):
        assert here.api.http.get(path).headers["Content-Type"] == "text/html; charset=utf-8"
