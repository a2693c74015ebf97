-- The rows are the backlog: work waits here for its turn, and only a little of it is on the queues at any time.

alter table files
    add column turn double precision not null default 0,     -- start tag of start-time fair queueing, by stage
    add column announced_at timestamptz,                     -- when all that its stage asks for was on a queue; null: waits
    add column announced_index integer not null default -1;  -- of its Chunks, the last that was put on the queue

drop index files_unfinished;
alter table files drop column published_at;

create index files_wait_to_be_ingested on files (turn, created_at)
    where announced_at is null and status in ('queued', 'ingesting');
create index files_newest_to_be_ingested on files (created_at)
    where announced_at is null and status in ('queued', 'ingesting');
create index files_wait_to_be_embedded on files (turn, created_at)
    where announced_at is null and status = 'embedding';
create index files_newest_to_be_embedded on files (created_at)
    where announced_at is null and status = 'embedding';
-- The last turn of a lane: what was handed in together stands in one line.
create index files_lanes_to_be_ingested
    on files (owner, coalesce(batch, '00000000-0000-0000-0000-000000000000'), turn)
    where announced_at is null and status in ('queued', 'ingesting');
create index files_lanes_to_be_embedded
    on files (owner, coalesce(batch, '00000000-0000-0000-0000-000000000000'), turn)
    where announced_at is null and status = 'embedding';
create index files_announced on files (announced_at)
    where announced_at is not null and status in ('queued', 'ingesting', 'embedding');

-- The turn that each queue has come to: who comes newly begins there.
create table queue_turns (
    queue        text             primary key,
    reached      double precision not null default 0
);
insert into queue_turns (queue) values ('ingest-queue'), ('embedding-queue');

-- The turn of a File that enters a stage now. Goyal, Vin and Cheng, Start-time fair queueing (1996): it begins where
-- the stage is, or where the last one of its lane ends, whichever is later.

-- What is ingested costs 1, and another 1 for each MiB.
create function penstock_ingest_turn(of_owner text, of_batch uuid) returns double precision
    language sql stable
    return greatest(
        (select reached from queue_turns where queue = 'ingest-queue'),
        (select turn + 1 + size / 1048576.0 from files
         where owner = of_owner
           and coalesce(batch, '00000000-0000-0000-0000-000000000000')
               = coalesce(of_batch, '00000000-0000-0000-0000-000000000000')
           and announced_at is null and status in ('queued', 'ingesting')
         order by turn desc limit 1));

-- What is embedded costs 1 for each message of 64 Chunks.
create function penstock_embedding_turn(of_owner text, of_batch uuid) returns double precision
    language sql stable
    return greatest(
        (select reached from queue_turns where queue = 'embedding-queue'),
        (select turn + ceil((chunk_count - 1 - announced_index) / 64.0) from files
         where owner = of_owner
           and coalesce(batch, '00000000-0000-0000-0000-000000000000')
               = coalesce(of_batch, '00000000-0000-0000-0000-000000000000')
           and announced_at is null and status = 'embedding'
         order by turn desc limit 1));
