-- Writes a register. KEYS: the register's shard, the register, the entries of the shard of the queue if there is a condition on an
-- entry. ARGV: id, text, register, value, the version that it must have or '', queue, attempt.
local name, value, if_version, queue, attempt = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
shard(1)
local register, held_in = KEYS[7], KEYS[8]
local ended = over()
if ended then
    return { ended }
end
local version = redis.call('HGET', register, 'version') or '0000000000000000'
if held_in then
    local home, home_start = entries, start
    entries, start = held_in, string.sub(held_in, 1, -9)
    local entry = read(attempt)
    local held = entry and entry.queue == queue and redis.call('EXISTS', start .. ':session:' .. entry.owner) == 1
    entries, start = home, home_start
    if not held then
        return { 'not-held' }
    end
end
if if_version ~= '' and if_version ~= version then
    return { 'differs' }
end
version = advance()
redis.call('HSET', register, 'version', version, 'value', value)
redis.call('PUBLISH', start .. ':register:' .. name, version)
return { 'written', version }
