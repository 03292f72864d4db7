-- Creates an entry. ARGV: id, text, queue, attempt, mode, value, '1' if only if it is free.
local queue, attempt, mode, value, only_if_free = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7] == '1'
shard(1)
local ended = over()
if ended then
    return { ended }
end
if redis.call('HEXISTS', entries, '!' .. attempt) == 1 then
    return { 'withdrawn' }
end
-- A key of another type is noticed here, before anything is written.
redis.call('HEXISTS', values, attempt)
sweep()

-- The answer, and after it the contenders.
local function with(answer, contenders)
    answer[#answer + 1] = 'all'
    for _, contender in ipairs(contenders) do
        answer[#answer + 1] = contender.attempt
        answer[#answer + 1] = contender.order
        answer[#answer + 1] = contender.version
        answer[#answer + 1] = contender.mode
    end
    return answer
end

local function placed(entry)
    return { 'placed', entry.order, entry.version }
end

-- Who is alone learns so at once: it costs nothing and saves a look.
local function alone(entry)
    local two = list(queue, 2)
    return #two == 1 and with(placed(entry), two) or placed(entry)
end

local there = read(attempt)
if there and there.queue == queue then
    return alone(there)
end

local others
if only_if_free then
    if mode == 'x' then
        others = list(queue, 1)
        if #others > 0 then
            return { 'busy' }
        end
    else
        others = list(queue, math.huge)
        local count, limit = string.match(mode, '^p(%d+)of(%d+)')
        local taken = tonumber(count or '0')
        for _, other in ipairs(others) do
            if not limit then
                if other.mode ~= 's' then
                    return { 'busy' }
                end
            else
                -- Whoever has another idea of what the queue is for takes all permits.
                local theirs, of = string.match(other.mode, '^p(%d+)of(%d+)')
                taken = taken + tonumber(of == limit and theirs or limit)
            end
        end
        if limit and taken > tonumber(limit) then
            return with({ 'busy' }, others)
        end
    end
end

local order = advance()
local entry = { order = order, version = order, owner = sid, mode = mode, queue = queue, attempt = attempt }
redis.call('HSET', values, attempt, value)
redis.call('HSET', entries, attempt, order .. ' ' .. order .. ' ' .. sid .. ' ' .. mode .. ' ' .. queue)
local member = member_of(attempt, entry)
redis.call('ZADD', index, 0, member, 0, '!' .. sid .. '/e/' .. attempt)
-- Told before anything else is removed: what is published of one queue is in the order of its numbers.
local put = '+ ' .. order .. ' ' .. attempt .. ' ' .. order .. ' ' .. mode
redis.call('PUBLISH', start .. ':queue:' .. queue, put)
tell_owner(entry, put .. '\n' .. who_is_ahead(order, attempt, queue, member))
if others then
    others[#others + 1] = entry
    return with(placed(entry), others)
end
return alone(entry)
