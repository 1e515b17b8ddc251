-- Decides and carries out one push, as metrifold_session::accept says.
-- KEYS: record, workers, archive, tombs, folds; of a source with very many slots also where its values are kept beside
-- the record, and where those of this push were put.
local key, workers, archive, tombs, folds, beside, stage = unpack(KEYS)
local shards, sources_max, expiry = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local incarnation, seq, acked, named, refusal = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local from, count, hashes, chunk = tonumber(ARGV[10]), tonumber(ARGV[11]), ARGV[12], ARGV[13]
local payload, values, base, worker, ended, refused_values = ARGV[14], ARGV[15], ARGV[16], ARGV[17], ARGV[18], ARGV[19]

local brings_values = payload == 'values' or payload == 'staged'

local now = now_ms()
local epoch, sealed, opened_with, opened_on = unpack(redis.call('HMGET', archive, 'epoch', 'sealed', 'shards', 'run'))
if opened_on ~= run then
  check(archive, now)
  return {'sealed'}
end
if not epoch or sealed ~= '0' then
  return {'sealed'}
end
if opened_with ~= shards then
  return {'shards', opened_with}
end
if refusal ~= '' then
  return {'refused', refusal}
end

local known, had_ended, known_count, known_hash = unpack(redis.call('HMGET', key, 'seq', 'ended', 'dn', 'dh'))
local has_record = known and true
local fold = redis.call('HGET', folds, incarnation)
if fold then
  local folded = string.sub(fold, 1, 20)
  if not known or folded > known then
    known = folded
  end
end
if known then
  if seq < known then
    return {'behind', known}
  end
  if seq == known or (not has_record and string.sub(fold, 21) == '1') then
    return {'ok', epoch}
  end
elseif payload ~= 'hello' and (named == '' or named == epoch) then
  return {'expired'}
end
if payload == 'unchanged' and acked ~= known then
  return {'values'}
end

-- What the source goes on from: its record, else its tombstone, else nothing.
local tomb_descriptors, tomb_values
if not has_record then
  if fold then
    local tomb = redis.call('HGET', tombs, incarnation)
    if string.sub(tomb, 1, 2) ~= 'T\1' then
      return redis.error_reply('ERR a tombstone has a format that this script does not know')
    end
    local worker_bytes, descriptor_bytes, value_bytes, tomb_count = struct.unpack('<I4I4I4I4', tomb, 29)
    known_count, known_hash = tomb_count, string.sub(tomb, 45, 52)
    local at = 53 + worker_bytes
    tomb_descriptors = string.sub(tomb, at, at + descriptor_bytes - 1)
    tomb_values = string.sub(tomb, at + descriptor_bytes, at + descriptor_bytes + value_bytes - 1)
  else
    known_count, known_hash = 0, '\0\0\0\0\0\0\0\0'
  end
end
known_count = tonumber(known_count)

-- `hashes` has the hash of every beginning of the source's list from `from` on: one of them must be what is known.
local place = (known_count - from) * 8
if place < 0 or known_count > count or string.sub(hashes, place + 1, place + 8) ~= known_hash then
  return {'descriptors'}
end
if refused_values ~= '' then
  return {'refused', refused_values}
end
if not known and redis.call('ZCARD', workers) + redis.call('HLEN', tombs) >= sources_max then
  return {'refused', '1'}
end

local fields = {'seq', seq, 'epoch', epoch, 'seen', now, 'worker', worker}
local function set(field, value)
  fields[#fields + 1] = field
  fields[#fields + 1] = value
end
set('ended', (ended == '1' or had_ended == '1') and '1' or '0')
if brings_values then
  set('v', values)
  set('vs', seq)
elseif not has_record then
  set('vs', seq)
  if tomb_values then
    set('v', tomb_values)
  end
end
-- Equal `vs` promises equal values, base and worker.
if has_record and not brings_values and redis.call('HGET', key, 'worker') ~= worker then
  set('vs', seq)
end
if not has_record then
  local former = tomb_values or base
  if former ~= '' then
    set('base', former)
  end
end
if count > known_count or not has_record then
  local descriptors = ''
  if has_record then
    descriptors = from > 0 and redis.call('HGET', key, 'd') or ''
  else
    descriptors = (from > 0 or count == known_count) and tomb_descriptors or ''
  end
  if count > known_count then
    descriptors = descriptors .. chunk
  end
  set('d', descriptors)
  set('dn', count)
  set('dh', string.sub(hashes, -8))
end
-- Nothing is written before this, so that values which have gone again are simply asked for.
if payload == 'staged' and redis.pcall('RENAME', stage, beside).err then
  return {'values'}
end
redis.call('HSET', key, unpack(fields))
redis.call('PEXPIRE', key, expiry)
if beside then
  redis.call('PEXPIRE', beside, expiry)
end
redis.call('ZADD', workers, now, incarnation)
return {'ok', epoch}
