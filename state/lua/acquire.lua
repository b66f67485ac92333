-- Makes ARGV[1] the owner's token and returns the whole state, in one step (PROTOCOL: acquire = load).
-- ARGV[2] = the schema version that the caller knows; a newer one is returned as it is, and not taken over.
local schema = redis.call('HGET', KEYS[1], 'schema')
if schema and tonumber(schema) > tonumber(ARGV[2]) then
  return {'schema', schema}
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'schema', ARGV[2])
return {'ok', snapshot(tag)}
