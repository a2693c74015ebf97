"""Cut texts with semantic-text-splitter, in an environment of its own: JSON in, JSON out.

The request has `tokenizer` (a `tokenizer.json`), `texts`, `capacity` (tokens) and `markdown`; the answer has `ranges`,
for each text a list of [start, end] in characters, and `cpu_seconds`, those of cutting alone.
"""

from __future__ import annotations

import json
import sys
import time

from semantic_text_splitter import MarkdownSplitter, TextSplitter


def main() -> None:
    request = json.load(sys.stdin)
    kind = MarkdownSplitter if request["markdown"] else TextSplitter
    splitter = kind.from_huggingface_tokenizer_str(request["tokenizer"], request["capacity"])
    began = time.process_time()
    cuts = [splitter.chunk_indices(text) for text in request["texts"]]
    seconds = time.process_time() - began
    ranges = [[(start, start + len(chunk)) for start, chunk in each] for each in cuts]
    json.dump({"ranges": ranges, "cpu_seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
