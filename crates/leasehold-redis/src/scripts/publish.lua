-- Changes an entry. ARGV: id, text, queue, attempt, mode, value, the version that it must have or ''.
local queue, attempt, mode, value, if_version = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
shard(1)
local ended = over()
if ended then
    return { ended }
end
redis.call('HEXISTS', values, attempt)
local entry = read(attempt)
if entry and not alive(entry.owner) then
    bury(entry.owner)
    entry = nil
end
if not entry or entry.queue ~= queue then
    return { 'none' }
end
if if_version ~= '' and if_version ~= entry.version then
    return { 'differs' }
end
local version = advance()
redis.call('HSET', values, attempt, value)
redis.call('HSET', entries, attempt, entry.order .. ' ' .. version .. ' ' .. entry.owner .. ' ' .. mode .. ' ' .. queue)
local put = '+ ' .. version .. ' ' .. attempt .. ' ' .. entry.order .. ' ' .. mode
redis.call('PUBLISH', start .. ':queue:' .. queue, put)
tell_owner(entry, put)
return { 'done', version, entry.owner == sid and '1' or '0' }
