-- Objects that somebody else writes: through a URL that we gave away, or into the bucket on their own.

-- What is to become of an object that a client was given a URL for: name, metadata and batch of the File.
alter table unclaimed_objects add column upload jsonb;

-- What the bucket was last seen to hold under the prefix whose objects are Files.
create table bucket_objects (
    object_key  text        primary key,
    revision    bigint      not null default 1,  -- grows with each look: who looked before it did looks again
    file_id     uuid,                            -- null: the object is gone. The File may be gone for itself
    etag        text,
    modified_at timestamptz,
    seen_at     timestamptz not null default clock_timestamp()
);

create index bucket_objects_gone on bucket_objects (seen_at) where file_id is null;
