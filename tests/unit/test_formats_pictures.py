"""Picture files: what is recognised in them, and what is refused."""

from __future__ import annotations

import io
import random
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pictures import PROSE, page_of_text, recogniser, word_recall
from PIL import Image, ImageDraw, ImageFilter

from penstock.chunking.document import Block, BlockKind, Origin
from penstock.errors import CorruptFile, FileError, NoText, TooLarge
from penstock.parsing import media_type as types
from penstock.parsing.coverage import Coverage
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect
from penstock.parsing.recognition.tesseract import Recogniser

__all__ = ["recogniser"]

pytestmark = pytest.mark.slow


def blocks(path: Path, recogniser: Recogniser) -> list[Block]:
    return list(read(path, detect(path, path.name), recogniser=recogniser))


def texts(path: Path, recogniser: Recogniser) -> list[str]:
    return [block.text for block in blocks(path, recogniser)]


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return page_of_text(PROSE)


def small() -> Image.Image:
    return page_of_text(["Penstock carries water."], size=(1200, 400))


def test_clean_text_is_read_word_for_word(tmp_path: Path, page: Image.Image, recogniser: Recogniser) -> None:
    page.save(tmp_path / "page.png", dpi=(300, 300))
    found = blocks(tmp_path / "page.png", recogniser)
    assert word_recall(PROSE, [block.text for block in found]) >= 0.98
    assert [block.text[:12] for block in found] == [paragraph[:12] for paragraph in PROSE]
    assert {(block.kind, block.page, block.origin) for block in found} == {(BlockKind.PARAGRAPH, 1, Origin.RECOGNISED)}


def skewed(page: Image.Image) -> Image.Image:
    return page.rotate(2, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC)


def noisy(page: Image.Image) -> Image.Image:
    """Grey paper, grain and blur, as of a bad copy."""
    shades = np.asarray(page).astype(np.float32) * 0.7 + 45 + np.random.default_rng(1).normal(0, 25, page.size[::-1])
    return Image.fromarray(shades.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))


def coarse(page: Image.Image) -> Image.Image:
    """100 dpi."""
    return page.resize((page.width // 3, page.height // 3), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("damage", [skewed, noisy, coarse])
def test_bad_copies_are_read(tmp_path: Path, page: Image.Image, recogniser: Recogniser, damage: object) -> None:
    assert callable(damage)
    copy = damage(page)
    assert isinstance(copy, Image.Image)
    copy.save(tmp_path / "page.png")
    assert word_recall(PROSE, texts(tmp_path / "page.png", recogniser)) >= 0.95


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
def test_pages_on_their_side_or_head_are_read(
    tmp_path: Path, page: Image.Image, recogniser: Recogniser, turn: Image.Transpose
) -> None:
    page.transpose(turn).save(tmp_path / "page.png")
    assert word_recall(PROSE, texts(tmp_path / "page.png", recogniser)) >= 0.98


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp", "x.gif", "x.webp"])
def test_every_format_of_pictures(tmp_path: Path, recogniser: Recogniser, name: str) -> None:
    small().convert("RGB").save(tmp_path / name)
    assert texts(tmp_path / name, recogniser) == ["Penstock carries water."]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK", "F"])
def test_every_kind_of_pixels(tmp_path: Path, recogniser: Recogniser, mode: str) -> None:
    picture = small()
    deep = Image.fromarray(np.asarray(picture).astype(np.uint16) * 200) if mode == "I;16" else picture.convert(mode)
    deep.save(tmp_path / "x.tif")
    assert texts(tmp_path / "x.tif", recogniser) == ["Penstock carries water."]


def test_black_letters_on_nothing_are_seen_on_white(tmp_path: Path, recogniser: Recogniser) -> None:
    letters = Image.new("RGBA", (1200, 400), (0, 0, 0, 0))
    letters.paste((0, 0, 0, 255), mask=Image.eval(small(), lambda shade: 255 - shade))
    letters.save(tmp_path / "x.png")
    assert texts(tmp_path / "x.png", recogniser) == ["Penstock carries water."]


def test_a_camera_that_was_held_on_its_side(tmp_path: Path, recogniser: Recogniser) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    small().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.jpg", exif=exif)
    assert texts(tmp_path / "x.jpg", recogniser) == ["Penstock carries water."]


def test_a_tiff_has_pages_and_its_previews_are_none(tmp_path: Path, recogniser: Recogniser) -> None:
    preview = small()
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    second = page_of_text(["Second page."], size=(1200, 400))
    small().save(tmp_path / "x.tif", save_all=True, append_images=[preview, second])
    assert [(block.page, block.text) for block in blocks(tmp_path / "x.tif", recogniser)] == [
        (1, "Penstock carries water."),
        (2, "Second page."),
    ]


def test_pages_of_a_tiff_without_text_are_unread_unless_they_are_blank(tmp_path: Path, recogniser: Recogniser) -> None:
    further, coverage = [Image.new("L", (1200, 400), "white"), shapes().resize((1200, 400))], Coverage()
    small().save(tmp_path / "x.tif", save_all=True, append_images=further)
    assert list(read(tmp_path / "x.tif", types.TIFF, coverage, recogniser=recogniser))
    assert coverage.unread_pages == [3]


def test_coloured_cells_and_ruled_lines_of_tables(tmp_path: Path, recogniser: Recogniser) -> None:
    rows = [
        ["Quantity", "Site", "Value"],
        ["Pressure", "Turbine", "17"],
        ["Level", "Reservoir", "4"],
        ["Flow", "Gate", "9"],
    ]
    picture = Image.new("RGB", (1800, 100 * len(rows) + 40), "white")
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((20, 20, 1780, 120), fill=(140, 178, 226))
    for at, row in enumerate(rows):
        for cell, text in enumerate(row):
            left, top = 20 + 587 * cell, 20 + 100 * at
            drawing.rectangle((left, top, left + 587, top + 100), outline="black", width=3)
            drawing.text((left + 40, top + 25), text, fill="black", font_size=42)
    picture.save(tmp_path / "x.png")
    found = blocks(tmp_path / "x.png", recogniser)
    assert [block.text.split("\t") for block in found] == rows
    assert {block.kind for block in found} == {BlockKind.TABLE_ROW}


def test_columns_of_small_numbers_are_no_dirt(tmp_path: Path, recogniser: Recogniser) -> None:
    names = ["Alabama", "Arkansas", "Colorado", "Delaware", "Georgia", "Illinois", "Kansas", "Maryland", "Ohio"]
    picture = Image.new("L", (2480, 1200), "white")
    drawing = ImageDraw.Draw(picture)
    for at, name in enumerate(names):
        for cell, text in enumerate([name, str(at), name[::-1].title(), str(8 - at)]):
            drawing.text((300 + 500 * cell, 100 + 100 * at), text, fill="black", font_size=42)
    picture.save(tmp_path / "x.png")
    rows = [block.text.split("\t") for block in blocks(tmp_path / "x.png", recogniser)]
    assert [(row[0], row[1], row[3]) for row in rows] == [(name, str(at), str(8 - at)) for at, name in enumerate(names)]


def test_the_same_picture_gives_the_same_text_after_another(tmp_path: Path, recogniser: Recogniser) -> None:
    noisy(page_of_text(PROSE[:1], size=(2480, 700))).save(tmp_path / "bad.png")
    small().save(tmp_path / "other.png")
    first = texts(tmp_path / "bad.png", recogniser)
    texts(tmp_path / "other.png", recogniser)
    assert texts(tmp_path / "bad.png", recogniser) == first


# ---- no text ----


def clouds() -> Image.Image:
    return Image.effect_noise((40, 30), 200).resize((1600, 1200), Image.Resampling.BICUBIC)


def grain() -> Image.Image:
    return Image.effect_noise((1600, 1200), 180)


def shapes() -> Image.Image:
    picture, chance = Image.new("RGB", (1600, 1200), "white"), random.Random(7)
    drawing = ImageDraw.Draw(picture)
    for _ in range(60):
        left, top = chance.randrange(1500), chance.randrange(1100)
        box = (left, top, left + chance.randrange(20, 400), top + chance.randrange(20, 400))
        drawing.ellipse(box, fill=tuple(chance.randrange(256) for _ in range(3)))
    return picture


@pytest.mark.parametrize("draw", [clouds, grain, shapes, lambda: Image.new("L", (900, 900), "white")])
def test_pictures_without_text_give_no_noise(tmp_path: Path, recogniser: Recogniser, draw: object) -> None:
    assert callable(draw)
    picture = draw()
    assert isinstance(picture, Image.Image)
    picture.save(tmp_path / "x.png")
    with pytest.raises(NoText, match="No text was recognised in the picture, as eng"):
        blocks(tmp_path / "x.png", recogniser)


def test_without_a_recogniser_it_says_what_to_install(tmp_path: Path) -> None:
    small().save(tmp_path / "x.png")
    with pytest.raises(NoText, match=r"is a picture.*apt-get install tesseract-ocr-eng"):
        list(read(tmp_path / "x.png", types.PNG))


# ---- hostile ----


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of few bytes; only its header is honest about nothing."""
    picture = io.BytesIO()
    Image.new("1", (8, 8)).save(picture, "PNG")
    data = bytearray(picture.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("size", [(10_000, 9_000), (14_000, 14_000), (60_000, 60_000), (2_000_000, 50)])
def test_bombs_are_refused_before_they_are_decoded(
    tmp_path: Path, recogniser: Recogniser, size: tuple[int, int]
) -> None:
    (tmp_path / "x.png").write_bytes(png_that_claims(*size))
    with pytest.raises(TooLarge, match="million"):
        blocks(tmp_path / "x.png", recogniser)


@pytest.mark.parametrize(("scans", "refused"), [(100, False), (2000, True)])
def test_a_jpeg_of_thousands_of_passes_is_refused_before_it_is_decoded(
    tmp_path: Path, recogniser: Recogniser, scans: int, refused: bool
) -> None:
    picture = io.BytesIO()
    page_of_text([PROSE[0]]).save(picture, "JPEG", progressive=True)
    content = picture.getvalue()
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    (tmp_path / "x.jpg").write_bytes(content[:end] + content[last:end] * scans + content[end:])
    if refused:
        with pytest.raises(TooLarge, match="more than 500 passes"):
            blocks(tmp_path / "x.jpg", recogniser)
    else:
        assert blocks(tmp_path / "x.jpg", recogniser)


def test_a_later_page_of_a_tiff_can_be_a_bomb(tmp_path: Path, recogniser: Recogniser) -> None:
    bomb = Image.new("1", (12_000, 9_000))
    small().convert("1").save(tmp_path / "x.tif", save_all=True, append_images=[bomb], compression="group4")
    with pytest.raises(TooLarge, match="12000 x 9000"):
        blocks(tmp_path / "x.tif", recogniser)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "x.bmp", "x.gif", "x.webp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_cut_pictures_are_corrupt(tmp_path: Path, recogniser: Recogniser, name: str, share: float) -> None:
    path = tmp_path / name
    noisy(small()).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorruptFile):
        blocks(path, recogniser)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (1, 30_000), (30_000, 1), (20_000, 40), (16, 16)])
def test_odd_sizes_do_no_harm(tmp_path: Path, recogniser: Recogniser, size: tuple[int, int]) -> None:
    Image.effect_noise(size, 150).save(tmp_path / "x.png")
    with pytest.raises(NoText):
        blocks(tmp_path / "x.png", recogniser)


def test_mutated_pictures_end_in_a_typed_way(tmp_path: Path, recogniser: Recogniser) -> None:
    chance = random.Random(3)
    for name in ("x.png", "x.jpg", "x.tif", "x.gif", "x.webp", "x.bmp"):
        path = tmp_path / name
        page_of_text(["Few words"], size=(320, 120), letters=24).convert("RGB").save(path)
        whole = path.read_bytes()
        for _ in range(20):
            data = bytearray(whole)
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(data)
            with suppress(FileError):
                assert all(block.text for block in blocks(path, recogniser))


def test_a_page_has_its_time_and_says_so_where_it_is_not_enough(tmp_path: Path, recogniser: Recogniser) -> None:
    page_of_text(PROSE).save(tmp_path / "x.png")
    hurried = Recogniser(recogniser.data, page_seconds=0.05)
    found = texts(tmp_path / "x.png", hurried)
    assert found[-1] == "(The text on page 1 was not all recognised: it took longer than 0.05 seconds.)"


def test_pages_are_announced(tmp_path: Path, recogniser: Recogniser) -> None:
    small().save(tmp_path / "x.tif", save_all=True, append_images=[small()])
    said: list[int | None] = []
    blocks(tmp_path / "x.tif", Recogniser(recogniser.data, announce=said.append))
    assert said == [1, None, 2, None]
