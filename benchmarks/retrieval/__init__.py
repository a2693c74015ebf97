"""Does search find the answer? Asked of a running Penstock and of other ways to cut a text, on the same questions."""
