-- The queues of a kind that have entries, over all shards. ARGV: id, text, kind.
local kind = ARGV[3]
local found = {}
for n = 1, #KEYS / 6 do
    shard(n)
    sweep()
    local from = '[' .. kind .. '/'
    repeat
        local member = redis.call('ZRANGEBYLEX', index, from, '(' .. kind .. '0', 'LIMIT', 0, 1)[1]
        local queue = member and string.match(member, '^' .. string.gsub(kind, '%-', '%%-') .. '/[^/]+')
        if queue then
            if #list(queue, 1) == 1 then
                found[#found + 1] = string.sub(queue, #kind + 2)
            end
            from = '[' .. queue .. '0'
        elseif member then
            from = '(' .. member
        end
    until not member
end
return found
