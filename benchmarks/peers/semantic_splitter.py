"""Cut texts with semantic-text-splitter, in an environment of its own: JSON in, JSON out.

The request has `tokenizer` (a `tokenizer.json`), `texts`, `capacity` (tokens) and `markdown`; the answer has, for each
text, a list of [start, end] in characters.
"""

from __future__ import annotations

import json
import sys

from semantic_text_splitter import MarkdownSplitter, TextSplitter


def main() -> None:
    request = json.load(sys.stdin)
    kind = MarkdownSplitter if request["markdown"] else TextSplitter
    splitter = kind.from_huggingface_tokenizer_str(request["tokenizer"], request["capacity"])
    answer = [
        [(start, start + len(chunk)) for start, chunk in splitter.chunk_indices(text)] for text in request["texts"]
    ]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
