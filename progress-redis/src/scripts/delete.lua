-- Deletes a record with its log and its places in the indexes, unless it has changed since it was
-- read. Returns whether it did.
-- KEYS: as of `write.lua`. ARGV: id, revision as read, place in the lists, channel, its
-- message.
if (redis.call('HGET', KEYS[1], 'revision') or '') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[9], ARGV[1])
for list = 5, 8 do redis.call('ZREM', KEYS[list], ARGV[3]) end
redis.pcall('PUBLISH', ARGV[4], ARGV[5])
return 1
