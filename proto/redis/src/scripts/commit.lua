-- Carries out folds and trims if nothing that they rest on has changed.
-- KEYS: archive, workers, tombs, folds, then two per fold and per discarded record: record, values beside it.
-- ARGV: run id, expected version, new version, archive blob, count of trims, count of discarded records, trims, then four
-- per fold: incarnation, expected seq, entry of folds, tombstone blob; then the discarded incarnations.
local archive, workers, tombs, folds = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
check(archive, now_ms())
local epoch, sealed, version = unpack(redis.call('HMGET', archive, 'epoch', 'sealed', 'version'))
if not epoch or sealed ~= '0' or version ~= ARGV[2] then
  return {'conflict'}
end
local trims, discards = tonumber(ARGV[5]), tonumber(ARGV[6])
local first, folds_end = 7 + trims, #KEYS - 2 * discards
for index = 5, folds_end, 2 do
  if redis.call('HGET', KEYS[index], 'seq') ~= ARGV[first + (index - 5) * 2 + 1] then
    return {'conflict'}
  end
end
may_write_when_full(archive)
for index = 7, 6 + trims do
  redis.call('HDEL', tombs, ARGV[index])
  redis.call('HDEL', folds, ARGV[index])
end
for index = folds_end + 1, #KEYS, 2 do
  redis.call('DEL', KEYS[index], KEYS[index + 1])
  redis.call('ZREM', workers, ARGV[#ARGV - (#KEYS - index - 1) / 2])
end
for index = 5, folds_end, 2 do
  local at = first + (index - 5) * 2
  redis.call('UNLINK', KEYS[index], KEYS[index + 1])
  redis.call('ZREM', workers, ARGV[at])
  redis.call('HSET', folds, ARGV[at], ARGV[at + 2])
  redis.call('HSET', tombs, ARGV[at], ARGV[at + 3])
end
redis.call('HSET', archive, 'version', ARGV[3], 'blob', ARGV[4])
redis.call('HINCRBY', archive, 'counter', 1)
return {'committed'}
