-- Files, their Chunks, and the Chunks' embeddings under one or more models.

create extension if not exists vector;

create table files (
    file_id           uuid primary key,
    owner             text        not null default 'default',
    name              text        not null,
    object_key        text        not null,
    owns_object       boolean     not null,           -- deleting the File deletes the object too
    media_type        text,
    size              bigint      not null,
    sha256            text,
    status            text        not null default 'queued'
                      check (status in ('queued', 'ingesting', 'embedding', 'complete', 'failed')),
    generation        bigint      not null default 1,
    active_generation bigint,                         -- what search sees; null before the first is complete
    page_count        integer,
    chunk_count       integer     not null default 0,
    embedded_count    integer     not null default 0,
    token_count       bigint      not null default 0,
    error_code        text,
    error_message     text,
    metadata          jsonb       not null default '{}',
    batch             uuid,
    created_at        timestamptz not null default clock_timestamp(),
    updated_at        timestamptz not null default clock_timestamp(),
    published_at      timestamptz not null default clock_timestamp(),  -- when its work was last put on a queue
    settled_at        timestamptz
);

create index files_newest on files (created_at desc, file_id desc);
create index files_same_content on files (owner, name, sha256);
create index files_unfinished on files (published_at) where status in ('queued', 'ingesting', 'embedding');
create index files_batch on files (batch, settled_at) where batch is not null;
create index files_metadata on files using gin (metadata jsonb_path_ops);

-- A generated column takes immutable functions only, and the cast from text to regconfig is not one,
-- because a configuration may be dropped. The built-in ones are not, and pg_upgrade refuses regconfig columns.
create function penstock_text_search(language text, content text) returns tsvector
    language sql immutable parallel safe
    return to_tsvector(('pg_catalog.' || language)::regconfig, content);

create table chunks (
    chunk_id    uuid    primary key,
    file_id     uuid    not null references files on delete cascade,
    generation  bigint  not null,
    index       integer not null,
    text        text    not null,
    text_hash   bytea   not null,
    token_count integer not null,
    first_page  integer,
    last_page   integer,
    char_start  bigint  not null,
    char_end    bigint  not null,
    headings    text[]  not null,
    metadata    jsonb   not null default '{}',
    language    text    not null,
    text_search tsvector generated always as (penstock_text_search(language, text)) stored,
    unique (file_id, generation, index)
);

create index chunks_text_search on chunks using gin (text_search);

create table models (
    model_id   integer generated always as identity primary key,
    name       text    not null,
    revision   text    not null,
    dimensions integer not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (name, revision, dimensions)
);

-- One HNSW index for each model, over the rows of that model, is made when the model is first seen.
create table embeddings (
    chunk_id  uuid    not null references chunks on delete cascade,
    model_id  integer not null references models,
    text_hash bytea   not null,
    embedding vector  not null,
    primary key (chunk_id, model_id)
);

create index embeddings_same_text on embeddings (model_id, text_hash);
