"""What has to happen on Redis in one piece, because a lease may change hands between two commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

RENEW = """
-- Start the leases of messages anew, those that the consumer still has. KEYS: stream. ARGV: group, consumer, ids.
for i = 3, #ARGV do
    if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) > 0 then
        redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', 0, 'JUSTID')
    end
end
"""

BEGIN = """
-- Count an attempt before it begins. KEYS: stream, attempts. ARGV: group, consumer, id, whether it is alone.
-- Returns attempts that began and whether this one did; nothing where the consumer does not have the message.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then
    return false
end
local began = tonumber(redis.call('HGET', KEYS[2], ARGV[3]) or '0')
local ended = tonumber(redis.call('HGET', KEYS[2], ARGV[3] .. ':ended') or '0')
if began > ended and ARGV[4] == '0' then
    return {began, 0}
end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'IDLE', 0, 'JUSTID')
return {redis.call('HINCRBY', KEYS[2], ARGV[3], 1), 1}
"""

ACKNOWLEDGE = """
-- Forget a message: acknowledged entries would otherwise stay in the stream. KEYS: stream, attempts. ARGV: group, id.
-- Returns 0 where nobody had it any more. In whose hands it was would take another command for each message.
local forgotten = redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('HDEL', KEYS[2], ARGV[2], ARGV[2] .. ':ended')
return forgotten
"""

GIVE_BACK = """
-- Let whoever is free have a message, when its idle time has reached the lease. KEYS: stream, attempts.
-- ARGV: group, consumer, id, the consumer of what is given back, idle milliseconds, attempt: ended, free or unbegun.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then
    return 0
end
if ARGV[6] == 'ended' then
    redis.call('HSET', KEYS[2], ARGV[3] .. ':ended', redis.call('HGET', KEYS[2], ARGV[3]) or '0')
elseif ARGV[6] == 'free' and redis.call('HINCRBY', KEYS[2], ARGV[3], -1) < 1 then
    redis.call('HDEL', KEYS[2], ARGV[3])
end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[4], 0, ARGV[3], 'IDLE', ARGV[5], 'JUSTID')
return 1
"""

BURY = """
-- Move a message to the dead letters. KEYS: stream, attempts, dead letters.
-- ARGV: group, consumer, id, letter, most letters.
if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2]) == 0 then
    return 0
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], '*', 'dead_letter', ARGV[4])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
redis.call('HDEL', KEYS[2], ARGV[3], ARGV[3] .. ':ended')
return 1
"""

FORGET_DELETED = """
-- Acknowledge what somebody deleted while it was pending: before Redis 7 it would be claimed, as nothing, for ever.
-- KEYS: stream, attempts. ARGV: group, least idle milliseconds, most at once.
for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], 'IDLE', ARGV[2], '-', '+', ARGV[3])) do
    if #redis.call('XRANGE', KEYS[1], entry[1], entry[1]) == 0 then
        redis.call('XACK', KEYS[1], ARGV[1], entry[1])
        redis.call('HDEL', KEYS[2], entry[1], entry[1] .. ':ended')
    end
end
if redis.call('XLEN', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
end
"""

FORGET_CONSUMERS = """
-- Remove consumers that hold nothing and have asked for nothing in so long. KEYS: stream. ARGV: group, milliseconds.
-- In one piece: with a pending entry, removing a consumer would lose it.
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
    local fields = {}
    for at = 1, #consumer, 2 do
        fields[consumer[at]] = consumer[at + 1]
    end
    if fields['pending'] == 0 and fields['idle'] > tonumber(ARGV[2]) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], fields['name'])
    end
end
"""

DEPTHS = """
-- What is on queues. KEYS: for each its stream and its dead letters. ARGV: group, the consumer of what is given back.
-- Returns the time, then for each queue: messages, those in the hands of workers, the first one's id, dead letters.
local answers = {redis.call('TIME')}
for i = 1, #KEYS, 2 do
    local in_flight = 0
    local pending = redis.pcall('XPENDING', KEYS[i], ARGV[1])  -- an error where the group is gone
    for _, held in ipairs(not pending.err and pending[4] or {}) do
        if held[1] ~= ARGV[2] then
            in_flight = in_flight + tonumber(held[2])
        end
    end
    local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)
    answers[#answers + 1] = {
        redis.call('XLEN', KEYS[i]), in_flight, first[1] and first[1][1] or '', redis.call('XLEN', KEYS[i + 1])
    }
end
return answers
"""

RIGHTS = """
-- Which of our commands the user may not use. KEYS: stream, attempts, dead letters, a key that is none. ARGV: group.
-- Where they are allowed they do nothing: their ids and numbers are none.
local forbidden = {}
local function try(...)
    local answer = redis.pcall(...)
    local problem = type(answer) == 'table' and answer.err or ''
    if problem:find('NOPERM') or problem:find('user executing the script') then
        forbidden[#forbidden + 1] = select(1, ...)
    end
end
try('PING')
try('TIME')
try('XPENDING', KEYS[1], ARGV[1], '-', '+', 1)
try('XCLAIM', KEYS[1], ARGV[1], 'nobody', 0, 'none')
try('XAUTOCLAIM', KEYS[1], ARGV[1], 'nobody', 0, 'none')
try('XREADGROUP', 'GROUP', ARGV[1], 'nobody', 'STREAMS', KEYS[1], 'none')
try('XACK', KEYS[1], ARGV[1], 'none')
try('XRANGE', KEYS[1], 'none', 'none')
try('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
try('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], 'nobody')
for _, key in ipairs({KEYS[1], KEYS[3]}) do
    try('XADD', key, 'none', 'field', 'value')
    try('XDEL', key, 'none')
    try('XLEN', key)
end
try('XRANGE', KEYS[3], 'none', 'none')
try('HGET', KEYS[2], 'none')
try('HSET', KEYS[2], 'none', 'none', 'none')
try('HINCRBY', KEYS[2], 'none', 'none')
try('HDEL', KEYS[2], 'none')
try('DEL', KEYS[4])
return forbidden
"""


async def run(client: Any, script: str, keys: Sequence[str], *arguments: object) -> Any:
    """The script's answer. Redis keeps a script that it has seen: it is sent again only where Redis forgot it."""
    return await client.register_script(script)(keys=keys, args=arguments)
