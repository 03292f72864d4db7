-- Ends a session, unless another incarnation has it. ARGV: id, text.
for n = 1, #KEYS / 6 do
    shard(n)
    local holder = redis.call('GET', session)
    if not holder or holder == me then
        bury(sid)
        redis.call('DEL', session)
    end
end
return { 'ok' }
