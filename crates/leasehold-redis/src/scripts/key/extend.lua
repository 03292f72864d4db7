-- Has the key for so many milliseconds from now. KEYS: the key. ARGV: token, milliseconds.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return { 'lost' }
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { 'ok' }
