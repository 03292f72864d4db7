-- Lists a queue without values. ARGV: id, text, queue.
shard(1)
sweep()
local found = list(ARGV[3], math.huge)
local answer = { revision(), next_expiry() }
for _, entry in ipairs(found) do
    answer[#answer + 1] = entry.attempt
    answer[#answer + 1] = entry.order
    answer[#answer + 1] = entry.version
    answer[#answer + 1] = entry.mode
end
return answer
