-- Renews a session in all shards, or ends it in all. ARGV: id, text, TTL in ms.
local ttl = tonumber(ARGV[3])
local lost = false
for n = 1, #KEYS / 6 do
    lost = lost or redis.call('GET', KEYS[n * 6]) ~= me
end
for n = 1, #KEYS / 6 do
    shard(n)
    if not lost then
        redis.call('PEXPIRE', session, ttl)
        redis.call('ZADD', sessions, millis + ttl, sid)
        keep(ttl)
        sweep()
    else
        local holder = redis.call('GET', session)
        if not holder or holder == me then
            bury(sid)
            redis.call('DEL', session)
        end
    end
end
return { lost and 'lost' or 'ok' }
