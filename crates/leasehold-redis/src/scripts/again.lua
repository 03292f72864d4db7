-- Removes once more what this session has removed before. ARGV: id, text, attempts.
shard(1)
local ended = over()
if ended then
    return { ended }
end
for at = 3, #ARGV do
    local entry = read(ARGV[at])
    if entry then
        remove(ARGV[at], entry)
    end
end
return { 'ok' }
