-- Lists this session's entries of a queue, and in front of each the one next ahead, without values. ARGV: id, text, queue.
local queue = ARGV[3]
shard(1)
sweep()
local answer = { '', next_expiry() }

local function add(entry)
    answer[#answer + 1] = entry.attempt
    answer[#answer + 1] = entry.order
    answer[#answer + 1] = entry.version
    answer[#answer + 1] = entry.mode
end

for _, own in ipairs(redis.call('ZRANGEBYLEX', index, '[!' .. sid .. '/e/', '(!' .. sid .. '/e0')) do
    local attempt = string.sub(own, #sid + 5)
    local entry = read(attempt)
    if entry and entry.owner == sid and entry.queue == queue then
        entry.attempt = attempt
        add(entry)
        local ahead
        repeat
            ahead = next_to(queue, member_of(attempt, entry), true)
            local dead = ahead and not alive(ahead.owner)
            if dead then
                bury(ahead.owner)
            end
        until not dead
        if ahead then
            add(ahead)
        end
    end
end
-- After whatever was removed here.
answer[1] = revision()
return answer
