"""Office containers: Word, PowerPoint, Excel, OpenDocument, EPUB, and the bounds of zip files."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from penstock.chunking.document import Block, Origin
from penstock.errors import CorruptFile, FileError, NoText, PasswordProtected, TooLarge
from penstock.parsing import archive as archives
from penstock.parsing import media_type as types
from penstock.parsing.archive import open_archive
from penstock.parsing.formats import read
from penstock.parsing.media_type import detect

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STRICT_W = 'xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
MC = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
P = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
ODF = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
)
Members = dict[str, str]


def zipped(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def relationships(**targets: str) -> str:
    """`kind="part"`; the id of each is its kind and number."""
    entries = "".join(
        f'<Relationship Id="{name}" Type="http://x/{name.rstrip("0123456789")}" Target="{target}"/>'
        for name, target in targets.items()
    )
    return f'<Relationships xmlns="http://x">{entries}</Relationships>'


def blocks(tmp_path: Path, members: Members, media_type: str) -> list[Block]:
    return list(read(zipped(tmp_path / "object", members), media_type))


def kinds(found: list[Block]) -> list[tuple[str, str]]:
    return [(block.kind.value, block.text) for block in found]


# ---- Word ----


def word(tmp_path: Path, body: str, namespace: str = W, **parts: str) -> list[Block]:
    members = {
        "_rels/.rels": relationships(officeDocument="word/document.xml"),
        "word/_rels/document.xml.rels": relationships(**{name: f"{name}.xml" for name in parts}),
        "word/document.xml": f"<w:document {namespace} {MC}><w:body>{body}</w:body></w:document>",
        **{f"word/{name}.xml": content for name, content in parts.items()},
    }
    return blocks(tmp_path, members, types.DOCX)


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


STYLES = f"""<w:styles {W}>
  <w:style w:styleId="Kop"><w:name w:val="Heading 2"/></w:style>
  <w:style w:styleId="Own"><w:name w:val="mine"/><w:basedOn w:val="Kop"/></w:style>
  <w:style w:styleId="Ring"><w:name w:val="ring"/><w:basedOn w:val="Ring"/></w:style>
</w:styles>"""


@pytest.mark.parametrize("namespace", [W, STRICT_W])
def test_runs_make_a_paragraph(tmp_path: Path, namespace: str) -> None:
    body = (
        "<w:p><w:r><w:t>Hel</w:t></w:r><w:hyperlink><w:r><w:t>lo</w:t><w:tab/><w:t>you</w:t></w:r></w:hyperlink></w:p>"
    )
    assert kinds(word(tmp_path, body, namespace)) == [("paragraph", "Hello\tyou")]


def test_headings_come_from_styles_in_any_language(tmp_path: Path) -> None:
    body = (
        paragraph("Two", '<w:pStyle w:val="Kop"/>')
        + paragraph("Based", '<w:pStyle w:val="Own"/>')
        + paragraph("Ring", '<w:pStyle w:val="Ring"/>')
        + paragraph("Direct", '<w:outlineLvl w:val="0"/>')
    )
    found = word(tmp_path, body, styles=STYLES)
    assert [(block.text, block.level) for block in found] == [("Two", 2), ("Based", 2), ("Ring", 0), ("Direct", 1)]


def test_tracked_changes_show_the_present_text(tmp_path: Path) -> None:
    body = (
        "<w:p><w:ins><w:r><w:t>new</w:t></w:r></w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del>"
        "<w:moveFrom><w:r><w:t>gone</w:t></w:r></w:moveFrom><w:moveTo><w:r><w:t> here</w:t></w:r></w:moveTo></w:p>"
    )
    assert kinds(word(tmp_path, body)) == [("paragraph", "new here")]


def test_field_codes_are_not_text(tmp_path: Path) -> None:
    body = "<w:p><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:t>7</w:t></w:r></w:p>"
    assert kinds(word(tmp_path, body)) == [("paragraph", "7")]


def test_text_boxes_once(tmp_path: Path) -> None:
    box = f"<w:txbxContent>{paragraph('in the box')}</w:txbxContent>"
    body = (
        f"<w:p><w:r><w:t>around</w:t><mc:AlternateContent><mc:Choice>{box}</mc:Choice>"
        f"<mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert kinds(word(tmp_path, body)) == [("paragraph", "around"), ("paragraph", "in the box")]


def test_tables_and_layout(tmp_path: Path) -> None:
    cell = "<w:tc>{}</w:tc>".format
    body = (
        f"<w:tbl><w:tr>{cell(paragraph('a'))}{cell(paragraph('b') + paragraph('c'))}</w:tr>"
        f"<w:sdt><w:sdtContent><w:tr>{cell(paragraph('one') + paragraph('two'))}{cell('')}</w:tr>"
        "</w:sdtContent></w:sdt>"
        "</w:tbl>"
    )
    assert kinds(word(tmp_path, body)) == [("table_row", "a | b c"), ("paragraph", "one"), ("paragraph", "two")]


def test_other_parts_are_furniture(tmp_path: Path) -> None:
    found = word(
        tmp_path,
        paragraph("Body"),
        header1=f"<w:hdr {W}>{paragraph('Head')}</w:hdr>",
        footnotes=f"<w:footnotes {W}><w:footnote>{paragraph('Note')}</w:footnote></w:footnotes>",
        comments=f"<w:comments {W}><w:comment>{paragraph('Remark')}</w:comment></w:comments>",
    )
    assert kinds(found) == [
        ("page_furniture", "Head"),
        ("paragraph", "Body"),
        ("page_furniture", "Note"),
        ("page_furniture", "Remark"),
    ]


NUMBERING = f"""<w:numbering {W}>
  <w:abstractNum w:abstractNumId="7">
    <w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>
    <w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1%2)"/></w:lvl>
  </w:abstractNum>
  <w:abstractNum w:abstractNumId="8">
    <w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="o"/></w:lvl>
  </w:abstractNum>
  <w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>
  <w:num w:numId="2"><w:abstractNumId w:val="8"/></w:num>
</w:numbering>"""


def test_list_numbers_are_shown(tmp_path: Path) -> None:
    def item(text: str, number: int, level: int) -> str:
        return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')

    body = item("a", 1, 0) + item("b", 1, 1) + item("c", 1, 1) + item("d", 1, 0) + item("e", 1, 1) + item("f", 2, 0)
    found = word(tmp_path, body, numbering=NUMBERING)
    assert [block.text for block in found] == ["1. a", "1a) b", "1b) c", "2. d", "2a) e", "f"]
    assert {block.kind.value for block in found} == {"list_item"}


def test_each_part_says_where_its_text_stands(tmp_path: Path) -> None:
    def reference(kind: str, number: int) -> str:
        return f'<w:r><w:{kind}Reference w:id="{number}"/></w:r>'

    references = reference("footnote", 9) + reference("endnote", 4) + reference("footnote", 2)
    body = f"<w:p><w:r><w:t>See</w:t></w:r>{references}</w:p>"
    notes = f'<w:footnote w:id="2">{paragraph("Two")}</w:footnote><w:footnote w:id="9">{paragraph("Nine")}</w:footnote>'
    found = word(
        tmp_path,
        body,
        header1=f"<w:hdr {W}>{paragraph('Head')}</w:hdr>",
        footer1=f"<w:ftr {W}>{paragraph('Foot')}</w:ftr>",
        footnotes=f"<w:footnotes {W}>{notes}</w:footnotes>",
        endnotes=f'<w:endnotes {W}><w:endnote w:id="4">{paragraph("Four")}</w:endnote></w:endnotes>',
        comments=f'<w:comments {W}><w:comment w:id="0">{paragraph("Remark")}</w:comment></w:comments>',
    )
    assert [(block.origin, block.text) for block in found] == [
        (Origin.HEADER, "Head"),
        (Origin.BODY, "See[1][e1][2]"),
        (Origin.FOOTER, "Foot"),
        (Origin.FOOTNOTE, "[2] Two"),
        (Origin.FOOTNOTE, "[1] Nine"),
        (Origin.ENDNOTE, "[e1] Four"),
        (Origin.COMMENT, "Remark"),
    ]


def test_what_people_fill_in(tmp_path: Path) -> None:
    control = "<w:sdt><w:sdtPr><w:{}/></w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>".format
    field = "<w:p><w:r><w:fldChar><w:ffData>{}</w:ffData></w:fldChar></w:r></w:p>".format
    body = (
        control("text", paragraph("Ada"))
        + control("docPartObj", paragraph("Contents"))
        + f"<w:tbl><w:tr><w:tc>{control('date', paragraph('1 May'))}</w:tc><w:tc/></w:tr></w:tbl>"
        + field('<w:ddList><w:result w:val="1"/><w:listEntry w:val="no"/><w:listEntry w:val="yes"/></w:ddList>')
        + field('<w:ddList><w:result w:val="7"/><w:listEntry w:val="lost"/></w:ddList>')
        + field("<w:checkBox><w:checked/></w:checkBox>")
        + field('<w:checkBox><w:default w:val="0"/></w:checkBox>')
    )
    assert [(block.origin.value, block.text) for block in word(tmp_path, body)] == [
        ("form_field", "Ada"),
        ("body", "Contents"),
        ("form_field", "1 May"),
        ("body", "yes"),
        ("body", "☒"),
        ("body", "☐"),
    ]


def test_hidden_text_is_told_apart(tmp_path: Path) -> None:
    hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r>"
    body = f"<w:p>{hidden}</w:p><w:p>{hidden}<w:r><w:t> shown</w:t></w:r></w:p>"
    assert [(block.origin.value, block.text) for block in word(tmp_path, body)] == [
        ("hidden", "secret"),
        ("body", "secret shown"),
    ]


def test_words_above_words_and_along_lines(tmp_path: Path) -> None:
    ruby = (
        "<w:ruby><w:rt><w:r><w:t>かんじ</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>漢字</w:t></w:r></w:rubyBase></w:ruby>"
    )
    art = '<w:pict><v:shape xmlns:v="urn:v"><v:textpath string="DRAFT"/></v:shape></w:pict>'
    picture = '<w:drawing><docPr descr="A pump"/></w:drawing>'
    body = f"<w:p><w:r>{ruby}</w:r></w:p><w:p><w:r>{art}</w:r><w:r>{picture}</w:r></w:p>"
    assert [block.text for block in word(tmp_path, body)] == ["漢字(かんじ)", "DRAFT  A pump"]


@pytest.mark.parametrize(
    ("equation", "text"),
    [
        ("<m:f><m:num>{1}</m:num><m:den>{n+1}</m:den></m:f>", "1/(n+1)"),
        ('<m:f><m:fPr><m:type m:val="noBar"/></m:fPr><m:num>{n}</m:num><m:den>{k}</m:den></m:f>', "n k"),
        ("<m:sSubSup><m:e>{x}</m:e><m:sub>{i}</m:sub><m:sup>{2}</m:sup></m:sSubSup>", "x_i^2"),
        ("<m:rad><m:deg>{3}</m:deg><m:e>{x+y}</m:e></m:rad>", "3√(x+y)"),
        ('<m:nary><m:naryPr><m:chr m:val="∑"/></m:naryPr><m:sub>{i=0}</m:sub><m:sup>{n}</m:sup><m:e>{i}</m:e></m:nary>',
         "∑_(i=0)^ni"),
        ('<m:d><m:dPr><m:begChr m:val="["/><m:endChr m:val=""/></m:dPr><m:e>{a}</m:e><m:e>{b}</m:e></m:d>', "[a|b"),
        ("<m:m><m:mr><m:e>{1}</m:e><m:e>{0}</m:e></m:mr><m:mr><m:e>{0}</m:e><m:e>{1}</m:e></m:mr></m:m>", "1 0; 0 1"),
        ("<m:func><m:fName><m:limLow><m:e>{lim}</m:e><m:lim>{n}</m:lim></m:limLow></m:fName><m:e>{n}</m:e></m:func>",
         "lim_n n"),
    ],
)  # fmt: skip
def test_equations_in_a_line(tmp_path: Path, equation: str, text: str) -> None:
    marked = re.sub(r"\{(.*?)\}", r"<m:r><m:t>\1</m:t></m:r>", equation)
    body = f'<w:p><w:r><w:t>so </w:t></w:r><m:oMath xmlns:m="http://m">{marked}</m:oMath></w:p>'
    assert [block.text for block in word(tmp_path, body)] == [f"so {text}"]


def cells(*texts: str) -> str:
    return "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in texts)


@pytest.mark.parametrize(
    ("properties", "first_row", "named"),
    [
        ("", "", ["a | b"]),
        ('<w:tblPr><w:tblLook w:firstRow="0"/></w:tblPr>', "", []),
        ('<w:tblPr><w:tblLook w:firstRow="0"/></w:tblPr>', "<w:trPr><w:tblHeader/></w:trPr>", ["a | b"]),
    ],
)
def test_rows_that_name_columns(tmp_path: Path, properties: str, first_row: str, named: list[str]) -> None:
    body = f"<w:tbl>{properties}<w:tr>{first_row}{cells('a', 'b')}</w:tr><w:tr>{cells('1', '2')}</w:tr></w:tbl>"
    assert [block.text for block in word(tmp_path, body) if block.names_columns] == named


def test_a_table_of_one_row_names_nothing(tmp_path: Path) -> None:
    assert not any(block.names_columns for block in word(tmp_path, f"<w:tbl><w:tr>{cells('a', 'b')}</w:tr></w:tbl>"))


def test_wide_cells_keep_columns(tmp_path: Path) -> None:
    wide = f'<w:tc><w:tcPr><w:gridSpan w:val="2"/></w:tcPr>{paragraph("wide")}</w:tc>'
    body = f"<w:tbl><w:tr>{wide}{cells('c')}</w:tr><w:tr>{cells('1', '2', '3')}</w:tr></w:tbl>"
    assert [block.text for block in word(tmp_path, body)] == ["wide |  | c", "1 | 2 | 3"]


CHART = (
    f'<c:chart {A} xmlns:c="urn:c"><c:title><a:p><a:r><a:t>Sales</a:t></a:r></a:p></c:title>'
    "<c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>North</c:v></c:pt></c:strCache></c:strRef></c:tx>"
    "<c:cat><c:multiLvlStrRef><c:multiLvlStrCache>"
    "<c:lvl><c:pt idx='0'><c:v>Q1</c:v></c:pt><c:pt idx='1'><c:v>Q2</c:v></c:pt><c:pt idx='2'><c:v>Q1</c:v></c:pt>"
    "</c:lvl><c:lvl><c:pt idx='0'><c:v>2023</c:v></c:pt><c:pt idx='2'><c:v>2024</c:v></c:pt></c:lvl>"
    "</c:multiLvlStrCache></c:multiLvlStrRef></c:cat>"
    "<c:val><c:numRef><c:numCache><c:formatCode>0.0</c:formatCode>"
    "<c:pt idx='0'><c:v>10</c:v></c:pt><c:pt idx='2'><c:v>12</c:v></c:pt></c:numCache>"
    "</c:numRef></c:val><c:dLbls><a:p><a:r><a:t>best year</a:t></a:r></a:p></c:dLbls></c:ser></c:chart>"
)


def test_charts_follow_their_paragraph(tmp_path: Path) -> None:
    pointer = '<w:r><w:drawing><c:chart xmlns:c="urn:c" r:id="chart1"/></w:drawing></w:r>'
    body = f"<w:p {R}><w:r><w:t>Before</w:t></w:r>{pointer}</w:p>{paragraph('After')}"
    found = word(tmp_path, body, chart1=CHART, chart2=CHART.replace("Sales", "Stray"))
    row = ("table_row", "North | 2023 Q1: 10.0 | 2023 Q2 | 2024 Q1: 12.0")
    assert kinds(found) == [
        ("paragraph", "Before"),
        ("paragraph", "Sales"),
        ("paragraph", "best year"),
        row,
        ("paragraph", "After"),
        ("paragraph", "Stray"),
        ("paragraph", "best year"),
        row,
    ]


def test_a_chart_is_read_and_not_what_stands_in_for_it(tmp_path: Path) -> None:
    new_chart = (
        f'<cx:chartSpace {A} xmlns:cx="urn:cx"><cx:chartData><cx:data><cx:strDim><cx:lvl><cx:pt idx="0">Pumps</cx:pt>'
        '<cx:pt idx="1">Valves</cx:pt></cx:lvl></cx:strDim><cx:numDim><cx:lvl><cx:pt idx="0">5</cx:pt></cx:lvl>'
        "</cx:numDim></cx:data></cx:chartData><cx:chart><cx:title><cx:tx><cx:txData><cx:v>Stock</cx:v></cx:txData>"
        "</cx:tx></cx:title></cx:chart></cx:chartSpace>"
    )
    body = (
        f"<w:p {R}><w:r><mc:AlternateContent><mc:Choice><w:drawing>"
        '<cx:chart xmlns:cx="urn:cx" r:id="chartEx1"/></w:drawing></mc:Choice>'
        "<mc:Fallback><w:t>This chart is not available in your version.</w:t></mc:Fallback></mc:AlternateContent>"
        "</w:r></w:p>"
    )
    assert kinds(word(tmp_path, body, chartEx1=new_chart)) == [
        ("paragraph", "Stock"),
        ("table_row", "Pumps: 5 | Valves"),
    ]


def test_alternatives_without_a_variant_end(tmp_path: Path) -> None:
    body = "<w:p><w:r><mc:AlternateContent><w:t>kept</w:t></mc:AlternateContent></w:r></w:p>"
    assert kinds(word(tmp_path, body)) == [("paragraph", "kept")]


def test_cut_xml_is_damage(tmp_path: Path) -> None:
    members = {
        "_rels/.rels": relationships(officeDocument="word/document.xml"),
        "word/document.xml": f"<w:document {W}><w:body>{paragraph('one')}<w:p>",
    }
    with pytest.raises(CorruptFile):
        blocks(tmp_path, members, types.DOCX)


def test_missing_parts_are_damage(tmp_path: Path) -> None:
    with pytest.raises(CorruptFile):
        blocks(tmp_path, {"_rels/.rels": relationships(officeDocument="word/document.xml")}, types.DOCX)
    with pytest.raises(CorruptFile):
        blocks(tmp_path, {"x": "y"}, types.DOCX)


@pytest.mark.parametrize(
    "target", ["/word/document.xml", "word\\document.xml", "WORD/Document.xml", "./word/document.xml"]
)
def test_part_names_of_careless_programs(tmp_path: Path, target: str) -> None:
    members = {
        "_rels/.rels": relationships(officeDocument=target),
        "word/document.xml": f"<w:document {W}><w:body>{paragraph('one')}</w:body></w:document>",
    }
    assert kinds(blocks(tmp_path, members, types.DOCX)) == [("paragraph", "one")]


def test_entities_in_a_part_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    document = (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
        f"<w:document {W}><w:body>{paragraph('one &e;')}</w:body></w:document>"
    )
    members = {"_rels/.rels": relationships(officeDocument="word/document.xml"), "word/document.xml": document}
    assert "SECRET" not in str(blocks(tmp_path, members, types.DOCX))


# ---- PowerPoint ----


def shape(text: str, placeholder: str = "") -> str:
    place = f'<p:ph type="{placeholder}"/>' if placeholder else ""
    paragraphs = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return f"<p:sp><p:nvSpPr><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:txBody>{paragraphs}</p:txBody></p:sp>"


def slide(shapes: str) -> str:
    return f"<p:sld {P} {A} {MC}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"


def presentation(tmp_path: Path, slides: list[str], order: str) -> list[Block]:
    names = {f"slide{number}": f"slides/slide{number}.xml" for number in range(1, len(slides) + 1)}
    ids = "".join(f'<p:sldId id="256" r:id="slide{number}"/>' for number in order)
    members = {
        "_rels/.rels": relationships(officeDocument="ppt/presentation.xml"),
        "ppt/_rels/presentation.xml.rels": relationships(**names),
        "ppt/presentation.xml": f"<p:presentation {P} {R}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/slides/_rels/slide1.xml.rels": relationships(notesSlide="../notesSlides/n.xml", diagramData="../d.xml"),
        "ppt/notesSlides/n.xml": slide(shape("Say this")),
        "ppt/d.xml": f"<d {A}><a:p><a:r><a:t>Box</a:t></a:r></a:p></d>",
        **{f"ppt/slides/slide{number}.xml": content for number, content in enumerate(slides, start=1)},
    }
    return blocks(tmp_path, members, types.PPTX)


def test_slides_are_pages_in_their_shown_order(tmp_path: Path) -> None:
    group = f"<p:grpSp><p:grpSp>{shape('deep')}</p:grpSp></p:grpSp>"
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>".format
    table = f"<p:graphicFrame><a:tbl><a:tr>{cell('x')}{cell('y')}</a:tr></a:tbl></p:graphicFrame>"
    second = slide(shape("one\ntwo") + shape("Title", "title") + group + table)
    found = presentation(tmp_path, [second, slide(shape("first"))], "21")
    assert [(block.kind.value, block.text, block.page) for block in found] == [
        ("paragraph", "first", 1),
        ("heading", "Title", 2),
        ("paragraph", "one", 2),
        ("paragraph", "two", 2),
        ("paragraph", "deep", 2),
        ("table_row", "x | y", 2),
        ("paragraph", "Box", 2),
        ("page_furniture", "Say this", 2),
    ]


def test_slides_say_where_their_text_stands(tmp_path: Path) -> None:
    unseen = shape("under the picture").replace("<p:nvPr>", '<p:cNvPr hidden="1"/><p:nvPr>')
    alternative = shape("drawn").replace("<p:nvPr>", '<p:cNvPr descr="A pump"/><p:nvPr>')
    shown_slide = slide(shape("Foot", "ftr") + shape("7", "sldNum") + unseen + alternative)
    hidden_slide = slide(shape("later")).replace("<p:sld ", '<p:sld show="0" ')
    found = presentation(tmp_path, [hidden_slide, shown_slide], "21")
    assert [(block.origin.value, block.text, block.page) for block in found] == [
        ("footer", "Foot", 1),
        ("footer", "7", 1),
        ("hidden", "under the picture", 1),
        ("body", "A pump", 1),
        ("body", "drawn", 1),
        ("hidden", "later", 2),
        ("hidden", "Box", 2),
        ("speaker_notes", "Say this", 2),
    ]


def test_slide_tables_that_set_their_first_row_apart(tmp_path: Path) -> None:
    cell = "<a:tc><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>".format
    rows = f'<a:tblPr firstRow="1"/><a:tr>{cell("x")}</a:tr><a:tr>{cell("1")}</a:tr>'
    found = presentation(tmp_path, [slide(f"<p:graphicFrame><a:tbl>{rows}</a:tbl></p:graphicFrame>")], "1")
    assert [block.text for block in found if block.names_columns] == ["x"]


def test_comments_on_slides_of_both_kinds(tmp_path: Path) -> None:
    one_slide = '<p:sldIdLst><p:sldId r:id="slide1"/></p:sldIdLst>'
    members = {
        "_rels/.rels": relationships(officeDocument="ppt/presentation.xml"),
        "ppt/_rels/presentation.xml.rels": relationships(slide1="slides/slide1.xml"),
        "ppt/presentation.xml": f"<p:presentation {P} {R}>{one_slide}</p:presentation>",
        "ppt/slides/slide1.xml": slide(shape("body")),
        "ppt/slides/_rels/slide1.xml.rels": relationships(comments1="../c1.xml", comments2="../c2.xml"),
        "ppt/c1.xml": f"<p:cmLst {P}><p:cm><p:text>old</p:text></p:cm></p:cmLst>",
        "ppt/c2.xml": f"<n:cmLst {A} xmlns:n='urn:n'><n:cm><n:replyLst><n:reply><n:txBody><a:p><a:r><a:t>reply</a:t>"
        "</a:r></a:p></n:txBody></n:reply></n:replyLst><n:txBody><a:p><a:r><a:t>new</a:t></a:r></a:p></n:txBody></n:cm>"
        "</n:cmLst>",
    }
    found = blocks(tmp_path, members, types.PPTX)
    assert [(block.origin.value, block.text) for block in found] == [
        ("body", "body"),
        ("comment", "old"),
        ("comment", "reply"),
        ("comment", "new"),
    ]


# ---- Excel ----


def workbook(
    tmp_path: Path, rows: str, *, state: str = "visible", beside: str = "", related: Members | None = None, **parts: str
) -> list[Block]:
    """One sheet; `beside` follows its rows, `related` are the parts that it refers to."""
    of_sheet = related or {}
    sheets = f'<sheets><sheet name="Sales" state="{state}" r:id="worksheet1"/></sheets>'
    members = {
        "_rels/.rels": relationships(officeDocument="xl/workbook.xml"),
        "xl/_rels/workbook.xml.rels": relationships(
            worksheet1="worksheets/sheet1.xml", **{name: f"{name}.xml" for name in parts}
        ),
        "xl/workbook.xml": f"<workbook {S} {R}>{sheets}</workbook>",
        "xl/worksheets/sheet1.xml": f"<worksheet {S}><sheetData>{rows}</sheetData>{beside}</worksheet>",
        "xl/worksheets/_rels/sheet1.xml.rels": relationships(**{name: f"{name}.xml" for name in of_sheet}),
        **{f"xl/worksheets/{name}.xml": content for name, content in of_sheet.items()},
        **{f"xl/{name}.xml": content for name, content in parts.items()},
    }
    return blocks(tmp_path, members, types.XLSX)


def test_cells_of_every_kind(tmp_path: Path) -> None:
    strings = f"<sst {S}><si><t>Name</t></si><si><r><t>Ri</t></r><r><t>ch</t></r><rPh><t>no</t></rPh></si></sst>"
    styles = (
        f'<styleSheet {S}><numFmts><numFmt numFmtId="170" formatCode="yyyy\\-mm\\-dd hh:mm"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="10"/><xf numFmtId="170"/><xf numFmtId="46"/>'
        "</cellXfs></styleSheet>"
    )
    rows = (
        '<row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>'
        '<c r="D1" t="inlineStr"><is><t>in</t></is></c></row>'
        '<row><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c t="str"><v>text</v></c>'
        "<c><v>0.30000000000000004</v></c></row>"
        '<row><c s="1"><v>45292</v></c><c s="2"><v>0.125</v></c><c s="3"><v>45292.5</v></c>'
        '<c s="4"><v>1.5</v></c></row>'
        '<row><c r="ZZ4"><v>12345678901</v></c></row><row><c r="A5"/></row>'
    )
    assert kinds(workbook(tmp_path, rows, sharedStrings=strings, styles=styles)) == [
        ("heading", "Sales"),
        ("table_row", "Name | Rich |  | in"),
        ("table_row", "TRUE | #N/A | text | 0.3"),
        ("table_row", "2024-01-01 | 12.50% | 2024-01-01 12:00 | 36:00:00"),
        ("table_row", "|  |  |  |  |  |  |  | 12345678901"),
    ]


def texts(*values: str, row: int) -> str:
    inline = "".join(f'<c t="inlineStr"><is><t>{value}</t></is></c>' if value else "<c/>" for value in values)
    return f'<row r="{row}">{inline}</row>'


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([(1, "Name", "Age"), (2, "Ada", "36"), (3, "Alan", "41")], ["Name | Age"]),
        ([(1, "Report"), (3, "Name", "Age"), (4, "Ada", "36"), (8, "City", "Size"), (9, "Paris", "2")],
         ["Name | Age", "City | Size"]),
        ([(1, "", "2023", "2024"), (2, "Sales", "10", "12")], ["| 2023 | 2024"]),
        ([(1, "Item", "2023", "2024"), (2, "Sales", "10", "12")], ["Item | 2023 | 2024"]),
        ([(1, "10", "12"), (2, "11", "13")], []),
        ([(1, "Name", "Age"), (3, "Ada", "36")], []),
        ([(1, "2024-05-01", "x"), (2, "2024-05-02", "y")], []),
        ([(1, "Total", "$ 1,200.50"), (2, "Tax", "(12%)")], []),
    ],
)  # fmt: skip
def test_rows_that_name_the_columns_of_a_sheet(tmp_path: Path, rows: list[tuple[int, str]], named: list[str]) -> None:
    found = workbook(tmp_path, "".join(texts(*values, row=row) for row, *values in rows))
    assert [block.text for block in found if block.names_columns] == named


def test_tables_say_which_row_names_their_columns(tmp_path: Path) -> None:
    rows = texts("1", "2", row=4) + texts("3", "4", row=5) + texts("5", "6", row=6)
    tables = {"table1": f'<table {S} ref="A5:B6"/>', "table2": f'<table {S} ref="A4:B6" headerRowCount="0"/>'}
    found = workbook(tmp_path, rows, related=tables)
    assert [block.text for block in found if block.names_columns] == ["3 | 4"]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_hidden_sheets_are_told_apart(tmp_path: Path, state: str) -> None:
    found = workbook(tmp_path, texts("a", row=1), state=state)
    assert [(block.origin.value, block.text) for block in found] == [("hidden", "Sales"), ("hidden", "a")]


def test_what_stands_beside_the_cells(tmp_path: Path) -> None:
    beside = (
        '<dataValidations><dataValidation promptTitle="Size" prompt="in_x000D_metres" error="Too large"/>'
        "</dataValidations>"
        '<headerFooter><oddHeader>&amp;L&amp;"Arial,Bold"&amp;12R&amp;&amp;D&amp;C&amp;D&amp;Rright</oddHeader>'
        "<evenFooter>Page &amp;P</evenFooter></headerFooter>"
    )
    related = {
        "comments": f"<comments {S}><authors><author>Ada</author><author>tc={{1}}</author></authors><commentList>"
        '<comment authorId="0"><text><r><t>re</t></r><r><t>mark</t></r></text></comment>'
        '<comment authorId="1"><text><t>[Threaded comment] thread</t></text></comment></commentList></comments>',
        "threadedComment": "<x:c xmlns:x='urn:x'><x:threadedComment><x:text>thread</x:text></x:threadedComment></x:c>",
        "drawing": f'<x:wsDr {A} {MC} xmlns:x="urn:x"><x:sp><x:cNvPr descr="A pump"/><a:p><a:r><a:t>box</a:t></a:r>'
        "</a:p></x:sp>"
        "<mc:AlternateContent><mc:Choice><a:p><a:r><a:t>new</a:t></a:r></a:p></mc:Choice>"
        "<mc:Fallback><a:p><a:r><a:t>old</a:t></a:r></a:p></mc:Fallback></mc:AlternateContent></x:wsDr>",
    }
    found = workbook(tmp_path, texts("cell", row=1), beside=beside, related=related)
    assert [(block.origin.value, block.text) for block in found] == [
        ("body", "Sales"),
        ("body", "cell"),
        ("body", "A pump"),
        ("body", "box"),
        ("body", "new"),
        ("comment", "remark"),
        ("comment", "thread"),
        ("comment", "Size: in metres"),
        ("comment", "Too large"),
        ("header", "R&D"),
        ("header", "right"),
        ("footer", "Page"),
    ]


def test_wrong_string_numbers_are_empty_cells(tmp_path: Path) -> None:
    assert kinds(workbook(tmp_path, '<row><c t="s"><v>99</v></c><c t="s"><v>x</v></c><c><v>7</v></c></row>')) == [
        ("heading", "Sales"),
        ("table_row", "|  | 7"),
    ]


# ---- OpenDocument and EPUB ----


def open_document(tmp_path: Path, body: str, media_type: str) -> list[Block]:
    content = f"<office:document-content {ODF}><office:body>{body}</office:body></office:document-content>"
    return blocks(tmp_path, {"mimetype": media_type, "content.xml": content}, media_type)


def test_open_document_text(tmp_path: Path) -> None:
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Title</text:h><text:p>a<text:s text:c="2"/>b<text:tab/>c'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Note</text:p>"
        "</text:note-body></text:note></text:p>"
        "<text:list><text:list-item><text:p>item</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell>"
        '<table:table-cell table:number-columns-repeated="2"><text:p>y</text:p></table:table-cell>'
        "</table:table-row></table:table>"
    )
    assert kinds(open_document(tmp_path, body, types.ODT)) == [
        ("heading", "Title"),
        ("paragraph", "a  b\tc"),
        ("page_furniture", "Note"),
        ("list_item", "item"),
        ("table_row", "x | y | y"),
    ]


def test_open_document_in_a_single_file(tmp_path: Path) -> None:
    path = tmp_path / "a.fodt"
    header = "<style:header><text:p>Head</text:p></style:header>"
    picture = "<draw:image><office:binary-data>iVBORw0KGgo=</office:binary-data></draw:image>"
    body = f"<text:h text:outline-level='1'>Title</text:h><text:p>a<text:s/>b{picture}</text:p>"
    path.write_text(
        f"<?xml version='1.0'?><office:document {ODF} xmlns:style='s' office:mimetype='{types.ODT}'>"
        f"<office:master-styles><style:master-page>{header}</style:master-page></office:master-styles>"
        f"<office:body><office:text>{body}</office:text></office:body></office:document>",
        encoding="utf-8",
    )
    assert detect(path, path.name) == types.ODT
    assert kinds(list(read(path, types.ODT))) == [
        ("heading", "Title"),
        ("paragraph", "a b"),
        ("page_furniture", "Head"),
    ]


def origins(found: list[Block]) -> list[tuple[str, str]]:
    return [(block.origin.value, block.text) for block in found]


def test_open_document_says_where_its_texts_stand(tmp_path: Path) -> None:
    styles = (
        f"<office:document-styles {ODF} xmlns:style='s'><style:header><text:p>Head</text:p></style:header>"
        "<style:header-first><text:p>First</text:p></style:header-first><style:header><text:p>Head</text:p></style:header>"
        "<style:footer style:display='false'><text:p>no</text:p></style:footer></office:document-styles>"
    )
    content = (
        f"<office:document-content {ODF} xmlns:svg='v'><office:body><text:p>a<office:annotation><text:p>why</text:p>"
        "</office:annotation><text:note text:note-class='endnote'><text:note-body><text:p>end</text:p></text:note-body>"
        "</text:note><draw:frame><draw:image/><svg:title>Map</svg:title><svg:desc>North is up</svg:desc></draw:frame>"
        "</text:p><text:section text:display='none'><text:p>secret</text:p></text:section></office:body>"
        "</office:document-content>"
    )
    found = blocks(tmp_path, {"mimetype": types.ODT, "content.xml": content, "styles.xml": styles}, types.ODT)
    assert origins(found) == [
        ("body", "a"),
        ("comment", "why"),
        ("endnote", "end"),
        ("body", "Map"),
        ("body", "North is up"),
        ("hidden", "secret"),
        ("header", "Head"),
        ("header", "First"),
    ]


def test_open_document_lists_are_numbered(tmp_path: Path) -> None:
    levels = (
        "<text:list-level-style-number text:level='1' style:num-format='1' style:num-suffix='.'/>"
        "<text:list-level-style-number text:level='2' style:num-format='a' style:num-prefix='(' style:num-suffix=')'"
        " text:display-levels='2' text:start-value='2'/><text:list-level-style-bullet text:level='3'/>"
    )
    item = "<text:list-item><text:p>{}</text:p>{}</text:list-item>".format
    inner = f"<text:list>{item('two', f'<text:list>{item(str(3), str())}</text:list>')}</text:list>"
    content = (
        f"<office:document-content {ODF} xmlns:style='s'><office:automatic-styles>"
        f"<text:list-style style:name='L'>{levels}</text:list-style>"
        "<style:style style:name='P1' style:parent-style-name='Title'/></office:automatic-styles><office:body>"
        "<text:p text:style-name='P1'>Rules</text:p>"
        f"<text:list text:style-name='L'>{item('one', inner)}{item('next', '<text:p>more</text:p>')}</text:list>"
        f"<text:list text:style-name='L' text:continue-numbering='true'>{item('on', '')}</text:list>"
        f"<text:list text:style-name='L'>{item('anew', '')}</text:list></office:body></office:document-content>"
    )
    assert kinds(blocks(tmp_path, {"mimetype": types.ODT, "content.xml": content}, types.ODT)) == [
        ("heading", "Rules"),
        ("list_item", "1. one"),
        ("list_item", "(1.b) two"),
        ("list_item", "3"),
        ("list_item", "2. next"),
        ("paragraph", "more"),
        ("list_item", "3. on"),
        ("list_item", "1. anew"),
    ]


def test_open_document_sheets(tmp_path: Path) -> None:
    cell = "<table:table-cell {}>{}</table:table-cell>".format
    row = "<table:table-row>{}</table:table-row>".format
    chart = (
        f"<office:document-content {ODF}><office:body><text:p>Sales</text:p><table:table>"
        f"{row(cell('', '<text:p>again</text:p>'))}</table:table></office:body></office:document-content>"
    )
    noted = "<office:annotation><text:p>why</text:p></office:annotation><text:p>b</text:p>"
    content = (
        f"<office:document-content {ODF} xmlns:style='s' xmlns:xlink='x'><office:automatic-styles>"
        "<style:style style:name='ta2'><style:table-properties table:display='false'/></style:style>"
        "</office:automatic-styles><office:body><table:table table:name='One'><table:shapes>"
        "<draw:object xlink:href='./Object 1'/></table:shapes>"
        f"{row(cell('', '<text:p>Name</text:p>') + cell('', noted))}"
        f"{row(cell('', '<text:p>x</text:p>') + cell('office:value=' + repr('7'), ''))}</table:table>"
        f"<table:table table:name='Two' table:style-name='ta2'>{row(cell('', '<text:p>h</text:p>'))}</table:table>"
        "<table:table table:name='Empty'/></office:body></office:document-content>"
    )
    members: Members = {"mimetype": types.ODS, "content.xml": content, "Object 1/content.xml": chart}
    found = blocks(tmp_path, members, types.ODS)
    assert sorted(
        (block.page, *each, block.names_columns) for block, each in zip(found, origins(found), strict=True)
    ) == [
        (1, "body", "Name | b", True),
        (1, "body", "One", False),
        (1, "body", "Sales", False),
        (1, "body", "x | 7", False),
        (1, "comment", "why", False),
        (2, "hidden", "Two", False),
        (2, "hidden", "h", False),
    ]


def test_open_document_hidden_slides_and_notes(tmp_path: Path) -> None:
    content = (
        f"<office:document-content {ODF} xmlns:style='s'><office:automatic-styles><style:style style:name='dp1'>"
        "<style:drawing-page-properties presentation:visibility='hidden'/></style:style></office:automatic-styles>"
        "<office:body><presentation:footer-decl>Draft</presentation:footer-decl>"
        "<draw:page draw:style-name='dp1'><text:p>a</text:p><presentation:notes><text:p>say</text:p>"
        "</presentation:notes></draw:page><draw:page><text:p>b</text:p></draw:page></office:body>"
        "</office:document-content>"
    )
    found = blocks(tmp_path, {"mimetype": types.ODP, "content.xml": content}, types.ODP)
    assert [(block.page, block.origin.value, block.text) for block in found] == [
        (None, "footer", "Draft"),
        (1, "hidden", "a"),
        (1, "speaker_notes", "say"),
        (2, "body", "b"),
    ]


def test_open_document_sheets_are_pages(tmp_path: Path) -> None:
    row = (
        '<table:table-row table:number-rows-repeated="{}"><table:table-cell><text:p>{}</text:p></table:table-cell>'
        "</table:table-row>"
    ).format
    body = (
        f'<table:table table:name="One">{row(1, "a")}{row(1_048_576, "")}</table:table>'
        f'<table:table table:name="Two">{row(2, "b")}</table:table>'
    )
    found = open_document(tmp_path, body, types.ODS)
    assert [(block.text, block.page) for block in found] == [("One", 1), ("a", 1), ("Two", 2), ("b", 2), ("b", 2)]


def test_open_document_slides_are_pages(tmp_path: Path) -> None:
    body = (
        '<draw:page><draw:frame presentation:class="title"><draw:text-box><text:p>Title</text:p>'
        "</draw:text-box></draw:frame>"
        "<presentation:notes><text:p>Say</text:p></presentation:notes></draw:page>"
        "<draw:page><text:p>Next</text:p></draw:page>"
    )
    found = open_document(tmp_path, body, types.ODP)
    assert [(block.kind.value, block.text, block.page) for block in found] == [
        ("heading", "Title", 1),
        ("page_furniture", "Say", 1),
        ("paragraph", "Next", 2),
    ]


def book(encryption: str = "") -> Members:
    return {
        "mimetype": types.EPUB,
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": '<package xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>Book</dc:title><dc:creator>Ada</dc:creator></metadata>"
        '<manifest><item id="a" href="a%20b.html"/><item id="b" href="b.html"/></manifest>'
        '<spine><itemref idref="b"/><itemref idref="a"/><itemref idref="x"/></spine></package>',
        "OPS/a b.html": "<p>Second</p>",
        "OPS/b.html": "<h1>First</h1>",
        **({"META-INF/encryption.xml": encryption} if encryption else {}),
    }


def test_books_in_reading_order(tmp_path: Path) -> None:
    found = blocks(tmp_path, book(), types.EPUB)
    assert [block.text for block in found] == ["Book", "Authors: Ada", "First", "Second"]


def test_protected_books(tmp_path: Path) -> None:
    with pytest.raises(PasswordProtected):
        blocks(tmp_path, book('<e><CipherReference URI="OPS/b.html"/></e>'), types.EPUB)
    assert blocks(tmp_path, book('<e><CipherReference URI="OPS/font.otf"/></e>'), types.EPUB)


# ---- bounds ----


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb", {"word/document.xml": "0" * (archives.FREE_BYTES + 1)})
    with pytest.raises(TooLarge, match="bomb"), open_archive(path):
        pass


def test_a_bomb_is_refused_by_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The declared size of a part may be a lie."""
    path = zipped(tmp_path / "bomb", {"part": "0" * 500_000})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100_000_000).to_bytes(4, "little")
    path.write_bytes(data)
    monkeypatch.setattr(archives, "FREE_BYTES", 1000)
    monkeypatch.setattr(archives, "_check_bounds", lambda _members: None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    with open_archive(path) as archive, pytest.raises(FileError):
        archive.read("part")


def test_many_parts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    path = zipped(tmp_path / "many", {str(number): "" for number in range(4)})
    with pytest.raises(TooLarge), open_archive(path):
        pass


def test_large_parts_are_not_read_at_once(tmp_path: Path) -> None:
    path = zipped(tmp_path / "large", {"part": "x" * 2000})
    with open_archive(path) as archive, pytest.raises(TooLarge):
        archive.read("part", limit=1000)


def test_encrypted_parts_are_protected(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x", {"part": "x"})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with open_archive(path) as archive, pytest.raises(PasswordProtected):
        archive.read("part")


def test_a_workbook_without_words(tmp_path: Path) -> None:
    members = {
        "_rels/.rels": relationships(officeDocument="xl/workbook.xml"),
        "xl/workbook.xml": f"<workbook {S}/>",
    }
    with pytest.raises(NoText):
        blocks(tmp_path, members, types.XLSX)
