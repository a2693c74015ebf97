"""Parsing: the bytes of a file become Blocks and Chunks, in a child process that may die of them."""
