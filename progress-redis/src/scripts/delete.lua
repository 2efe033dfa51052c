-- Deletes a record with its log and its places in the indexes, unless it has changed since it was
-- read. Returns whether it did.
-- KEYS: record, log, running, finished, unannounced, its lists.
-- ARGV: id, revision as read, place in the lists, channel, its message.
if (redis.call('HGET', KEYS[1], 'revision') or '') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
for list = 6, #KEYS do redis.call('ZREM', KEYS[list], ARGV[3]) end
redis.pcall('PUBLISH', ARGV[4], ARGV[5])
return 1
