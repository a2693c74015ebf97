-- What search needs where there are many Chunks.

-- A tsvector that is compressed, or lies apart, is unpacked for every look at it, which costs ten times the look.
-- Holds for rows that are written from now on.
alter table chunks set (toast_tuple_target = 8160);

-- Of so many times ten lexemes ANALYZE tells how frequent they are; the rest are rare enough to be counted.
alter table chunks alter column text_search set statistics 300;

-- The indexes of nearest vectors at half precision: half the pages to look at and to write, for the same neighbours.
do $$
declare
    model record;
begin
    for model in select model_id, dimensions from models loop
        execute format('drop index if exists embeddings_nearest_%s', model.model_id);
        execute format('create index embeddings_nearest_%s on embeddings'
                       ' using hnsw ((embedding::halfvec(%s)) halfvec_ip_ops) where model_id = %s',
                       model.model_id, model.dimensions, model.model_id);
    end loop;
end $$;
