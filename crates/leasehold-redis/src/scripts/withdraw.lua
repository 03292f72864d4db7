-- Removes an entry. ARGV: id, text, queue, attempt, '1' if an enqueue of it may still arrive.
local queue, attempt, ambiguous = ARGV[3], ARGV[4], ARGV[5] == '1'
shard(1)
local ended = over()
if ended then
    return { ended }
end
-- A key of another type is noticed here, before anything is written.
redis.call('HEXISTS', values, attempt)
redis.call('ZSCORE', index, attempt)
if ambiguous then
    redis.call('ZADD', index, 0, '!' .. sid .. '/t/' .. attempt)
    redis.call('HSET', entries, '!' .. attempt, sid)
end
local entry = read(attempt)
if not entry or entry.queue ~= queue then
    return { 'gone' }
end
return { 'removed', remove(attempt, entry), entry.owner == sid and '1' or '0' }
