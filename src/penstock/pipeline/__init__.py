"""What happens to a File, in order: one module for each step, one function for each screen.

1. `submit`   store the bytes, record the File
2. `ingest`   parse, chunk, record
3. `embed`    embed a batch, record, settle the File
4. `search`   embed a query, find the nearest Chunks

What a step commits waits in the rows for the next one; `dispatch` puts it on the queue when its turn comes, and
`recover` lets what a queue lost wait again. `give_up` and `replay` are the way into the dead letters and out of
them; `change` deletes and re-ingests.

Every step commits before its message is acknowledged: a crash in between costs a repetition, never a File.
"""
