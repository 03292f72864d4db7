-- The version of a register. KEYS: the register's shard, the register. ARGV: id, text.
shard(1)
return { revision(), redis.call('HGET', KEYS[7], 'version') or '0000000000000000' }
