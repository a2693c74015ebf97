-- An object is written only while a row here names it. The transaction that makes it a File's removes the row, and
-- fails where the row is gone or due. What becomes garbage gets a row again. What is due, the sweep deletes.
create table unclaimed_objects (
    object_key text        primary key,
    due_at     timestamptz not null
);

-- Every attempt writes a text under a key of its own, so that an object has one writer and is claimed once.
alter table files
    add column text_key        text,  -- of the latest generation, once it is recorded
    add column active_text_key text;  -- of the one that search sees

update files set
    text_key = case when status in ('embedding', 'complete', 'failed')
               then 'text/' || file_id || '/' || generation end,
    active_text_key = 'text/' || file_id || '/' || active_generation;

-- What a user referenced is never swept, even where another File owned it.
create index files_references on files (object_key) where not owns_object;
