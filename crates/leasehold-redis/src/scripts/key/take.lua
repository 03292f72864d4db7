-- Takes the key, or says for how many milliseconds it is taken still. KEYS: the key. ARGV: token, milliseconds.
-- Repeated with the same token, it takes what it has taken.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return { 'taken' }
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return { 'taken' }
end
return { 'busy', tostring(redis.call('PTTL', KEYS[1])) }
