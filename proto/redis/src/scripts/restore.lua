-- Replaces a shard's contents and opens it, if the caller still holds the claim.
-- KEYS: archive, workers, tombs, folds, then two per record to write, and two per record to drop: record, values beside
-- it.
-- ARGV: run id, token, epoch, version, counter, age, shards, expiry, whether the archive is replaced, archive blob,
-- whether the tombstones are replaced, count of tombstones, count of records to write, then three per tombstone
-- (incarnation, entry of folds, blob), twelve per record to write (incarnation, fields), and the incarnations to drop.
local archive, workers, tombs, folds = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = now_ms()
check(archive, now)
if redis.call('HGET', archive, 'restorer') ~= ARGV[2] then
  return {'conflict'}
end
may_write_when_full(archive)
local tombstones, written = tonumber(ARGV[12]), tonumber(ARGV[13])
local at = 14
if ARGV[11] == '1' then
  redis.call('DEL', tombs, folds)
end
for _ = 1, tombstones do
  redis.call('HSET', folds, ARGV[at], ARGV[at + 1])
  redis.call('HSET', tombs, ARGV[at], ARGV[at + 2])
  at = at + 3
end
local names = {'seq', 'epoch', 'seen', 'ended', 'dn', 'dh', 'vs', 'worker', 'd', 'v', 'base'}
for index = 5, 4 + written * 2, 2 do
  local fields = {}
  for place, name in ipairs(names) do
    fields[place * 2 - 1] = name
    fields[place * 2] = ARGV[at + place]
  end
  redis.call('DEL', KEYS[index], KEYS[index + 1])
  redis.call('HSET', KEYS[index], unpack(fields))
  redis.call('PEXPIRE', KEYS[index], ARGV[8])
  redis.call('ZADD', workers, ARGV[at + 3], ARGV[at])
  at = at + 12
end
for index = 5 + written * 2, #KEYS, 2 do
  redis.call('DEL', KEYS[index], KEYS[index + 1])
  redis.call('ZREM', workers, ARGV[at])
  at = at + 1
end
if ARGV[9] == '1' then
  redis.call('HSET', archive, 'blob', ARGV[10])
end
redis.call('HSET', archive, 'epoch', ARGV[3], 'version', ARGV[4], 'counter', ARGV[5], 'age', ARGV[6],
  'shards', ARGV[7], 'sealed', '0', 'settling', '1', 'changed', now)
return {'committed'}
