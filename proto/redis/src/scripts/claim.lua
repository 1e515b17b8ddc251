-- Closes a shard for a restore, if it still is as the caller read it.
-- KEYS: archive. ARGV: run id, epoch, version, sealed, token, shards.
local archive = KEYS[1]
local now = now_ms()
check(archive, now)
local fields = redis.call('HMGET', archive, 'epoch', 'version', 'sealed')
for index = 1, 3 do
  if (fields[index] or '') ~= ARGV[index + 1] then
    return {'conflict'}
  end
end
may_write_when_full(archive)
if not fields[3] then
  redis.call('HSET', archive, 'sealed', '1', 'changed', now, 'run', run, 'counter', '0', 'shards', ARGV[6])
elseif fields[3] == '0' then
  redis.call('HSET', archive, 'sealed', '2')
end
redis.call('HSET', archive, 'restorer', ARGV[5])
return {'committed'}
