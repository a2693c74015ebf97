"""Office files, made by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def package(members: Mapping[str, str | bytes]) -> bytes:
    """A zip file with these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def relationships(targets: Mapping[str, str]) -> str:
    """From ids to targets; the kind of each is its id without the number at its end."""
    entries = "".join(
        f'<Relationship Id="{name}" Type="http://x/{name.rstrip("0123456789")}" Target="{target}"/>'
        for name, target in targets.items()
    )
    return f'<Relationships xmlns="http://x">{entries}</Relationships>'


def word_document(body: str, parts: Mapping[str, str | bytes] | None = None, **kinds: str) -> bytes:
    """A docx. `kinds` are the relationships of the document (`header1="header1.xml"`), `parts` lie beside it."""
    return package(
        {
            "[Content_Types].xml": '<Types><Override ContentType="x/wordprocessingml.document.main+xml"/></Types>',
            "_rels/.rels": relationships({"officeDocument": "word/document.xml"}),
            "word/_rels/document.xml.rels": relationships(kinds),
            "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
            **{f"word/{name}": content for name, content in (parts or {}).items()},
        }
    )


def word_paragraph(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def document_with_an_unknown_part(body: str, unknown: str) -> bytes:
    """A docx with text in a part of a kind that the reader does not know."""
    sticky = f'<n:notes xmlns:n="urn:n"><n:p><n:t>{unknown}</n:t></n:p></n:notes>'
    return word_document(word_paragraph(body), {"sticky.xml": sticky}, stickyNotes1="sticky.xml")
