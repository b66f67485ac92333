-- Another state in place of the one that is there, under a token and a lineage of its own. All or nothing.
-- KEYS[1] = {tw:p}:meta
-- ARGV: 1 'state' = only while offset and lineage are those of 2 and 3 ('' = none), 'any' = in any case,
--       4 token, 5 lineage, 6 schema, 7 offset, 8 watermark ('' = none), 9 catalogue version ('' = none), 10 catalogue,
--       11 counts, 12 windows (JSON [name, text, ...]), 13 'whole' = no row stays, 'rows' = rows that are not named stay,
--       14 rows that go (JSON [row, ...]), 15 what was skipped (JSON [text, ...]; '' = stays), 16... rows that are written, whole (JSON [[row, field, text, ...], ...])
local meta = redis.pcall('HMGET', KEYS[1], 'offset', 'lineage', 'schema')
if meta.err then
  meta = {}
end
if meta[3] and (tonumber(meta[3]) or 0) > tonumber(ARGV[6]) then
  return {'schema', meta[3]}
end
if ARGV[1] == 'state' and ((meta[1] or '') ~= ARGV[2] or (meta[2] or '') ~= ARGV[3]) then
  return {'moved', meta[1] or '0'}
end
local counts, windows, gone = cjson.decode(ARGV[11]), cjson.decode(ARGV[12]), cjson.decode(ARGV[14])
if ARGV[13] == 'whole' then
  local held = redis.pcall('SMEMBERS', tag .. 'rows')
  for i = 1, held.err and 0 or #held do
    gone[#gone + 1] = held[i]
  end
end

-- What Redis refuses (no memory, no right to a command) it refuses here, before anything is changed.
local probe = tag .. 'probe'
redis.call('HSET', probe, 'a', '1')
redis.call('DEL', probe)
redis.call('SADD', probe, 'a')
redis.call('SREM', probe, 'a')
redis.call('SET', probe, 'a')
redis.call('DEL', probe)
redis.call('RPUSH', probe, 'a')
redis.call('DEL', probe)

-- The feed tells of the state that goes; its readers see the lineage, and load.
redis.call('DEL', tag .. 'changes', tag .. 'sizes', tag .. 'seq', tag .. 'counts', tag .. 'catalogue', KEYS[1])
if ARGV[13] == 'whole' then
  redis.call('DEL', tag .. 'rows')
end
for i = 1, #gone do
  redis.call('DEL', tag .. gone[i])
  redis.call('SREM', tag .. 'rows', gone[i])
end
for chunk = 16, #ARGV do
  local rows = cjson.decode(ARGV[chunk])
  for i = 1, #rows do
    local row = rows[i]
    redis.call('DEL', tag .. row[1])
    for first = 2, #row, 4000 do -- unpack is bounded by Lua's stack (8,000)
      redis.call('HSET', tag .. row[1], unpack(row, first, math.min(first + 3999, #row)))
    end
    redis.call('SADD', tag .. 'rows', row[1])
  end
end
for name, flat in pairs({seq = windows, counts = counts}) do
  for first = 1, #flat, 2000 do
    redis.call('HSET', tag .. name, unpack(flat, first, math.min(first + 1999, #flat)))
  end
end
if ARGV[15] ~= '' then
  redis.call('DEL', tag .. 'skipped')
  local skipped = cjson.decode(ARGV[15])
  for i = 1, #skipped do
    redis.call('RPUSH', tag .. 'skipped', skipped[i])
  end
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'lineage', ARGV[5], 'schema', ARGV[6])
if ARGV[7] ~= '0' then
  redis.call('HSET', KEYS[1], 'offset', ARGV[7])
end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[1], 'watermark', ARGV[8])
end
if ARGV[10] ~= '' then
  redis.call('SET', tag .. 'catalogue', ARGV[10])
  redis.call('HSET', KEYS[1], 'catalogue', ARGV[9])
end
return {'ok', ARGV[7]}
