-- Opens a session in all shards. ARGV: id, text, TTL in ms.
local ttl = tonumber(ARGV[3])
local kinds = { 'string', 'zset', 'hash', 'hash', 'zset', 'string' }
for at, key in ipairs(KEYS) do
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= kinds[(at - 1) % 6 + 1] then
        error('LEASEHOLD-CORRUPT ' .. key .. ' is a ' .. kind)
    end
end
for n = 1, #KEYS / 6 do
    shard(n)
    redis.call('ZADD', index, 0, '!' .. sid .. '/')
    redis.call('HSET', entries, '.' .. sid, '')
    redis.call('HSET', values, '.' .. sid, '')
    hold(ttl)
    sweep()
end
return { 'ok' }
