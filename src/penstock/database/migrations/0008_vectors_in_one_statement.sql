-- What an Embedder records, in one statement; and no row is checked for what its locks have made sure of.

-- Who records Chunks or vectors holds a lock on the File's row meanwhile, and who deletes the File or Chunks of the
-- generation that it waits for takes the row away from that lock first; who records vectors for an older one finds out
-- before the end. So the foreign keys never found anything, at a third of what it took to record a vector. What is deleted
-- takes along what belongs to it by these triggers, row by row: a transition table would hold the text of a whole long
-- File.
alter table embeddings drop constraint embeddings_chunk_id_fkey, drop constraint embeddings_model_id_fkey;
alter table chunks drop constraint chunks_file_id_fkey;

create function penstock_delete_embeddings() returns trigger language plpgsql as $$
begin
    delete from embeddings where chunk_id = old.chunk_id;
    return null;
end $$;
create trigger embeddings_of_deleted_chunks after delete on chunks
    for each row execute function penstock_delete_embeddings();

create function penstock_delete_chunks() returns trigger language plpgsql as $$
begin
    delete from chunks where file_id = old.file_id;
    return null;
end $$;
create trigger chunks_of_deleted_files after delete on files
    for each row execute function penstock_delete_chunks();

-- Count `fresh` new vectors of a generation; true where it has all of them, and search sees it from here on and no
-- other: the text of the one before is the sweep's. Null where the generation waits for no vectors any more. The first
-- update locks the row, so that of two last messages the second sees what the first has counted. While a File is being
-- read it is not ready, however many there are.
create function penstock_settle(of_file uuid, of_generation bigint, fresh integer) returns boolean
    language plpgsql as $$
declare
    ready boolean;
begin
    update files set embedded_count = embedded_count + fresh, updated_at = clock_timestamp()
    where file_id = of_file and generation = of_generation and status in ('ingesting', 'embedding')
    returning status = 'embedding' and embedded_count >= chunk_count into ready;
    if ready is not true then
        return ready;
    end if;
    insert into unclaimed_objects (object_key, due_at)
    select active_text_key, clock_timestamp() from files
    where file_id = of_file and active_text_key is not null and active_text_key is distinct from text_key
    on conflict (object_key) do update set due_at = excluded.due_at;
    update files
    set status = 'complete', active_generation = generation, active_text_key = text_key,
        settled_at = clock_timestamp(), updated_at = clock_timestamp()
    where file_id = of_file;
    delete from chunks where file_id = of_file and generation < of_generation;
    return true;
end $$;

-- Whether Chunks of a generation may be given vectors. Each of the statements that follow sees all that was deleted
-- before, and from here to the end of the transaction nobody deletes them but who has begun another generation, and
-- completed it: `penstock_settle` waits for that, and returns null.
create function penstock_keep_chunks(of_file uuid, of_generation bigint) returns boolean
    language plpgsql as $$
begin
    perform from files
    where file_id = of_file and generation = of_generation and status in ('ingesting', 'embedding')
    for key share;
    return found;
end $$;

-- Record vectors, and settle the File; true where it is complete now. A Chunk that has one already keeps it, and one
-- that is gone gets none.
create function penstock_record_vectors(
    of_file uuid, of_generation bigint, of_model integer, of_chunks uuid[], vectors vector[]
) returns boolean
    language plpgsql as $$
declare
    fresh uuid[];
    complete boolean;
begin
    if not penstock_keep_chunks(of_file, of_generation) then
        return false;
    end if;
    with recorded as (
        insert into embeddings (chunk_id, model_id, text_hash, embedding)
        select c.chunk_id, of_model, c.text_hash, given.embedding
        from unnest(of_chunks, vectors) as given (chunk_id, embedding)
        join chunks c using (chunk_id)
        on conflict do nothing
        returning chunk_id
    )
    select coalesce(array_agg(chunk_id), '{}') from recorded into fresh;
    complete := penstock_settle(of_file, of_generation, cardinality(fresh));
    if complete is null then
        delete from embeddings where model_id = of_model and chunk_id = any(fresh);
    end if;
    return coalesce(complete, false);
end $$;

-- Give Chunks the vectors that equal texts have, and settle the File. Which got one, and whether it is complete now.
create function penstock_reuse_vectors(
    of_file uuid, of_generation bigint, of_model integer, of_chunks uuid[], out reused uuid[], out complete boolean
)
    language plpgsql as $$
begin
    reused := '{}';
    complete := false;
    if not penstock_keep_chunks(of_file, of_generation) then
        return;
    end if;
    with fresh as (
        insert into embeddings (chunk_id, model_id, text_hash, embedding)
        select c.chunk_id, of_model, c.text_hash, known.embedding
        from unnest(of_chunks) as given (chunk_id)
        join chunks c using (chunk_id)
        cross join lateral (
            select e.embedding from embeddings e
            where e.model_id = of_model and e.text_hash = c.text_hash
            limit 1
        ) known
        on conflict do nothing
        returning chunk_id
    )
    select coalesce(array_agg(chunk_id), '{}') from fresh into reused;
    complete := penstock_settle(of_file, of_generation, cardinality(reused));
    if complete is null then
        delete from embeddings where model_id = of_model and chunk_id = any(reused);
        reused := '{}';
        complete := false;
    end if;
end $$;
