"""The parser pool with real children: what a hostile file does to its child stays there."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psutil
import pytest
from minilm import tokenizer_file
from pictures import page_of_text, skip_without_language_data
from real_servers import command_of
from structlog.testing import capture_logs

from penstock.chunking.recipe import ChunkRecipe
from penstock.errors import (
    CorruptFile,
    InvalidSettings,
    ModelUnavailable,
    NoText,
    ParserCrashed,
    ParserMemory,
    ParserTimeout,
    ServiceUnavailable,
    TooLarge,
)
from penstock.models import NewChunk
from penstock.parsing.frames import TEXT_NAME, MadeChunks, Ready, Recognising, frame_of
from penstock.parsing.pool import ParsedFile, ParserPool
from penstock.settings import ParsingSettings

pytestmark = pytest.mark.slow

CHILD = '''
import contextlib, ctypes, json, os, socket, subprocess, sys, time
from pathlib import Path
from penstock.chunking.document import Block
from penstock.errors import CorruptFile
from penstock.parsing.child import main

def detect(path, name):
    return "text/plain"

def read(path, media_type, coverage):
    """A file's first word says what its reader does; the rest is its text."""
    command, _, text = path.read_text().partition(" ")
    if command == "count":
        coverage.counted, coverage.missed, coverage.lost = map(int, text.split())
    if command == "skip":
        coverage.unread_pages, text = [3, 7], "Words."
    yield from COMMANDS.get(command, words)(text)

def words(text):
    yield from (Block(part, page=number) for number, part in enumerate(text.split("|"), start=1))

def many(text):
    for number in range(int(text)):
        yield Block(f"Paragraph {number}. " + "The water runs down the penstock to the turbines. " * 20)

def hang(text):
    yield Block(text)
    while True:
        time.sleep(3600)

def grow(text):
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 8))

def grow_descendant(text):
    if os.fork() == 0:
        yield from grow(text)
    os.wait()

def allocate(text):
    bytearray(1 << 46)

def segfault(text):
    yield from many("500")
    ctypes.string_at(0)

def leave(text):
    os._exit(3)

def lie(text):
    """Write to every pipe there is what the pool must not believe."""
    for descriptor in range(3, 20):
        with contextlib.suppress(OSError):
            os.write(descriptor, bytes.fromhex(text))
    time.sleep(3600)

def chatter(text):
    os.write(1, b"on standard output\\n" * 100_000)
    os.write(2, b"on standard error\\n" * 100_000)
    print("from Python")
    yield Block("said it")

def environment(text):
    yield Block(json.dumps(dict(os.environ)))

def litter(text):
    Path("left").write_text("behind")
    Path("folder/deep").mkdir(parents=True)
    Path("link").symlink_to(text)
    yield Block(os.getcwd())

def refuse(text):
    raise CorruptFile("It is broken.")

def complain(text):
    raise ValueError("n" + "o" * 1_000_000)

def fail(text):
    raise ZeroDivisionError("by nought")

def break_out(text):
    """Try what a hijacked parser would, and tell what came of it."""
    elsewhere = Path(text)
    attempts = {
        "write elsewhere": lambda: elsewhere.joinpath("new").write_text("x"),
        "overwrite": lambda: elsewhere.joinpath("kept").write_text("x"),
        "remove": lambda: elsewhere.joinpath("kept").unlink(),
        "start programs": lambda: subprocess.run([sys.executable, "--version"], check=True),
        "signal others": lambda: os.kill(os.getppid(), 0),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            yield Block(f"could not {name}")

def link(text):
    yield Block("x")
    Path("extracted-text").unlink()
    Path("extracted-text").symlink_to("/etc/hostname")

def call_home(text):
    try:
        socket.create_connection(("127.0.0.1", int(text)), timeout=5).close()
    except OSError:
        yield Block("cut off")
    else:
        yield Block("connected")

COMMANDS = {name: value for name, value in globals().items() if callable(value)}
main(detect=detect, read=read)
'''


_LIE = MadeChunks(chunks=[NewChunk(index=7, text="x", token_count=1, pages=None, char_span=(0, 1), headings=[])])
LIE_ABOUT_CHUNKS = frame_of(_LIE).hex()
LIE_ABOUT_READINESS = frame_of(Ready(given_up=[])).hex()


@pytest.fixture(scope="session")
def recipe() -> ChunkRecipe:
    return ChunkRecipe(tokenizer_file(), max_tokens=254)


class Bench:
    """A pool whose children do what a file tells them to."""

    def __init__(self, pool: ParserPool, folder: Path) -> None:
        self.pool = pool
        self.folder = folder
        self._files = 0

    def file(self, content: str) -> tuple[Path, Path]:
        self._files += 1
        path = self.folder / f"{self._files}.input"
        path.write_text(content)
        return path, path.with_suffix(".text")

    async def parse(self, content: str, *, name: str = "report.txt") -> tuple[list[NewChunk], ParsedFile, str]:
        path, text_path = self.file(content)
        chunks: list[NewChunk] = []
        async with self.pool.parse(path, name=name, text_path=text_path) as parse:
            async for batch in parse.batches():
                assert len(batch) <= 64
                chunks += batch
            return chunks, parse.result, text_path.read_bytes().decode()

    def at_work(self) -> bool:
        return any(self.folder.glob(f"children/*/{TEXT_NAME}"))

    def children(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children() if str(self.folder) in " ".join(command_of(child))]


OpenBench = Callable[..., AbstractAsyncContextManager[Bench]]
"""Limits of `ParsingSettings`, as keywords, to a started pool."""


@pytest.fixture
def open_bench(recipe: ChunkRecipe, tmp_path: Path) -> OpenBench:
    script = tmp_path / "child.py"
    script.write_text(CHILD)

    @asynccontextmanager
    async def bench(**limits: float) -> AsyncGenerator[Bench]:
        settings = ParsingSettings.model_validate({"children": 2, "timeout_seconds": 60, "memory_mb": 512} | limits)
        pool = ParserPool(settings, recipe, tmp_path / "children", command=(sys.executable, "-P", str(script)))
        await pool.start()
        try:
            yield Bench(pool, tmp_path)
        finally:
            await pool.close()

    return bench


async def eventually(holds: Callable[[], bool], *, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_file_becomes_chunks_counts_and_text(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        chunks, parsed, text = await bench.parse("words First page.|Zweite Seite: äöü.")
    assert text == "First page.\n\nZweite Seite: äöü."
    assert [(chunk.text, chunk.pages) for chunk in chunks] == [(text, (1, 2))]
    assert parsed == ParsedFile("text/plain", "english", 2, 1, len(text), chunks[0].token_count)


async def test_what_the_independent_count_found_comes_with_the_counts(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        _, parsed, _ = await bench.parse("count 30000 3 1")
    assert (parsed.coverage, parsed.supplemented) == (0.9999, 2)


async def test_pages_that_were_left_unread_come_with_the_counts(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        _, parsed, _ = await bench.parse("skip")
    assert (parsed.unread_pages, parsed.page_count) == ((3, 7), 7)


async def test_chunks_come_while_the_file_is_read(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        chunks, parsed, text = await bench.parse("many 1000")
    assert parsed.chunk_count == len(chunks) > 64
    assert parsed.character_count == len(text)
    assert parsed.token_count == sum(chunk.token_count for chunk in chunks)
    assert all(chunk.text == text[slice(*chunk.char_span)] for chunk in chunks)


async def test_a_parser_that_hangs_is_killed_after_the_time_limit(open_bench: OpenBench) -> None:
    async with open_bench(timeout_seconds=0.5, children=1) as bench:
        [before] = bench.children()
        with pytest.raises(ParserTimeout, match=r"slow\.txt.*0\.5 seconds.*PENSTOCK_PARSING_TIMEOUT_SECONDS"):
            await bench.parse("hang some text", name="slow.txt")
        await eventually(lambda: not before.is_running())
        assert (await bench.parse("words next"))[2] == "next"


async def test_recognising_text_has_a_time_limit_of_its_own(open_bench: OpenBench) -> None:
    async with open_bench(timeout_seconds=0.2, ocr_timeout_seconds=0.7, children=1) as bench:
        with pytest.raises(ParserTimeout, match=r"scan\.pdf.*0\.7 seconds.*PENSTOCK_PARSING_OCR_TIMEOUT_SECONDS"):
            await bench.parse(f"lie {frame_of(Recognising(page=7)).hex()}", name="scan.pdf")
        with pytest.raises(ParserTimeout, match=r"0\.2 seconds"):  # after the page the other limit counts again
            await bench.parse(f"lie {(frame_of(Recognising(page=7)) + frame_of(Recognising(page=None))).hex()}")


async def test_a_page_that_hangs_does_not_use_up_the_time_of_all(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.parsing.pool.PAGE_HANGS_SECONDS", 0.3)
    async with open_bench(children=1) as bench:
        with pytest.raises(ParserTimeout, match="page 7 hangs"):
            await bench.parse(f"lie {frame_of(Recognising(page=7)).hex()}", name="scan.pdf")


@pytest.mark.parametrize("command", ["grow", "grow_descendant"])
async def test_a_parser_that_grows_is_killed_at_the_memory_limit(open_bench: OpenBench, command: str) -> None:
    async with open_bench(memory_mb=300, children=1) as bench:
        with pytest.raises(ParserMemory, match=r"big\.txt.*300 MiB.*PENSTOCK_PARSING_MEMORY_MB"):
            await bench.parse(f"{command} x", name="big.txt")
        assert (await bench.parse("words next"))[2] == "next"


@pytest.mark.parametrize(
    ("command", "error", "sentence"),
    [
        ("allocate x", ParserMemory, "PENSTOCK_PARSING_MEMORY_MB"),
        ("segfault x", ParserCrashed, "SIGSEGV"),
        ("leave x", ParserCrashed, "exit status 3"),
        ("link x", ParserCrashed, "no file"),
        ("lie ffffffff", ParserCrashed, "announced"),
        ("lie 000000027b7d", ParserCrashed, "none"),
        ("lie " + LIE_ABOUT_CHUNKS, ParserCrashed, "out of order"),
        ("lie " + LIE_ABOUT_READINESS, ParserCrashed, "turn"),
        ("fail x", ParserCrashed, "ZeroDivisionError: by nought"),
        ("complain x", ParserCrashed, "ValueError: no+"),
        ("refuse x", CorruptFile, "It is broken"),
        ("words  \u200b", NoText, "no text"),
        ("many 3000", TooLarge, "1 MiB of text"),
    ],
)
async def test_what_goes_wrong_has_its_code_and_names_the_file(
    open_bench: OpenBench, command: str, error: type[Exception], sentence: str
) -> None:
    async with open_bench(children=1, max_text_mb=1, timeout_seconds=5) as bench:
        with pytest.raises(error, match=rf"bad\.txt.*{sentence}"):
            await bench.parse(command, name="bad.txt")
        assert (await bench.parse("words next"))[2] == "next"


async def test_what_libraries_print_disturbs_nothing(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        assert (await bench.parse("chatter x"))[2] == "said it"
        assert (await bench.parse("chatter x"))[2] == "said it"


async def test_a_child_gets_no_secrets(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", "postgresql://me:hunter2@localhost/penstock")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    async with open_bench(children=1) as bench:
        _, _, text = await bench.parse("environment x")
    assert "hunter2" not in text
    assert "PENSTOCK" not in text
    assert "PATH" in text


async def test_a_child_has_no_network_where_the_system_lets_it_go(open_bench: OpenBench) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, open_bench(children=1) as bench:
        with capture_logs() as logs:
            await bench.pool.close()
            await bench.pool.start()
        [ready] = [entry for entry in logs if entry["event"] == "parser child ready"]
        _, _, text = await bench.parse(f"call_home {port}")
    assert text == ("cut off" if {"network", "tcp"} & set(ready["given_up"]) else "connected")


async def test_a_hijacked_child_can_change_nothing_outside_its_folder(open_bench: OpenBench) -> None:
    with capture_logs() as logs:
        async with open_bench(children=1) as bench:
            (bench.folder / "kept").write_text("as it was")
            _, _, text = await bench.parse(f"break_out {bench.folder}")
    [given_up] = [entry["given_up"] for entry in logs if entry["event"] == "parser child ready"]
    if "write elsewhere" not in given_up:
        pytest.skip("this kernel has no Landlock")
    also = ["overwrite", "remove"]
    expected = {f"could not {what}" for what in [*given_up, *also] if what not in ("network", "tcp")}
    assert set(text.split("\n\n")) == expected
    assert (bench.folder / "kept").read_text() == "as it was"


async def test_a_file_leaves_nothing_in_the_temporary_folder(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        (bench.folder / "kept").mkdir()
        (bench.folder / "kept" / "file").touch()
        _, _, folder = await bench.parse(f"litter {bench.folder / 'kept'}")
        assert Path(folder).is_relative_to(bench.folder / "children")
        await eventually(lambda: not list(Path(folder).iterdir()))
        assert (await bench.parse("words next"))[2] == "next"
    assert not list((bench.folder / "children").iterdir())
    assert list((bench.folder / "kept").iterdir()), "a link must not lead the cleaning elsewhere"


async def test_a_child_killed_from_outside_fails_its_file_only(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        [child] = bench.children()
        parsing = asyncio.create_task(bench.parse("many 100000", name="mine.txt"))
        await eventually(bench.at_work)
        child.kill()
        with pytest.raises(ParserCrashed, match=r"mine\.txt.*SIGKILL"):
            await parsing
        assert (await bench.parse("words next"))[2] == "next"


async def test_leaving_early_kills_the_child_and_makes_room(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        [child] = bench.children()
        path, text_path = bench.file("many 100000")
        async with bench.pool.parse(path, name="mine.txt", text_path=text_path) as parse:
            async for _ in parse.batches():
                break
        await eventually(lambda: not child.is_running())
        assert (await bench.parse("words next"))[2] == "next"


async def test_a_cancelled_parse_kills_its_child_and_makes_room(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        [child] = bench.children()
        task = asyncio.create_task(bench.parse("hang x"))
        waiting = asyncio.create_task(bench.parse("words next"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: not child.is_running())
        assert (await waiting)[2] == "next"


async def test_a_killer_among_twenty_files_hurts_only_itself(open_bench: OpenBench) -> None:
    contents = ["segfault x" if number == 7 else f"many {number * 30}" for number in range(1, 21)]
    async with open_bench(children=3) as bench:
        alone = [None if "segfault" in content else (await bench.parse(content))[0] for content in contents]
        found = await asyncio.gather(*map(bench.parse, contents), return_exceptions=True)
    for before, result in zip(alone, found, strict=True):
        if isinstance(result, BaseException):
            assert before is None
            assert isinstance(result, ParserCrashed)
        else:
            assert result[0] == before


async def test_files_that_hang_are_overtaken(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.parsing.pool.SLOW_SECONDS", 0.1)
    async with open_bench(children=1, timeout_seconds=60) as bench:
        hanging = [asyncio.create_task(bench.parse("hang x")) for _ in range(2)]
        await eventually(bench.at_work)
        waiting = asyncio.create_task(bench.parse("words next"))
        await eventually(lambda: len(bench.children()) == 2, seconds=90)
        hanging.pop(0).cancel()
        assert (await waiting)[2] == "next", "also where the substitute hangs in its turn"
        for task in hanging:
            task.cancel()
        await eventually(lambda: len(bench.children()) == 2, seconds=90)
        assert [(await bench.parse(f"words {number}"))[2] for number in range(3)] == ["0", "1", "2"]


async def test_however_many_files_hang_there_are_never_more_than_twice_the_children(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.parsing.pool.SLOW_SECONDS", 0.01)  # sooner than a killed child is replaced
    async with open_bench(children=1) as bench:
        for number in range(4):
            hanging = asyncio.create_task(bench.parse("hang x"))
            await eventually(bench.at_work)
            waiting = asyncio.create_task(bench.parse(f"words {number}"))
            overtaking = asyncio.create_task(bench.parse("hang x"))
            assert (await waiting)[2] == str(number)
            hanging.cancel()
            overtaking.cancel()
            await asyncio.wait([hanging, overtaking])
        await eventually(lambda: len(bench.children()) == 2)
        assert [(await bench.parse(f"words {number}"))[2] for number in range(3)] == ["0", "1", "2"]
        assert len(bench.children()) == 2


async def test_a_slow_file_costs_another_child_only_while_others_wait(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.parsing.pool.SLOW_SECONDS", 0.01)
    async with open_bench(children=1) as bench:
        assert len((await bench.parse("many 3000"))[0]) > 64
        assert len(bench.children()) == 1, "nobody waited"
        slow = asyncio.create_task(bench.parse("many 20000"))
        await eventually(bench.at_work)
        assert (await bench.parse("words next"))[2] == "next"
        assert not slow.done(), "it was overtaken"
        await slow
        assert [found[2] for found in await asyncio.gather(*(bench.parse(f"words {n}") for n in range(3)))] == [*"012"]
        assert len(bench.children()) == 2, "one to read, one to spare"


async def test_time_in_which_the_caller_is_busy_does_not_count(open_bench: OpenBench) -> None:
    async with open_bench(children=1, timeout_seconds=1) as bench:
        path, text_path = bench.file("many 3000")
        async with bench.pool.parse(path, name="mine.txt", text_path=text_path) as parse:
            async for _ in parse.batches():
                await asyncio.sleep(0.05)
            assert parse.result.chunk_count > 20 * 64


async def test_a_worn_child_is_replaced(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.parsing.pool.FILES_OF_A_CHILD", 3)
    async with open_bench(children=1) as bench:
        seen: list[int] = []
        for _ in range(7):
            await bench.parse("words next")
            await eventually(lambda: len(bench.children()) == 1)
            seen.append(bench.children()[0].pid)
    assert len(set(seen)) == 3


async def test_closing_the_pool_blames_no_file(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        working, waiting = (asyncio.create_task(bench.parse("hang x")) for _ in range(2))
        await eventually(bench.at_work)
        await bench.pool.close()
        for task in (working, waiting):
            with pytest.raises(ServiceUnavailable, match="closed"):
                await task
        assert not bench.children()


async def test_a_start_that_is_cancelled_leaves_no_child(open_bench: OpenBench) -> None:
    async with open_bench(children=2) as bench:
        await bench.pool.close()
        starting = asyncio.create_task(bench.pool.start())
        await eventually(lambda: bool(bench.children()))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not bench.children()


async def test_a_child_that_cannot_start_is_tried_again_with_the_next_file(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        script = bench.folder / "child.py"
        script.write_text("raise SystemExit('not today')")
        with pytest.raises(ParserCrashed):
            await bench.parse("leave x")
        with pytest.raises(ServiceUnavailable, match="does not start"):
            await bench.parse("words next")
        script.write_text(CHILD)
        assert (await bench.parse("words next"))[2] == "next"


async def test_a_tokenizer_that_is_not_there_is_told_at_the_start(recipe: ChunkRecipe, tmp_path: Path) -> None:
    missing = ChunkRecipe(tmp_path / "tokenizer.json", 254)
    pool = ParserPool(ParsingSettings(children=2), missing, tmp_path / "children")
    with pytest.raises(ModelUnavailable, match=r"tokenizer\.json"):
        await pool.start()


async def test_children_die_with_a_killed_parent(open_bench: OpenBench) -> None:
    async with open_bench(children=1) as bench:
        owner = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OWNER, str(bench.folder), bench.pool._setup.model_dump_json(), stdout=subprocess.PIPE
        )
        assert owner.stdout
        announced = await owner.stdout.readuntil(b"child at work\n")
        child = psutil.Process(int(announced.split()[-4]))
        owner.kill()
        await owner.communicate()
        await eventually(lambda: not child.is_running())


OWNER = """
import asyncio, sys
from pathlib import Path
from penstock.parsing.frames import Setup
from penstock.parsing.frames import TEXT_NAME, MadeChunks, Ready, Recognising, frame_of
from penstock.parsing.pool import ParserPool
from penstock.settings import ParsingSettings

async def own():
    folder = Path(sys.argv[1])
    (folder / "hang").write_text("hang x")
    setup = Setup.model_validate_json(sys.argv[2])
    command = (sys.executable, "-P", str(folder / "child.py"))
    pool = ParserPool(ParsingSettings(children=1), setup.recipe, folder / "owned", command=command)
    await pool.start()
    async with pool.parse(folder / "hang", name="hang", text_path=folder / "text") as parse:
        print(parse._child.pid, "child at work", flush=True)
        async for _ in parse.batches():
            pass

asyncio.run(own())
"""


# ---- text in pictures, by Penstock's own child ----


@asynccontextmanager
async def own_pool(recipe: ChunkRecipe, folder: Path, **settings: str) -> AsyncGenerator[Bench]:
    pool = ParserPool(ParsingSettings.model_validate({"children": 1} | settings), recipe, folder / "children")
    await pool.start()
    try:
        yield Bench(pool, folder)
    finally:
        await pool.close()


async def test_a_contained_child_recognises_text(recipe: ChunkRecipe, tmp_path: Path) -> None:
    skip_without_language_data()
    path = tmp_path / "scan.tiff"
    page_of_text(["Penstock carries water."]).save(path, save_all=True, append_images=[page_of_text(["It is steel."])])
    async with (
        own_pool(recipe, tmp_path) as bench,
        bench.pool.parse(path, name="scan.tiff", text_path=tmp_path / "text") as parse,
    ):
        chunks = [chunk async for batch in parse.batches() for chunk in batch]
        assert parse.result.media_type == "image/tiff"
        assert parse.result.page_count == 2
    assert [(chunk.text, chunk.pages) for chunk in chunks] == [("Penstock carries water.\n\nIt is steel.", (1, 2))]


async def test_without_language_data_the_child_says_what_to_install(recipe: ChunkRecipe, tmp_path: Path) -> None:
    path, empty = tmp_path / "scan.png", tmp_path / "empty"
    empty.mkdir()
    page_of_text(["Penstock carries water."]).save(path)
    async with own_pool(recipe, tmp_path, ocr_data=str(empty)) as bench:
        with pytest.raises(NoText, match=r"scan\.png.*apt-get install tesseract-ocr-eng"):
            async with bench.pool.parse(path, name="scan.png", text_path=tmp_path / "text") as parse:
                [batch async for batch in parse.batches()]


async def test_a_language_that_is_not_installed_is_told_at_the_start(recipe: ChunkRecipe, tmp_path: Path) -> None:
    pool = ParserPool(ParsingSettings(children=1, ocr_languages="eng+xyz"), recipe, tmp_path / "children")
    with pytest.raises(InvalidSettings, match=r"PENSTOCK_PARSING_OCR_LANGUAGES.*xyz"):
        await pool.start()
