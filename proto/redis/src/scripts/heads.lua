-- Reads the small fields of many records: one command of a client costs more than this whole loop.
-- KEYS: records.
local reply = {}
for _, key in ipairs(KEYS) do
  for _, text in ipairs(redis.call('HMGET', key, 'seq', 'epoch', 'seen', 'ended', 'dn', 'dh', 'vs')) do
    reply[#reply + 1] = text or ''
  end
end
return reply
