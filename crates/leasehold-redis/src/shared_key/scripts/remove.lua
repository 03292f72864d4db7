-- Removes the key if it holds the token. KEYS: the key. ARGV: token.
if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return { 'gone' }
end
redis.call('DEL', KEYS[1])
return { 'done' }
