-- Sets the key if it is not there. KEYS: the key. ARGV: token, TTL in ms.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
    return { 'taken' }
end
return { 'busy', redis.call('TYPE', KEYS[1]).ok, string.format('%.0f', redis.call('PTTL', KEYS[1])) }
