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

local function placed(entry, others)
    local answer = { 'placed', entry.order, entry.version }
    if others then
        answer[4] = 'all'
        for _, other in ipairs(others) do
            answer[#answer + 1] = other.attempt
            answer[#answer + 1] = other.order
            answer[#answer + 1] = other.version
            answer[#answer + 1] = other.mode
        end
    end
    return answer
end

-- Both of them, if a queue has no more than two: it costs nothing and saves the only contender a look.
local function alone(entry)
    local two = list(queue, 2)
    return placed(entry, #two == 1 and two or nil)
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
            return { 'busy' }
        end
    end
end

local order = advance()
local entry = { order = order, version = order, owner = sid, mode = mode, queue = queue, attempt = attempt }
redis.call('HSET', values, attempt, value)
redis.call('HSET', entries, attempt, order .. ' ' .. order .. ' ' .. sid .. ' ' .. mode .. ' ' .. queue)
redis.call('ZADD', index, 0, queue .. '/' .. order .. '/' .. attempt, 0, '!' .. sid .. '/e/' .. attempt)
redis.call('PUBLISH', start .. ':queue:' .. queue, '+ ' .. order .. ' ' .. attempt .. ' ' .. order .. ' ' .. mode)
if others then
    others[#others + 1] = entry
    return placed(entry, others)
end
return alone(entry)
