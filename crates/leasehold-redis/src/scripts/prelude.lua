-- What all scripts share. KEYS come in groups of six, one group a shard; ARGV begins with the session's id and the text
-- that its session keys hold as long as this incarnation owns them.

local sid, me = ARGV[1], ARGV[2]
local seq, index, entries, values, sessions, session, start
local known = {} -- sessions of the current shard that were looked up: alive or not

local function shard(n)
    local at = (n - 1) * 6
    seq, index, entries = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
    values, sessions, session = KEYS[at + 4], KEYS[at + 5], KEYS[at + 6]
    start = string.sub(seq, 1, -5)
    known = {}
end

local clock = redis.call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local millis = math.floor(micros / 1000)

-- The next number of the shard: greater than all before, and never behind the server's clock, so that a counter that was
-- lost does not begin anew. It is the first write of every change: what the server refuses, it refuses here, whole.
local function advance()
    local last = redis.call('GET', seq)
    local number = tonumber(last or '0')
    if not number then
        error('LEASEHOLD-CORRUPT ' .. seq .. ' holds no number')
    end
    local text = string.format('%016.0f', math.max(number + 1, micros))
    redis.call('SET', seq, text)
    return text
end

-- The entry of an attempt, or nil: also if what is there is not of our making.
local function read(attempt)
    local header = redis.call('HGET', entries, attempt)
    if not header then
        return nil
    end
    local order, version, owner, mode, queue = string.match(header, '^(%d+) (%d+) (%x+) (%w+) (%S+)$')
    if not order or #order ~= 16 or #version ~= 16 then
        return nil
    end
    return { order = order, version = version, owner = owner, mode = mode, queue = queue }
end

-- What became of the session, if this incarnation does not have it any more; else nil.
local function over()
    local holder = redis.call('GET', session)
    if holder == me then
        return nil
    end
    return holder and 'superseded' or 'lost'
end

local function alive(owner)
    local found = known[owner]
    if found == nil then
        found = redis.call('EXISTS', start .. ':session:' .. owner) == 1
        known[owner] = found
    end
    return found
end

-- The entry next ahead of a member of a queue, or next behind it, that member itself left out; nil if there is none.
local function next_to(queue, member, ahead)
    local found = member
    while true do
        local members
        if ahead then
            members = redis.call('ZREVRANGEBYLEX', index, '(' .. found, '[' .. queue .. '/', 'LIMIT', 0, 1)
        else
            members = redis.call('ZRANGEBYLEX', index, '(' .. found, '(' .. queue .. '0', 'LIMIT', 0, 1)
        end
        found = members[1]
        if not found then
            return nil
        end
        local order, attempt = string.match(string.sub(found, #queue + 2), '^(%d+)/(%x+)$')
        local entry = order and read(attempt)
        if entry and entry.order == order and entry.queue == queue then
            entry.attempt = attempt
            return entry
        end
    end
end

local function member_of(attempt, entry)
    return entry.queue .. '/' .. entry.order .. '/' .. attempt
end

-- Tells the owner of an entry, and nobody else, what concerns that entry.
local function tell_owner(entry, message)
    redis.call('PUBLISH', start .. ':near:' .. entry.owner .. ':' .. entry.queue, message)
end

-- What is said of the entry that is next ahead of this one since that change; `member` is where this one is, or one was that had nobody between.
local function who_is_ahead(revision, attempt, queue, member)
    local ahead = next_to(queue, member, true)
    local line = '^ ' .. revision .. ' ' .. attempt
    if ahead then
        line = line .. ' ' .. ahead.attempt .. ' ' .. ahead.order .. ' ' .. ahead.version .. ' ' .. ahead.mode
    end
    return line
end

-- Removes an entry and tells who listens; the number of the change.
local function remove(attempt, entry)
    local revision, member = advance(), member_of(attempt, entry)
    redis.call('ZREM', index, member, '!' .. entry.owner .. '/e/' .. attempt)
    redis.call('HDEL', entries, attempt)
    redis.call('HDEL', values, attempt)
    local gone = '- ' .. revision .. ' ' .. attempt
    redis.call('PUBLISH', start .. ':queue:' .. entry.queue, gone)
    local behind = next_to(entry.queue, member, false)
    if not behind or behind.owner ~= entry.owner then
        tell_owner(entry, gone)
    end
    if behind then
        tell_owner(behind, gone .. '\n' .. who_is_ahead(revision, behind.attempt, entry.queue, member))
    end
    return revision
end

-- Removes everything of a session that is over.
local function bury(owner)
    for _, member in ipairs(redis.call('ZRANGEBYLEX', index, '[!' .. owner .. '/', '(!' .. owner .. '0')) do
        local kind, attempt = string.match(string.sub(member, #owner + 3), '^([et])/(%x+)$')
        if kind == 'e' then
            local entry = read(attempt)
            if entry and entry.owner == owner then
                remove(attempt, entry)
            end
        elseif kind == 't' then
            redis.call('HDEL', entries, '!' .. attempt)
        end
        redis.call('ZREM', index, member)
    end
    redis.call('HDEL', entries, '.' .. owner)
    redis.call('HDEL', values, '.' .. owner)
    redis.call('ZREM', sessions, owner)
end

-- Buries the sessions whose time is up, and whose key is gone.
local function sweep()
    for _, owner in ipairs(redis.call('ZRANGEBYSCORE', sessions, '-inf', millis, 'LIMIT', 0, 64)) do
        local left = redis.call('PTTL', start .. ':session:' .. owner)
        if left == -2 then
            bury(owner)
        else
            -- Without an expiry, which is not of our making, it is looked after now and then.
            redis.call('ZADD', sessions, millis + (left < 0 and 1000 or math.max(left, 1)), owner)
        end
    end
end

-- In how many milliseconds another session of the shard may be over; '-1' if there is none.
local function next_expiry()
    local first = redis.call('ZRANGE', sessions, 0, 1, 'WITHSCORES')
    for at = 1, #first, 2 do
        if first[at] ~= sid then
            return string.format('%.0f', math.max(first[at + 1] - millis, 0))
        end
    end
    return '-1'
end

local function revision()
    return redis.call('GET', seq) or '0'
end

-- Up to `want` entries of a queue in order, those behind the member `after` if it is given. Entries whose session is gone are
-- removed. The second result is the last member that was looked at, if there may be more.
local function list(queue, want, after)
    local found, dead = {}, {}
    local from = after and ('(' .. queue .. '/' .. after) or ('[' .. queue .. '/')
    local last
    repeat
        local size = math.min(math.max(want, 1), 256)
        local members = redis.call('ZRANGEBYLEX', index, from, '(' .. queue .. '0', 'LIMIT', 0, size)
        for _, member in ipairs(members) do
            last = string.sub(member, #queue + 2)
            local order, attempt = string.match(last, '^(%d+)/(%x+)$')
            local entry = order and read(attempt)
            if entry and entry.order == order and entry.queue == queue then
                if alive(entry.owner) then
                    entry.attempt = attempt
                    found[#found + 1] = entry
                    if #found == want then
                        break
                    end
                else
                    dead[entry.owner] = true
                end
            end
        end
        from = '(' .. (members[#members] or '')
    until #found == want or #members < size
    for owner in pairs(dead) do
        bury(owner)
    end
    return found, (#found == want) and last or nil
end

-- Sees to it that what all sessions share outlives this one, and not much longer.
local function keep(ttl)
    if redis.call('PTTL', index) < 0 then
        redis.call('ZADD', index, 0, '!' .. sid .. '/')
    end
    for _, hash in ipairs({ entries, values }) do
        if redis.call('PTTL', hash) < 0 then
            redis.call('HSET', hash, '.' .. sid, '')
        end
    end
    for _, key in ipairs({ index, entries, values, sessions }) do
        if redis.call('PTTL', key) < ttl then
            redis.call('PEXPIRE', key, ttl)
        end
    end
end

-- Makes this session live in the current shard for another `ttl`.
local function hold(ttl)
    redis.call('SET', session, me, 'PX', ttl)
    redis.call('ZADD', sessions, millis + ttl, sid)
    keep(ttl)
end
