"""What happens to a File, in order: one module for each step, one function for each screen.

1. `submit`   store the bytes, record the File, ask for ingestion
2. `ingest`   parse, chunk, record, ask for embeddings
3. `embed`    embed a batch, record, settle the File
4. `search`   embed a query, find the nearest Chunks

`recover` asks again for whatever the rows say is unfinished; `give_up` and `replay` are the way into
the dead letters and out of them; `change` deletes and re-ingests.

Every step commits, then publishes, then lets the message be acknowledged: a crash in between costs a
repetition, never a File.
"""
