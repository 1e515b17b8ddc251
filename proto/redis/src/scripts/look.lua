-- Reads the head and who has a record.
-- KEYS: archive, workers.
local now = now_ms()
check(KEYS[1], now)
local reply = head(KEYS[1], now)
for _, incarnation in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  reply[#reply + 1] = incarnation
end
return reply
