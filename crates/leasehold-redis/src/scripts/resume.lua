-- Takes a session over in all shards, or in none. ARGV: id, text, TTL in ms, secret.
local ttl, secret = tonumber(ARGV[3]), ARGV[4]
for n = 1, #KEYS / 6 do
    local holder = redis.call('GET', KEYS[n * 6])
    if not holder then
        return { 'lost' }
    elseif string.sub(holder, 1, #secret) ~= secret then
        return { 'denied' }
    end
end
for n = 1, #KEYS / 6 do
    shard(n)
    hold(ttl)
    sweep()
end
return { 'ok' }
