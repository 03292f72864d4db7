-- Renews a session in all shards, or ends it in all. ARGV: id, text, TTL in ms.
local ttl = tonumber(ARGV[3])
local ended
for n = 1, #KEYS / 6 do
    shard(n)
    local how = over()
    if ended ~= 'superseded' then
        ended = how or ended
    end
end
for n = 1, #KEYS / 6 do
    shard(n)
    if not ended then
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
return { ended or 'ok' }
