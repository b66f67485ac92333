-- Makes ARGV[1] the owner's token and returns the whole state, in one step (PROTOCOL: acquire = load).
-- ARGV[2] = the schema version that the caller knows, ARGV[3] = the oldest that it can bring up to that one. Any other is
-- returned as it is, and not taken over; an older one keeps its version, and the caller rewrites it (migrate.lua).
local stored = redis.call('HGET', KEYS[1], 'schema')
if not stored then -- a state that names none is of the first version
  local known = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
  stored = (known[1] or known[2]) and '1' or ARGV[2]
end
local schema = tonumber(stored)
if not schema or schema > tonumber(ARGV[2]) or schema < tonumber(ARGV[3]) then
  return {'schema', stored}
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'schema', stored)
return {'ok', snapshot(tag)}
