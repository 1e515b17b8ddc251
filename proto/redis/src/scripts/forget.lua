-- Takes a source whose record expired out of the list.
-- KEYS: workers, record. ARGV: run id, incarnation.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return {tostring(redis.call('ZREM', KEYS[1], ARGV[2]))}
end
return {'0'}
