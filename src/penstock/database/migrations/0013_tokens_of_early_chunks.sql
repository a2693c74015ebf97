-- The tokens of a File that is still being read count as its Chunks do: as far as they are recorded.

-- As before, and what an earlier attempt recorded is not counted any more.
create or replace function penstock_begin_ingest(
    of_file uuid, of_generation bigint, text_object text, claim_seconds float8
) returns setof files
    language plpgsql as $$
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
        token_count = 0, announced_index = -1, updated_at = clock_timestamp()
    where file_id = of_file
    returning *;
end $$;

-- As before, and with the tokens.
create or replace function penstock_record_early_chunks(
    of_file uuid, of_generation bigint, of_attempt integer, of_language text, given json
) returns boolean
    language plpgsql as $$
begin
    if not penstock_keep_reading(of_file, of_generation, of_attempt) then
        return false;
    end if;
    perform penstock_insert_chunks(of_file, of_generation, penstock_search_language(of_language), given);
    update files
    set chunk_count = chunk_count + json_array_length(given),
        token_count = token_count + (
            select coalesce(sum(chunk.token_count), 0) from json_to_recordset(given) as chunk (token_count integer)
        ),
        updated_at = clock_timestamp()
    where file_id = of_file;
    return true;
end $$;
