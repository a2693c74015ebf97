-- What a Chunk needs to be found but does not say itself: file, headings, column names. Indexed and embedded
-- with the text, never cited. Chunks of before have none until their File is ingested again.

alter table chunks
    drop column text_search,
    add column context        text    not null default '',
    add column context_tokens integer not null default 0;

alter table chunks
    add column text_search tsvector
        generated always as (penstock_text_search(language, context || E'\n\n' || text)) stored;

create index chunks_text_search on chunks using gin (text_search);
