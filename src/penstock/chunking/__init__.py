"""Chunking: Blocks become Chunks that tile the extracted text within the model's token budget."""
