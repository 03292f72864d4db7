-- What nobody publishes. ARGV: id, text, attempts whose entries are believed to exist. Answers when to ask again, and
-- which of them do not.
shard(1)
sweep()
local gone = { '' }
for at = 3, #ARGV do
    local entry = read(ARGV[at])
    if entry and not alive(entry.owner) then
        bury(entry.owner)
        entry = nil
    end
    if not entry then
        gone[#gone + 1] = ARGV[at]
    end
end
gone[1] = next_expiry()
return gone
