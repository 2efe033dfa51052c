-- Merges lists at one moment, so that a record which moves from one to another is found once.
-- Returns the places before a place, the last first.
-- KEYS: the lists. ARGV: the place as ZRANGE wants it, how many.
local found = {}
for _, list in ipairs(KEYS) do
    local places = redis.call('ZRANGE', list, ARGV[1], '-', 'BYLEX', 'REV', 'LIMIT', 0, ARGV[2])
    for _, place in ipairs(places) do found[#found + 1] = place end
end
table.sort(found, function(one, other) return one > other end)
for surplus = #found, ARGV[2] + 1, -1 do found[surplus] = nil end
return found
