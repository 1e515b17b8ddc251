-- The shard's head as the beginning of a reply.
local function head(archive, now)
  local fields = redis.call('HMGET', archive, 'epoch', 'sealed', 'changed', 'settling', 'counter', 'version', 'age', 'shards')
  local reply = {now}
  for index = 1, 8 do
    reply[index + 1] = fields[index] or ''
  end
  return reply
end
