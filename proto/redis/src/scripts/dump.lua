-- Reads the whole shard in one step.
-- KEYS: archive, tombs, then two per record: record, values beside it.
local now = now_ms()
check(KEYS[1], now)
local reply = head(KEYS[1], now)
reply[#reply + 1] = redis.call('HGET', KEYS[1], 'blob') or ''
local tombs = redis.call('HGETALL', KEYS[2])
reply[#reply + 1] = tostring(#tombs / 2)
for _, text in ipairs(tombs) do
  reply[#reply + 1] = text
end
for index = 3, #KEYS, 2 do
  local fields = redis.call('HMGET', KEYS[index], 'seq', 'epoch', 'seen', 'ended', 'dn', 'dh', 'vs', 'worker', 'd', 'v', 'base')
  if fields[10] == '@' then
    fields[10] = redis.call('GET', KEYS[index + 1]) or '@'
  end
  for field = 1, 11 do
    reply[#reply + 1] = fields[field] or ''
  end
end
return reply
