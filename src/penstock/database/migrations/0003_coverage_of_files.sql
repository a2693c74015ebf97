-- Of the words that an independent count finds in a File, the share that is in its text.
-- Null where the format has no such count, and for Files that were read before there was one.

alter table files add column coverage real check (coverage between 0 and 1);
