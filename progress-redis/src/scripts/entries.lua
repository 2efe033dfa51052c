-- Reads a record's document, how many entries its log has, and those after a number.
-- KEYS: record, log. ARGV: the number, how many.
local found = {
    redis.call('HGET', KEYS[1], 'document'),
    tostring(redis.call('ZCARD', KEYS[2])),
}
local after = '(' .. ARGV[1]
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], after, '+inf', 'LIMIT', 0, ARGV[2])) do
    found[#found + 1] = entry
end
return found
