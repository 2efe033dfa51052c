-- Writes a record, its place in the indexes, and its new log entries, unless the record has changed
-- since it was read. Returns whether it did; true as well if this very write has succeeded before.
-- KEYS: record, log, running, finished, unannounced, the lists that it leaves, those that it joins.
-- ARGV: id, revision as read ('' for a new record), new revision, document, place in the lists,
--       heartbeat ('' unless running), begin of the retention ('' while active), when to announce
--       the end ('' if not), log limit, channel, its message, how many lists it leaves, number and
--       entry, ...
local current = redis.call('HGET', KEYS[1], 'revision') or ''
if current == ARGV[3] then return 1 end
if current ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[3], 'document', ARGV[4])
local joins = 6 + ARGV[12]
for list = 6, joins - 1 do redis.call('ZREM', KEYS[list], ARGV[5]) end
for list = joins, #KEYS do redis.call('ZADD', KEYS[list], 0, ARGV[5]) end
if ARGV[6] == '' then
    redis.call('HDEL', KEYS[3], ARGV[1])
else
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[6])
end
if ARGV[7] ~= '' then
    redis.call('ZADD', KEYS[4], ARGV[7], ARGV[1])
end
if ARGV[8] == '' then
    redis.call('ZREM', KEYS[5], ARGV[1])
else
    redis.call('ZADD', KEYS[5], ARGV[8], ARGV[1])
end
if #ARGV > 12 then
    -- Only the highest number, where counting stops, can be there already.
    redis.call('ZREMRANGEBYSCORE', KEYS[2], ARGV[13], '+inf')
    redis.call('ZADD', KEYS[2], unpack(ARGV, 13))
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - ARGV[9])
end
-- Without an error, because a user may have no permission for channels.
redis.pcall('PUBLISH', ARGV[10], ARGV[11])
return 1
