-- Reads the server's clock, and the revision and the document of each record.
-- KEYS: the records.
local time = redis.call('TIME')
local found = {time[1], time[2]}
for _, key in ipairs(KEYS) do
    local fields = redis.call('HMGET', key, 'revision', 'document')
    found[#found + 1] = fields[1]
    found[#found + 1] = fields[2]
end
return found
