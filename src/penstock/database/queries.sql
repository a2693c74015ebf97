-- Every SQL statement of Penstock but the migrations. `database/statements.py` reads it by name.

-- name: insert_file
-- Record a File whose bytes are safe in the object store, and claim its own object. No row: it is swept, or about to be.
with claimed as (
    delete from unclaimed_objects
    where %(owns_object)s and object_key = %(object_key)s and due_at > clock_timestamp()
    returning object_key
)
insert into files (file_id, owner, name, object_key, owns_object, media_type, size, sha256, metadata, batch, turn)
select %(file_id)s, %(owner)s, %(name)s, %(object_key)s, %(owns_object)s, %(media_type)s, %(size)s, %(sha256)s,
       %(metadata)s, %(batch)s, penstock_ingest_turn(%(owner)s, %(batch)s)
where not %(owns_object)s or exists (select from claimed)
returning *;

-- name: get_file
-- One File.
select * from files where file_id = %(file_id)s;

-- name: list_files
-- Files, newest first, from behind a cursor. A null condition does not restrict.
select * from files
where (%(status)s::text is null or status = %(status)s)
  and (%(batch)s::uuid is null or batch = %(batch)s)
  and (%(name)s::text is null or name = %(name)s)
  and (%(media_type)s::text is null or media_type = %(media_type)s)
  and (%(before_created)s::timestamptz is null
       or (created_at, file_id) < (%(before_created)s, %(before_id)s::uuid))
order by created_at desc, file_id desc
limit %(limit)s;

-- name: list_settled_files
-- Files that settled at or after a moment, oldest settled first, from behind a cursor.
select * from files
where settled_at >= %(settled_after)s
  and (%(status)s::text is null or status = %(status)s)
  and (%(batch)s::uuid is null or batch = %(batch)s)
  and (%(name)s::text is null or name = %(name)s)
  and (%(media_type)s::text is null or media_type = %(media_type)s)
  and (%(after_settled)s::timestamptz is null
       or (settled_at, file_id) > (%(after_settled)s, %(after_id)s::uuid))
order by settled_at, file_id
limit %(limit)s;

-- name: lookup_files
-- For each asked name and content, the newest File that has it and has not failed.
select asked.position, found.*
from unnest(%(names)s::text[], %(sha256s)s::text[]) with ordinality as asked (name, sha256, position)
cross join lateral (
    select * from files
    where files.owner = %(owner)s and files.name = asked.name and files.sha256 = asked.sha256
      and files.status <> 'failed'
    order by created_at desc
    limit 1
) found;

-- name: sum_batch
-- How far the Files of one batch are.
select status, count(*) as files, sum(size)::bigint as bytes, coalesce(sum(page_count), 0) as pages,
       sum(chunk_count) as chunks, sum(embedded_count) as embedded
from files
where batch = %(batch)s
group by status;

-- name: count_by_status
-- How many Files there are of each status.
select status, count(*) as files from files group by status;

-- name: delete_file
-- Forget a File with its Chunks and embeddings; its own object and its texts are the sweep's from here on.
with gone as (
    delete from files where file_id = %(file_id)s returning *
), garbage as (
    insert into unclaimed_objects (object_key, due_at)
    select distinct object_key, clock_timestamp()
    from (select object_key from gone where owns_object
          union select text_key from gone
          union select active_text_key from gone) of_file
    where object_key is not null
    on conflict (object_key) do update set due_at = excluded.due_at
    returning object_key
)
select array(select object_key from garbage) as object_keys from gone;

-- name: start_generation
-- Ask for a new parse of a File; the active generation stays searchable meanwhile. The text of one that search
-- does not see is the sweep's. Locks as a deletion does: an Embedder that records Chunks of this File ends first.
with before as (
    select file_id, text_key, active_text_key from files where file_id = %(file_id)s for update
), garbage as (
    insert into unclaimed_objects (object_key, due_at)
    select text_key, clock_timestamp() from before
    where text_key is not null and text_key is distinct from active_text_key
    on conflict (object_key) do update set due_at = excluded.due_at
)
update files
set generation = generation + 1, text_key = null, status = 'queued', page_count = null, chunk_count = 0,
    embedded_count = 0, token_count = 0, coverage = null, unread_pages = '{}', error_code = null, error_message = null, settled_at = null,
    updated_at = clock_timestamp(), announced_at = null, announced_index = -1, turn = penstock_ingest_turn(owner, batch)
from before
where files.file_id = before.file_id
returning files.*;

-- name: delete_unseen_generations
-- Chunks of generations that were superseded before search saw them.
delete from chunks using files
where files.file_id = %(file_id)s and chunks.file_id = files.file_id and chunks.generation < files.generation
  and chunks.generation is distinct from files.active_generation;

-- name: reserve_object
-- Before an object is written.
insert into unclaimed_objects (object_key, due_at)
values (%(object_key)s, clock_timestamp() + make_interval(secs => %(seconds)s));

-- name: extend_object
-- Its writer is alive. What is due stays due: the sweep may have deleted the object and died before it said so.
update unclaimed_objects set due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
where object_key = %(object_key)s and due_at > clock_timestamp();

-- name: reserve_upload
-- Before a client is given a URL to write an object to.
insert into unclaimed_objects (object_key, due_at, upload)
values (%(object_key)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(upload)s);

-- name: get_upload
-- What is to become of an object that a client may still hand in. No row: it is handed in already, or too late.
select upload from unclaimed_objects
where object_key = %(object_key)s and upload is not null and due_at > clock_timestamp();

-- name: release_object
-- Nobody will claim it any more.
update unclaimed_objects set due_at = clock_timestamp() where object_key = %(object_key)s;

-- name: due_objects
-- What nobody claimed in time, by key, from behind a key; locked, without what somebody else has locked.
select object_key,
       exists (select from files f where f.object_key = u.object_key and not f.owns_object) as referenced
from unclaimed_objects u
where due_at <= clock_timestamp() and object_key > %(after)s
  and (%(keys)s::text[] is null or object_key = any(%(keys)s))
order by object_key
limit %(limit)s
for update of u skip locked;

-- name: forget_objects
-- They are gone from the store.
delete from unclaimed_objects where object_key = any(%(keys)s);

-- name: get_bucket_object
-- What the bucket was last seen to hold under a key, and what became of its File.
select b.revision, b.file_id, b.etag, b.modified_at, f.status
from bucket_objects b left join files f on f.file_id = b.file_id
where b.object_key = %(object_key)s;

-- name: note_bucket_object
-- What the bucket holds now. No row: somebody else has looked since `revision`, null: since there was none. What was
-- gone longest is forgotten on the way, two for each that is gone newly.
with forgotten as (
    delete from bucket_objects where object_key in (
        select object_key from bucket_objects
        where %(file_id)s::uuid is null and file_id is null and object_key <> %(object_key)s
          and seen_at < clock_timestamp() - interval '1 day'
        order by seen_at
        limit 2
        for update skip locked
    )
)
insert into bucket_objects as known (object_key, file_id, etag, modified_at)
values (%(object_key)s, %(file_id)s, %(etag)s, %(modified_at)s)
on conflict (object_key) do update
set revision = known.revision + 1, file_id = excluded.file_id, etag = excluded.etag,
    modified_at = excluded.modified_at, seen_at = clock_timestamp()
where known.revision = %(revision)s::bigint
returning revision;

-- name: replace_content
-- The object of a File, which was queued anew, has other bytes than before.
update files set size = %(size)s, sha256 = null where file_id = %(file_id)s;

-- name: get_text_key
-- Where the text of the generation that search sees is.
select active_text_key from files where file_id = %(file_id)s;

-- name: begin_ingest
-- Mark a File as being read and reserve the object that its text goes to. No row: deleted, superseded, or past this step.
select * from penstock_begin_ingest(%(file_id)s, %(generation)s, %(text_key)s, %(seconds)s);

-- name: delete_early_chunks
-- What was recorded of a generation before its reading ended early.
delete from chunks where file_id = %(file_id)s and generation = %(generation)s;

-- name: record_early_chunks
-- Write the next Chunks of a File that is still being read; whether this attempt is the one that reads it.
select penstock_record_early_chunks(%(file_id)s, %(generation)s, %(attempt)s, %(language)s, %(chunks)s) as recorded;

-- name: record_file
-- Write the last Chunks and what was found out; from now on the File waits for its vectors. Claims the text.
select penstock_record_file(
    %(file_id)s, %(generation)s, %(attempt)s, %(language)s, %(chunks)s, %(early)s, %(text_key)s, %(media_type)s,
    %(sha256)s, %(page_count)s, %(chunk_count)s, %(token_count)s, %(coverage)s, %(unread_pages)s
) as outcome;

-- name: list_chunks
-- The Chunks that search sees of a File, in order, from behind an index.
select chunks.*, files.name
from files join chunks on chunks.file_id = files.file_id and chunks.generation = files.active_generation
where files.file_id = %(file_id)s and chunks.index > %(after)s
order by chunks.index
limit %(limit)s;

-- name: chunks_to_announce
-- Of each given File the next Chunks that have no vector, behind an index and at most so many.
select wanted.file_id, found.chunk_id, found.index
from unnest(%(file_ids)s::uuid[], %(generations)s::bigint[], %(after)s::int[], %(most)s::int[])
    as wanted (file_id, generation, after, most)
cross join lateral (
    select c.chunk_id, c.index from chunks c
    where c.file_id = wanted.file_id and c.generation = wanted.generation and c.index > wanted.after
      and not exists (select from embeddings e where e.chunk_id = c.chunk_id)
    order by c.index
    limit wanted.most
) found
order by wanted.file_id, found.index;

-- name: chunks_to_embed
-- Of the Chunks in a message, those that still wait for their vector under the model, and whether an equal text has one.
-- They are found by their ids first: by File and generation, each message would look through all of a long File.
with asked as materialized (
    select chunk_id, file_id, generation, index, context, text, text_hash, token_count + context_tokens as token_count
    from chunks
    where chunk_id = any(%(chunk_ids)s)
)
select asked.chunk_id, asked.index, asked.context, asked.text, asked.token_count,
       exists (select from embeddings e where e.model_id = %(model_id)s and e.text_hash = asked.text_hash) as known
from files join asked using (file_id, generation)
where files.file_id = %(file_id)s and files.generation = %(generation)s and files.status in ('ingesting', 'embedding')
  and not exists (select from embeddings e where e.chunk_id = asked.chunk_id and e.model_id = %(model_id)s)
order by asked.index;

-- name: reuse_embeddings
-- Give Chunks the vector that an equal text has already. The row is copied, the engine is not asked.
select reused, complete
from penstock_reuse_vectors(%(file_id)s, %(generation)s, %(model_id)s, %(chunk_ids)s);

-- name: record_embeddings
-- Record vectors; whether the File is complete now.
select penstock_record_vectors(%(file_id)s, %(generation)s, %(model_id)s, %(chunk_ids)s, %(vectors)b) as complete;

-- name: settle
-- Make a File complete of which every Chunk has its vector; whether it is now.
select coalesce(penstock_settle(%(file_id)s, %(generation)s, 0), false) as complete;

-- name: fail_file
-- Give up on a generation, unless it is settled or superseded. Of one that was not read to its end nothing counts.
-- Locks as a deletion does: an Embedder that records Chunks of this File ends first.
with before as (
    select file_id, case when status <> 'embedding' then chunk_count else 0 end as left_behind from files
    where file_id = %(file_id)s and generation = %(generation)s and status in ('queued', 'ingesting', 'embedding')
    for update
)
update files
set status = 'failed', error_code = %(code)s, error_message = %(message)s, settled_at = clock_timestamp(),
    updated_at = clock_timestamp(), chunk_count = case when status = 'embedding' then chunk_count else 0 end,
    embedded_count = case when status = 'embedding' then embedded_count else 0 end,
    token_count = case when status = 'embedding' then token_count else 0 end
from before
where files.file_id = before.file_id
returning files.*, before.left_behind;

-- name: revive_file
-- A dead letter of this generation is to be replayed: the File waits again, at the step it failed in; one without Chunks
-- at the first, as it was given up for one of them while it was being read.
update files
set status = case when chunk_count > 0 then %(status)s else 'queued' end,
    error_code = null, error_message = null, settled_at = null, updated_at = clock_timestamp(),
    announced_at = null, announced_index = -1,
    turn = case when chunk_count > 0 and %(status)s = 'embedding' then penstock_embedding_turn(owner, batch)
                else penstock_ingest_turn(owner, batch) end
where file_id = %(file_id)s and generation = %(generation)s and status = 'failed'
returning *;

-- name: anything_waits
-- Whether any File waits for its turn, by queue: whether the statements that take the turns would find one.
select exists (select from files where announced_at is null and status in ('queued', 'ingesting')) as to_be_ingested,
       exists (select from files where announced_at is null and status = 'embedding')
       or exists (select from files where status = 'ingesting' and chunk_count - 1 - announced_index >= 64)
           as to_be_embedded;

-- name: take_ingest_turns
-- Files to be ingested: those whose turn it is and, where these are not all, the ones handed in last: a single file need
-- not wait for a million of the same lane. They count as announced from now on.
with in_turn as (
    select file_id from files
    where announced_at is null and status in ('queued', 'ingesting')
    order by turn, created_at
    limit %(limit)s
    for no key update skip locked
), newest as (
    select file_id from files
    where announced_at is null and status in ('queued', 'ingesting') and file_id not in (select file_id from in_turn)
    order by created_at desc
    limit %(newest)s
    for no key update skip locked
), taken as (
    update files set announced_at = clock_timestamp()
    from (select file_id, true as in_turn from in_turn union all select file_id, false from newest) next
    where files.file_id = next.file_id
    returning files.file_id, files.generation, files.turn, files.created_at, next.in_turn
), reached as (
    update queue_turns set reached = greatest(reached, (select max(turn) from taken where in_turn))
    where queue = 'ingest-queue' and exists (select from taken)
)
select file_id, generation from taken
order by in_turn desc, case when in_turn then turn end, case when in_turn then created_at end, created_at desc;

-- name: wait_to_be_embedded
-- Files whose turn it is to be embedded, first come first, and the one handed in last. Locked until they are announced.
-- Those still being read have no place in the line yet, and one message more: they stand where the line is now.
with in_turn as (
    select file_id, generation, announced_index, chunk_count, turn, false as newest, false as early from files
    where announced_at is null and status = 'embedding'
    order by turn, created_at
    limit %(limit)s
    for no key update skip locked
), newest as (
    select file_id, generation, announced_index, chunk_count, turn, true as newest, false as early from files
    where announced_at is null and status = 'embedding'
    order by created_at desc
    limit 1
    for no key update skip locked
), early as (
    select file_id, generation, announced_index, chunk_count,
           (select reached from queue_turns where queue = 'embedding-queue') as turn, false as newest, true as early
    from files
    where status = 'ingesting' and chunk_count - 1 - announced_index >= 64
    order by created_at
    limit %(limit)s
    for no key update skip locked
)
select * from in_turn union all select * from newest union all select * from early;

-- name: announce_chunks
-- What of each File was put on the queue; the turn of the others comes with the turns that these took.
with done as (
    update files
    set announced_index = greatest(files.announced_index, given.announced_index),
        turn = case when files.status = 'embedding' then given.turn else files.turn end,
        announced_at = case when files.status = 'ingesting' then files.announced_at
                            when given.all_announced then clock_timestamp() end
    from unnest(%(file_ids)s::uuid[], %(generations)s::bigint[], %(announced)s::int[], %(turns)s::float[],
                %(all_announced)s::bool[])
        as given (file_id, generation, announced_index, turn, all_announced)
    where files.file_id = given.file_id and files.generation = given.generation
      and files.status in ('ingesting', 'embedding')
)
update queue_turns set reached = greatest(reached, %(reached)s) where queue = 'embedding-queue';

-- name: recount_embedded
-- A File that asks for no more vectors and yet is not complete: count what is there.
update files
set embedded_count = (select count(*) from chunks c join embeddings e using (chunk_id)
                      where c.file_id = files.file_id and c.generation = files.generation)
where file_id = %(file_id)s and generation = %(generation)s and status = 'embedding';

-- name: wait_again
-- Files that were announced so long ago that their message must be gone, since no queue has one: they wait again. But not
-- one whose reader is alive: it has extended the reservation of its text. That it was made, a moment after it was
-- announced, says nothing yet: who was announced that lately is read anew.
update files
set announced_at = null, announced_index = -1
where announced_at < clock_timestamp() - make_interval(secs => %(older_than_seconds)s)
  and status = any(%(statuses)s)
  and file_id <> all(%(on_queue)s)
  and not (
      status = 'ingesting' and announced_at < clock_timestamp() - make_interval(secs => %(extend_seconds)s)
      and exists (
          select from unclaimed_objects u
          where starts_with(u.object_key, 'text/' || files.file_id || '/' || files.generation || '-')
            and u.due_at > clock_timestamp() + make_interval(secs => %(alive_due_seconds)s)
      )
  )
returning *;

-- name: count_waiting
-- What waits in the rows for its turn: messages to come, and the age of the oldest File.
select 'ingest-queue' as queue, count(*) as waiting,
       extract(epoch from clock_timestamp() - min(created_at))::float as oldest_seconds
from files where announced_at is null and status in ('queued', 'ingesting')
union all
select 'embedding-queue', coalesce(sum(ceil((chunk_count - 1 - announced_index) / 64.0)), 0)::bigint,
       extract(epoch from clock_timestamp() - min(created_at))::float
from files where announced_at is null and status = 'embedding'
              or status = 'ingesting' and chunk_count - 1 - announced_index >= 64;

-- name: commit_without_waiting
-- This transaction commits before the disk has it; the next on the connection waits again.
set local synchronous_commit = off;

-- name: server_process
-- The server process that this transaction runs in.
select pg_backend_pid() as process;

-- name: try_lead
-- One leader at a time, until the transaction ends.
select pg_try_advisory_xact_lock(%(key)s) as leads;

-- name: get_model
-- The id of a model that is known already.
select model_id from models where name = %(name)s and revision = %(revision)s and dimensions = %(dimensions)s;

-- name: insert_model
-- Make a model known.
insert into models (name, revision, dimensions) values (%(name)s, %(revision)s, %(dimensions)s)
on conflict (name, revision, dimensions) do update set name = excluded.name
returning model_id;

-- name: passes_filter
-- Whether Chunk c of File f may be found: {passes} in the statements below. A null condition does not restrict.
-- What stands in quotes is `required` by language; a language in which it has only stop words restricts nothing.
(%(file_ids)s::uuid[] is null or f.file_id = any(%(file_ids)s))
  and (%(names)s::text[] is null or f.name = any(%(names)s))
  and (%(media_types)s::text[] is null or f.media_type = any(%(media_types)s))
  and (%(metadata)s::jsonb is null or f.metadata @> %(metadata)s)
  and (%(first_page)s::int is null or (c.last_page >= %(first_page)s and c.first_page <= %(last_page)s))
  and (%(origins)s::text[] is null or coalesce(c.metadata -> 'origins', '["body"]') ?| %(origins)s)
  and (%(without_origins)s::text[] is null or not coalesce(c.metadata -> 'origins', '["body"]') ?| %(without_origins)s)
  and (%(required)s::jsonb is null
       or coalesce(c.text_search @@ nullif(%(required)s::jsonb ->> c.language, '')::tsquery, true));

-- name: search_vectors
-- The Chunks nearest to a vector by inner product, nearest first, of active generations that fit the filter.
-- {indexed}, {near} and {model_id} are those of the model's own HNSW index; a parameter would not match it. The index
-- has half precision: what it brings is put in order by the whole numbers.
with near as materialized (
    select e.chunk_id, e.embedding
    from embeddings e
    join chunks c on c.chunk_id = e.chunk_id
    join files f on f.file_id = c.file_id and f.active_generation = c.generation
    where e.model_id = {model_id}
      and {passes}
    order by {indexed} <#> {near}
    limit %(limit)s
)
select chunk_id, -({embedding} <#> %(vector)s) as score from near order by score desc, chunk_id;

-- name: search_vectors_exactly
-- The same without the index: a filter that few Chunks pass may end the index's scan before they are found.
with fitting as materialized (
    select e.chunk_id, -({embedding} <#> %(vector)s) as score
    from embeddings e
    join chunks c on c.chunk_id = e.chunk_id
    join files f on f.file_id = c.file_id and f.active_generation = c.generation
    where e.model_id = {model_id}
      and {passes}
)
select chunk_id, score from fitting order by score desc, chunk_id limit %(limit)s;

-- name: weigh_terms
-- The lexemes of a query's words in every language, with their BM25 weight (inverse document frequency, never
-- negative), and the corpus' mean Chunk length. Robertson and Zaragoza, The Probabilistic Relevance Framework
-- (2009), section 3. A word has one weight in all languages: how many Chunks have it, each in its own language.
-- Where it is a stop word it is in every Chunk of that language; so `the` weighs nothing in a table of numbers.
-- Of more Chunks than can be counted in passing, how often the common lexemes occur is what ANALYZE found in a sample
-- (autovacuum runs it), in each language by its share; the rest are rare enough to count.
with asked as (
    select language, place, lexeme
    from (select language, place, penstock_lexemes(language, spelling) as lexemes
          from search_languages
          cross join unnest(%(words)s::text[]) with ordinality as given (spelling, place)
          offset 0) word  -- in a lateral FROM the function would be set up anew for every row
    left join lateral unnest(word.lexemes) on true
), lexemes as (
    select lexeme, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery as match
    from (select distinct lexeme from asked where lexeme is not null) known
), recent as materialized (
    select language, token_count, chunk_count from files where status = 'complete' order by created_at desc limit 1000
), shares as (
    select language, sum(chunk_count)::float / nullif(sum(sum(chunk_count)) over (), 0) as share
    from recent group by language
), size as materialized (
    select many, coalesce(many, (select count(*) from chunks))::float as n,
           (select coalesce(sum(token_count)::float / nullif(sum(chunk_count), 0), 1) from recent) as mean_length
    from (select case when reltuples > %(counted_chunks)s then reltuples end as many
          from pg_class where oid = 'chunks'::regclass) known
), common as materialized (
    select lexeme, frequency
    from size
    join pg_class on pg_class.oid = 'chunks'::regclass and size.many is not null
    join pg_namespace on pg_namespace.oid = relnamespace
    join pg_stats on schemaname = nspname and tablename = relname and attname = 'text_search' and not inherited
    cross join lateral unnest(most_common_elems::text::text[], most_common_elem_freqs) as known (lexeme, frequency)
    where lexeme in (select lexeme from lexemes)
), counted as materialized (
    select lexeme, language, df
    from lexemes
    cross join lateral (
        select language, count(*)::float as df
        from (select language from chunks where text_search @@ match limit %(counted_chunks)s) found
        group by language
    ) by_language
    where lexeme not in (select lexeme from common)
), frequencies as (
    select place, sum(df) as df, bool_or(found) as found, bool_and(everywhere) as everywhere
    from (select place, language, bool_or(coalesce(common.frequency, counted.df) > 0) as found,
                 bool_and(asked.lexeme is not null) as everywhere,
                 max(case when asked.lexeme is null then share * size.n
                          else coalesce(common.frequency * share * size.n, counted.df) end) as df
          from size cross join asked left join shares using (language) left join common using (lexeme)
               left join counted using (language, lexeme)
          group by place, language) by_language
    group by place
)
select place, language, lexeme, match::text as match, size.mean_length, size.n, df, everywhere,
       ln(1 + greatest(0, size.n - df + 0.5) / (df + 0.5)) as weight
from size cross join asked join frequencies using (place) join lexemes using (lexeme)
where frequencies.found;

-- name: require_phrases
-- For every language the tsquery that a Chunk must satisfy to have all phrases and none of what is excluded.
select language, string_agg(condition, ' & ') as required
from search_languages
cross join lateral (
    select '(' || nullif(phraseto_tsquery(('pg_catalog.' || language)::regconfig,
                                          penstock_words(penstock_plain(phrase)))::text, '') || ')' as condition
    from unnest(%(phrases)s::text[]) as phrase
    union all
    select '!(' || nullif(phraseto_tsquery(('pg_catalog.' || language)::regconfig,
                                           penstock_words(penstock_plain(phrase)))::text, '') || ')'
    from unnest(%(without)s::text[]) as phrase
) conditions
group by language;

-- name: match_words
-- Which words, given with the language of their text, have a lexeme of which word of the query.
-- A function of ours in a lateral FROM is set up anew for every row, which costs 20 times what it does.
with asked as materialized (
    select language, place, lexeme
    from (select distinct language from unnest(%(languages)s::text[]) as language) languages
    cross join unnest(%(asked)s::text[]) with ordinality as word (spelling, place)
    cross join lateral unnest(penstock_lexemes(language, spelling))
)
select word.place, array_agg(distinct asked.place) as asked
from (select place, language, penstock_lexemes(language, spelling) as lexemes
      from unnest(%(languages)s::text[], %(words)s::text[]) with ordinality as given (language, spelling, place)
      offset 0) word
cross join lateral unnest(word.lexemes) as lexemes (lexeme)
join asked on asked.language = word.language and asked.lexeme = lexemes.lexeme
group by word.place;

-- name: occurrences
-- How often Chunk c has t.match, a lexeme as tsquery: {occurrences} in the statements below. What PostgreSQL makes of
-- one lexeme that occurs f times, each of weight 1, is the sum of 1/i^2 up to f, divided by that without end: this is
-- the inverse. To take the lexemes apart with unnest costs ten times as much.
round(1 / (1.64493406685 * (1 - nullif(ts_rank(array[1, 1, 1, 1]::real[], c.text_search, t.match), 0))) - 0.5);

-- name: search_text
-- The Chunks with the best BM25 score (k1 = 1.2, b = 0.75) of active generations that fit the filter.
-- A lexeme counts in its own language only; a Chunk that has none in its language scores nothing and comes last.
with terms as materialized (
    select language, match::tsquery as match, weight
    from unnest(%(languages)s::text[], %(matches)s::text[], %(weights)s::float[]) as t (language, match, weight)
)
select c.chunk_id, coalesce(
       (select sum(weight * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * c.token_count / %(mean_length)s)))
        from (select t.weight, {occurrences} as tf from terms t where t.language = c.language) said), 0) as score
from chunks c
join files f on f.file_id = c.file_id and f.active_generation = c.generation
where c.text_search @@ %(match)s::tsquery
  and {passes}
order by score desc, c.chunk_id
limit %(limit)s;

-- name: evidence_around
-- What given Chunks, and the one before and after each, hold of a query's lexemes, and how near they are to its vector.
with around as (
    select distinct beside.chunk_id
    from chunks given
    join chunks beside on beside.file_id = given.file_id and beside.generation = given.generation
        and beside.index between given.index - 1 and given.index + 1
    where given.chunk_id = any(%(chunk_ids)s)
), terms as materialized (
    select place, match::tsquery as match from unnest(%(matches)s::text[]) with ordinality as t (match, place)
)
select c.chunk_id, c.file_id, c.index, c.headings, c.language, c.token_count,
       array(select coalesce({occurrences}, 0)::int from terms t order by place) as often,
       -({embedding} <#> %(vector)s) as similarity
from around
join chunks c using (chunk_id)
join embeddings e on e.chunk_id = c.chunk_id and e.model_id = {model_id};

-- name: get_chunks
-- Chunks by id, with the name of their File.
select chunks.*, files.name
from chunks join files on files.file_id = chunks.file_id
where chunks.chunk_id = any(%(chunk_ids)s);

-- name: get_neighbours
-- The Chunks up to a distance before and after each given one, in order.
select hit.chunk_id as hit_id, near.*
from chunks hit
join chunks near on near.file_id = hit.file_id and near.generation = hit.generation
                and near.index between hit.index - %(distance)s and hit.index + %(distance)s
where hit.chunk_id = any(%(chunk_ids)s) and near.index <> hit.index
order by near.index;

-- name: text_search_languages
-- The text search configurations that come with PostgreSQL.
select cfgname::text from pg_ts_config where cfgnamespace = 'pg_catalog'::regnamespace order by cfgname;
