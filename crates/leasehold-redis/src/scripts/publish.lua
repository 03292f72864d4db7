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
redis.call('PUBLISH', start .. ':queue:' .. queue, '+ ' .. version .. ' ' .. attempt .. ' ' .. entry.order .. ' ' .. mode)
return { 'done', version }
