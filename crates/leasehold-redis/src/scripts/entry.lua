-- One entry with its value. ARGV: id, text, queue, attempt.
local queue, attempt = ARGV[3], ARGV[4]
shard(1)
local entry = read(attempt)
if entry and not alive(entry.owner) then
    bury(entry.owner)
    entry = nil
end
if not entry or entry.queue ~= queue then
    -- It may have gone with this session.
    local ended = over()
    return ended and { ended } or {}
end
return { attempt, entry.order, entry.version, entry.mode, redis.call('HGET', values, attempt) or '' }
