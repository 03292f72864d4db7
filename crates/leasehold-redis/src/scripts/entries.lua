-- A page of a queue with values. ARGV: id, text, queue, what the page comes after or '', how many.
local after = ARGV[4]
shard(1)
sweep()
local found, last = list(ARGV[3], tonumber(ARGV[5]), after ~= '' and after or nil)
local answer = { last or '' }
for _, entry in ipairs(found) do
    answer[#answer + 1] = entry.attempt
    answer[#answer + 1] = entry.order
    answer[#answer + 1] = entry.version
    answer[#answer + 1] = entry.mode
    answer[#answer + 1] = redis.call('HGET', values, entry.attempt) or ''
end
return answer
