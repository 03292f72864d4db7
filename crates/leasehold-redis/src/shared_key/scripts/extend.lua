-- Gives the key another TTL if it holds the token. KEYS: the key. ARGV: token, TTL in ms.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return { 'gone' }
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'done' }
