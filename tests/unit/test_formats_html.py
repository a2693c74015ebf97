"""HTML and XML."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.chunking.document import Block
from penstock.errors import NoText
from penstock.parsing import media_type as types
from penstock.parsing.formats import read
from penstock.parsing.formats.html import html_blocks


def kinds(source: str) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text.strip()) for block in html_blocks(iter([source])) if block.text.strip()]


def read_bytes(tmp_path: Path, content: bytes, media_type: str) -> list[Block]:
    path = tmp_path / "object"
    path.write_bytes(content)
    return list(read(path, media_type))


def test_structure() -> None:
    assert kinds(
        "<title>Site</title><body><h1>One</h1>text <b>bold</b><p>para<br>two</p><ul><li>a<li>b</ul>"
        "<pre>code\n  more</pre><div>x<div>y</div>z</div>"
    ) == [
        ("page_furniture", "Site"),
        ("heading", "One"),
        ("paragraph", "text bold"),
        ("paragraph", "para\ntwo"),
        ("list_item", "a"),
        ("list_item", "b"),
        ("code", "code\n  more"),
        ("paragraph", "x"),
        ("paragraph", "y"),
        ("paragraph", "z"),
    ]


def test_heading_levels() -> None:
    blocks = html_blocks(iter(["<h1>a</h1><h2>b</h2><h6>c</h6>"]))
    assert [(block.text, block.level) for block in blocks] == [("a", 1), ("b", 2), ("c", 6)]


def test_ordered_lists_are_numbered() -> None:
    assert kinds("<ol start=3><li>a<ul><li>inner</ul><li><p>b</p><p>more</p></ol><ul><li>c</ul>") == [
        ("list_item", "3. a"),
        ("list_item", "inner"),
        ("list_item", "4. b"),
        ("paragraph", "more"),
        ("list_item", "c"),
    ]


def test_tables() -> None:
    assert kinds(
        "<table><tr><th>Name<th>Age</tr><tr><td>Ada</td><td>36</td></tr><tr><td></td><td>41</td><td>x</td></tr>"
        "<tr><td colspan=2>Total</td></tr></table>"
    ) == [
        ("table_row", "Name | Age"),
        ("table_row", "Ada | 36"),
        ("table_row", "| 41 | x"),
        ("paragraph", "Total"),
    ]


def test_layout_tables_are_read_as_if_they_were_none() -> None:
    assert kinds("<table><tr><td>Menu</td><td><h2>Title</h2><p>Text</p><ul><li>one</ul></td></tr></table>") == [
        ("paragraph", "Menu"),
        ("heading", "Title"),
        ("paragraph", "Text"),
        ("list_item", "one"),
    ]


def test_nested_tables() -> None:
    assert kinds("<table><tr><td>out<table><tr><td>a<td>b</tr></table></td><td>after</td></tr></table>") == [
        ("paragraph", "out"),
        ("table_row", "a | b"),
        ("paragraph", "after"),
    ]


def sources(source: str) -> list[tuple[str, str]]:
    return [(block.origin.value, block.text.strip()) for block in html_blocks(iter([source])) if block.text.strip()]


def test_scripts_and_styles_are_not_text() -> None:
    assert kinds(
        "<script>var a = '<p>no</p>'</script><style>p {}</style><p>yes</p><template>no</template><!-- no -->"
    ) == [("paragraph", "yes")]


def test_what_is_not_shown_is_told_apart() -> None:
    assert sources(
        "<p>one</p><div style='display: none'><h2>tab</h2><p>two</p></div><p hidden>no</p><dialog>ask</dialog>"
        "<noscript>plain</noscript><dialog open>now</dialog>"
    ) == [
        ("body", "one"),
        ("hidden", "tab\ntwo"),
        ("hidden", "no"),
        ("hidden", "ask"),
        ("hidden", "plain"),
        ("body", "now"),
    ]


def test_what_is_beside_a_paragraph_or_a_row_does_not_cut_it() -> None:
    assert sources("<p>This is <span hidden>secret </span>shown <b>too</b></p>") == [
        ("body", "This is shown too"),
        ("hidden", "secret"),
    ]
    assert sources("<table><tr><td>a<i hidden>x</i></td><td>b</td></tr></table>") == [
        ("body", "a | b"),
        ("hidden", "x"),
    ]


def test_menus_are_left_out_and_the_page_s_footer_is_beside_its_flow() -> None:
    page = "<nav><ul><li><a>Home</a><li>News</ul></nav><h1>T<i aria-hidden=true>#</i></h1><footer>© me</footer>"
    assert sources(page) == [("body", "T"), ("footer", "© me")]
    assert sources("<article>a<footer>by me</footer></article>") == [("body", "a"), ("body", "by me")]


def test_menus_of_a_page_without_other_text_and_of_books_are_text() -> None:
    page = "<title>Index</title><nav><ul><li><a>One</a><li>Two</ul></nav>"
    assert sources(page) == [("body", "Index"), ("header", "One\nTwo")]
    book = list(html_blocks(iter([page + "<p>more"]), with_menus=True))
    assert [block.text for block in book if block.text] == ["Index", "One\nTwo", "more"]


def test_a_long_hidden_part_is_not_gathered() -> None:
    page = iter(["<div hidden>", *(f"<p>{'word ' * 100}" for _ in range(1000)), "</div>"])
    assert max(len(block.text) for block in html_blocks(page)) < 2_000


def test_descriptions_and_form_values() -> None:
    assert kinds(
        "<head><meta name=description content='About us'><title>T</title></head><body><label>Name</label>"
        "<input value='Ada'><input type=hidden value=no><button>Send</button><button>Reset</button>"
    ) == [("page_furniture", "About us"), ("page_furniture", "T"), ("paragraph", "Name Ada Send Reset")]


def test_texts_of_drawings() -> None:
    assert kinds("<p>See <svg><title>Map</title><g><text>North</text></g><style>x</style></svg>here") == [
        ("paragraph", "See Map North here")
    ]


def test_cells_that_span_keep_the_columns_in_place() -> None:
    assert kinds(
        "<table><tr><th rowspan=2>Name<th colspan=2>Size<tr><td>w<td>h<tr><td>Ada<td>1<td>2"
        "<tr><td colspan=99999999999>x<td>y</table>"
    ) == [
        ("table_row", "Name | Size"),
        ("table_row", "| w | h"),
        ("table_row", "Ada | 1 | 2"),
        ("table_row", "x | y"),
    ]


def test_the_first_row_of_each_table_names_its_columns() -> None:
    blocks = html_blocks(
        iter(["<table><tr><td colspan=2>All<tr><th>a<th>b<tr><td>1<td>2</table><table><tr><td>c<td>d</table>"])
    )
    assert [(block.text, block.names_columns) for block in blocks if block.text] == [
        ("All", False),
        ("a | b", True),
        ("1 | 2", False),
        ("c | d", True),
    ]


def test_alternative_texts() -> None:
    assert kinds("<p>A <img src='data:image/png;base64,xx' alt='picture of a cat'> here") == [
        ("paragraph", "A picture of a cat here")
    ]


def test_depth_is_no_danger() -> None:
    assert kinds("<div>" * 50_000 + "deep" + "</div>" * 50_000) == [("paragraph", "deep")]


def test_source_in_pieces() -> None:
    source = "<h1>Überschrift</h1><p>Text &amp; more &eacute;</p>"
    whole = list(html_blocks(iter([source])))
    assert list(html_blocks(iter(source))) == whole


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<meta charset=iso-8859-1><p>Grüße".encode("latin-1"), "Grüße"),
        ("<meta charset=utf-8><p>Grüße".encode(), "Grüße"),
        ("<meta charset=utf-8><p>Grüße".encode("utf-16"), "Grüße"),
        (b"<meta charset=no-such-thing><p>Gr\xfc\xdfe", "Grüße"),
        (b"<meta http-equiv=Content-Type content='text/html; charset=shift_jis'><p>\x93\xfa\x96\x7b", "日本"),
        (b"<meta charset=utf-8><p>it\x92s", "it\u2019s"),
    ],
)
def test_encodings(tmp_path: Path, content: bytes, text: str) -> None:
    assert [block.text for block in read_bytes(tmp_path, content, types.HTML)] == [text]


@given(st.text(alphabet="<>/abp tdr=\"'!-&;", max_size=120))
def test_broken_markup_never_raises(source: str) -> None:
    list(html_blocks(iter([source])))


# ---- XML ----


def xml(tmp_path: Path, source: str) -> Iterable[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in read_bytes(tmp_path, source.encode(), types.XML)]


def test_xml_elements_are_blocks(tmp_path: Path) -> None:
    source = "<?xml version='1.0'?><a><title>Name</title><p>one <b>bold</b> end</p>tail<q x='no'><r>two</r></q></a>"
    assert xml(tmp_path, source) == [
        ("heading", "Name"),
        ("paragraph", "one bold end"),
        ("paragraph", "tail"),
        ("paragraph", "two"),
    ]


def test_html_inside_xml(tmp_path: Path) -> None:
    source = "<rss><item><title>News</title><d><![CDATA[<p>One</p><p>Two</p>]]></d></item></rss>"
    assert xml(tmp_path, source) == [("heading", "News"), ("paragraph", "One"), ("paragraph", "Two")]


def test_entities_stay_unresolved(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    source = f"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{tmp_path}/secret">
        <!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;">]><a>before &x;&m; after</a>"""
    text = " ".join(text for _, text in xml(tmp_path, source))
    assert "SECRET" not in text
    assert text.startswith("before")


def test_cut_xml_gives_what_is_there(tmp_path: Path) -> None:
    assert xml(tmp_path, "<a><p>one</p><p>two") == [("paragraph", "one"), ("paragraph", "two")]


def test_xml_without_words(tmp_path: Path) -> None:
    with pytest.raises(NoText):
        xml(tmp_path, "<a><b/></a>")


def test_excel_of_2003_has_rows(tmp_path: Path) -> None:
    names = 'xmlns="urn:schemas-microsoft-com:office:spreadsheet"'
    cells = "<Cell><Data>gauge</Data></Cell><Cell><Data>level</Data></Cell>"
    colours = "<Colors xmlns='urn:schemas-microsoft-com:office:excel'><Index>3</Index></Colors>"
    source = f"<?xml version='1.0'?><Workbook {names}>{colours}<Worksheet><Table><Row>{cells}</Row></Table></Worksheet>"
    assert xml(tmp_path, f"{source}</Workbook>") == [("table_row", "gauge | level")]


def test_pictures_and_codes_in_office_xml_are_no_words(tmp_path: Path) -> None:
    word = "http://schemas.microsoft.com/office/word/2003/wordml"
    runs = "<w:r><w:t>Level </w:t></w:r><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>7</w:t></w:r>"
    body = f"<w:body><w:binData>iVBORw0KGgo=</w:binData><w:p>{runs}</w:p></w:body>"
    source = f"<?xml version='1.0'?><w:wordDocument xmlns:w='{word}'>{body}</w:wordDocument>"
    assert [text for _, text in xml(tmp_path, source)] == ["Level 7"]
