-- Milliseconds of this server's clock.
local function now_ms()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end

-- A write that Redis allows at maxmemory; after it, it allows this script's other writes too.
local function may_write_when_full(archive)
  redis.call('HDEL', archive, 'restorer')
end

-- Run id of this process, read by the caller over the connection that this call came by.
local run = ARGV[1]

-- Seals the shard if it was opened on another process than this one.
local function check(archive, now)
  local known = redis.call('HGET', archive, 'run')
  if known ~= run and redis.call('EXISTS', archive) == 1 then
    may_write_when_full(archive)
    redis.call('HSET', archive, 'sealed', '1', 'changed', now, 'run', run)
  end
end
