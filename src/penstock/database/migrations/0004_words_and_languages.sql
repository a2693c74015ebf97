-- Words as people type them, in the language of their File.

-- What PostgreSQL's own parser makes of `and/or`, `end.The` and `a@b.org` is one word each; it drops what stands
-- between < and >, reads the 9001 of ISO-9001 as a negative number, parts 1,234.5 at its comma and takes a line of
-- Chinese for one word. So it gets the words one by one, and behind them their other spellings.
-- `database/words.py` follows the same rules, to weigh the words of a query and to find them again in a text.

-- The text without what belongs to the typesetting and not to the word: ligatures and full-width forms (NFKC undoes
-- them), soft hyphens and joiners, the comma of 1,234.5, and no space in v1.2.3 or 4.2bn.
create function penstock_plain(content text) returns text
    language sql immutable parallel safe
    return regexp_replace(regexp_replace(regexp_replace(
        case when octet_length(content) = length(content) then content
             else regexp_replace(normalize(content, NFKC), '[\u00ad\u200b-\u200f\u2060\ufeff]', '', 'g') end,
        '(?<=[0-9]),(?=[0-9]{3}(?![0-9]))', '', 'g'),
        '([[:alpha:]])([0-9]+\.[0-9])', '\1 \2', 'g'),
        '([0-9]\.[0-9]+)([[:alpha:]])', '\1 \2', 'g');

-- Words and numbers with space between them. Scripts that write no spaces come letter by letter, so that
-- a phrase of them is found wherever it starts.
create function penstock_words(plain text) returns text
    language sql immutable parallel safe
    return regexp_replace(regexp_replace(regexp_replace(plain,
        '[\u0001-\u0008\u0021-\u002d\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9'
        '\u00bb-\u00bf\u00d7\u00f7\u037e\u0387\u055d-\u055f\u0589\u05be\u05c0\u05c3\u060c\u061b\u061f\u06d4\u0964\u0965'
        '\u2010-\u206f\u20a0-\u20cf\u2190-\u2bff\u3001-\u3004\u3008-\u3020\u30fb]+', ' ', 'g'),
        '(?<![0-9])\.|\.(?![0-9])', ' ', 'g'),                                           -- end.The, but 4.2 and 1.2.3
        '[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf'
        '\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]', ' \& ', 'g');

-- Other spellings: 10-K as 10K, R&D as RD, U.S. as US; the parts of OpenServices and FY2023; words without their
-- accents; letters of scripts without spaces two by two, since one alone says little.
create function penstock_spellings(plain text) returns text
    language sql immutable parallel safe
    return (select concat_ws(' ',
        (select string_agg(regexp_replace(m[1], '[-&.\u2010\u2011]', '', 'g'), ' ')
         from regexp_matches(regexp_replace(spaced, '[0-9]+(?:\.[0-9]+)+', ' ', 'g'),
                             '([[:alnum:]]+(?:[-&\u2010\u2011][[:alnum:]]+)+|(?:\m[[:alpha:]]\.){2,})', 'g') m),
        (select string_agg(regexp_replace(m[1], '(?<=[[:lower:]])(?=[[:upper:]])|(?<=[[:alpha:]]{2})(?=[0-9]{2})'
                                                '|(?<=[[:upper:]])(?=[[:upper:]][[:lower:]]{2})', ' ', 'g'), ' ')
         from regexp_matches(spaced, '([[:alnum:]]*(?:[[:lower:]][[:upper:]]|[[:upper:]]{2}[[:lower:]]{2}'
                                     '|[[:alpha:]]{2}[0-9]{2})[[:alnum:]]*)', 'g') m),
        (select string_agg(regexp_replace(normalize(translate(m[1], 'øØłŁđĐıßæœ', 'oOlLdDisao'), NFD),
                                          '[\u0300-\u036f]', '', 'g'), ' ')
         from regexp_matches(spaced, '([[:alpha:]]*[\u00c0-\u024f\u1e00-\u1eff][[:alpha:]]*)', 'g') m),
        (select string_agg(regexp_replace(m[1] || ' ' || substr(m[1], 2), '[^ ]{2}', '\& ', 'g'), ' ')
         from regexp_matches(plain, '([\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff'
                                    '\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff'
                                    '\U00020000-\U0003ffff]{2,})', 'g') m))
     from (select regexp_replace(plain, '[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30fa\u30fc-\u30ff'
                                        '\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff'
                                        '\U00020000-\U0003ffff]+', ' ', 'g') as spaced offset 0) spelled);

create or replace function penstock_text_search(language text, content text) returns tsvector
    language sql immutable parallel safe
    return (
        select to_tsvector(('pg_catalog.' || language)::regconfig, penstock_words(plain))
            || to_tsvector(('pg_catalog.' || language)::regconfig, penstock_spellings(plain))
        from (select penstock_plain(content) as plain offset 0) once);

-- The lexemes of one word of `database/words.py`: what has neither accents nor signs has no other spelling.
create function penstock_lexemes(language text, word text) returns tsvector
    language sql immutable parallel safe
    return case when word ~ '[.,\u00c0-\u024f\u1e00-\u1eff]' then penstock_text_search(language, word)
                else to_tsvector(('pg_catalog.' || language)::regconfig, word) end;

-- What is stored follows the new function only when it is computed again.
alter table chunks drop column text_search;
alter table chunks add column text_search tsvector
    generated always as (penstock_text_search(language, context || E'\n\n' || text)) stored;
create index chunks_text_search on chunks using gin (text_search);

alter table files add column language text;  -- of the latest generation: the text search configuration of its Chunks
update files set language = (
    select c.language from chunks c where c.file_id = files.file_id and c.generation = files.active_generation limit 1);

-- Every language that a Chunk was ever recorded in: a query is matched in each. A language that no Chunk is in any
-- more costs a little time; to look through all Chunks for the languages would cost more.
create table search_languages (language text primary key);
insert into search_languages select distinct language from chunks;
