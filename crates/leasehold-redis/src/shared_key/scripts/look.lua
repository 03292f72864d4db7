-- Tells who has the key, and for how long. KEYS: the key.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then
    return { 'free' }
end
if kind ~= 'string' then
    return { 'other', kind }
end
return { 'held', redis.call('GET', KEYS[1]), string.format('%.0f', redis.call('PTTL', KEYS[1])) }
