-- What an Ingester records of a File: one statement when it begins to read, one when it has read it. Each is a function,
-- because what follows a lock has to see what was committed while it was waited for; a single statement does not.

-- Mark a generation as being read and name the object that its text is going to be written to; what an earlier attempt
-- recorded is deleted. No row: the generation is deleted, superseded, or past this step. Locks as a deletion does, so that
-- an Embedder that records vectors of early Chunks of this File ends first.
create function penstock_begin_ingest(of_file uuid, of_generation bigint, text_object text, claim_seconds float8)
    returns setof files language plpgsql as $$
declare
    left_behind integer;
begin
    select chunk_count into left_behind from files
    where file_id = of_file and generation = of_generation and status in ('queued', 'ingesting')
    for update;
    if not found then
        return;
    end if;
    if left_behind > 0 then
        delete from chunks where file_id = of_file and generation = of_generation;
    end if;
    insert into unclaimed_objects (object_key, due_at)
    values (text_object, clock_timestamp() + make_interval(secs => claim_seconds));
    return query
    update files
    set status = 'ingesting', ingest_attempt = ingest_attempt + 1, chunk_count = 0, embedded_count = 0,
        announced_index = -1, updated_at = clock_timestamp()
    where file_id = of_file
    returning *;
end $$;

-- Whether this attempt is the last that began to read the generation, and nobody finished, superseded or deleted it:
-- nor can anybody until the transaction ends.
create function penstock_keep_reading(of_file uuid, of_generation bigint, of_attempt integer) returns boolean
    language plpgsql as $$
begin
    perform from files
    where file_id = of_file and generation = of_generation and status = 'ingesting' and ingest_attempt = of_attempt
    for no key update;
    return found;
end $$;

-- The text search configuration of this name, from now on one in which queries are matched; `simple` where the server
-- does not have it: older ones know fewer languages.
create function penstock_search_language(wanted text) returns text
    language plpgsql as $$
declare
    known text;
begin
    select coalesce((select cfgname::text from pg_ts_config
                     where cfgname = wanted and cfgnamespace = 'pg_catalog'::regnamespace), 'simple') into known;
    if not exists (select from search_languages where language = known) then
        insert into search_languages (language) values (known) on conflict do nothing;
    end if;
    return known;
end $$;

-- Write Chunks of a generation; `given` is an array of objects with the columns' names.
create function penstock_insert_chunks(of_file uuid, of_generation bigint, of_language text, given json) returns void
    language sql as $$
    insert into chunks (chunk_id, file_id, generation, index, text, text_hash, token_count, first_page, last_page,
                        char_start, char_end, headings, context, context_tokens, metadata, language)
    select chunk_id, of_file, of_generation, index, text, decode(text_hash, 'hex'), token_count, first_page, last_page,
           char_start, char_end, headings, context, context_tokens, metadata, of_language
    from json_to_recordset(given) as chunk (
        chunk_id uuid, index integer, text text, text_hash text, token_count integer, first_page integer,
        last_page integer, char_start bigint, char_end bigint, headings text[], context text, context_tokens integer,
        metadata jsonb
    );
$$;

-- Record the next Chunks of a File while the rest of it is being read; they may be embedded meanwhile. False, with
-- nothing written, where this attempt is no longer the one that reads the generation.
create function penstock_record_early_chunks(
    of_file uuid, of_generation bigint, of_attempt integer, of_language text, given json
) returns boolean
    language plpgsql as $$
begin
    if not penstock_keep_reading(of_file, of_generation, of_attempt) then
        return false;
    end if;
    perform penstock_insert_chunks(of_file, of_generation, penstock_search_language(of_language), given);
    update files set chunk_count = chunk_count + json_array_length(given), updated_at = clock_timestamp()
    where file_id = of_file;
    return true;
end $$;

-- Record the last Chunks of a File and what reading it has found out; from now on it waits for its vectors. Claims the
-- text. `taken over`, with nothing written and the text released, where this attempt is no longer the one that reads the
-- generation; `swept`, with nothing written, where the text is deleted or about to be.
create function penstock_record_file(
    of_file uuid, of_generation bigint, of_attempt integer, of_language text, given json,
    is_early boolean, text_object text, of_media_type text, of_sha256 text, pages integer, all_chunks integer,
    all_tokens bigint, covered double precision, pages_unread integer[]
) returns text
    language plpgsql as $$
declare
    known text;
begin
    if not penstock_keep_reading(of_file, of_generation, of_attempt) then
        update unclaimed_objects set due_at = clock_timestamp() where object_key = text_object;
        return 'taken over';
    end if;
    delete from unclaimed_objects where object_key = text_object and due_at > clock_timestamp();
    if not found then
        return 'swept';
    end if;
    known := penstock_search_language(of_language);
    if is_early then  -- the whole text may be in another language than its beginning
        update chunks set language = known
        where file_id = of_file and generation = of_generation and language <> known;
    end if;
    perform penstock_insert_chunks(of_file, of_generation, known, given);
    update files
    set status = 'embedding', media_type = of_media_type, language = known, sha256 = coalesce(sha256, of_sha256),
        page_count = pages, chunk_count = all_chunks, token_count = all_tokens, coverage = covered,
        unread_pages = pages_unread, text_key = text_object, updated_at = clock_timestamp(),
        announced_at = null, turn = penstock_embedding_turn(owner, batch)
    where file_id = of_file;
    return 'recorded';
end $$;
