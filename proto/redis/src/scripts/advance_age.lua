-- Advances the age clock if it still stands where the caller read it.
-- KEYS: archive. ARGV: run id, expected, new.
check(KEYS[1], now_ms())
local epoch, sealed, age = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'sealed', 'age'))
if not epoch or sealed ~= '0' or age ~= ARGV[2] then
  return {'conflict'}
end
may_write_when_full(KEYS[1])
redis.call('HSET', KEYS[1], 'age', ARGV[3])
return {'committed'}
