"""The fault suite: real processes that are really killed, and a table of what became of the files."""
