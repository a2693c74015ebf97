-- Pages of a File that show something of which no text came, or not all: scans that nothing could recognise.
-- Empty as well for Files that were read before these were counted.

alter table files add column unread_pages integer[] not null default '{}' check (cardinality(unread_pages) <= 1000);
