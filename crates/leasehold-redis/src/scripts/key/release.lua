-- Gives the key up. KEYS: the key. ARGV: token.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return { 'lost' }
end
redis.call('DEL', KEYS[1])
return { 'ok' }
