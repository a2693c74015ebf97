-- The Chunks of a long File are recorded and embedded while the rest of it is still being read.

alter table files
    add column ingest_attempt integer not null default 0;  -- counts who began to read a generation: the last one records

create index files_to_be_embedded_early on files (created_at)
    where status = 'ingesting' and chunk_count - 1 - announced_index >= 64;
