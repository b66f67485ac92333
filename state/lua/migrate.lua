-- Puts an upgraded state in place of the older one that its owner has just taken over: checks first, then all of it.
-- The feed stays: its entries name the version that they were written in, and readers know how to read those.
-- KEYS[1] = {tw:p}:meta
-- ARGV: 1 token, 2 offset, 3 version that is stored, 4 version that it becomes,
--       5 rows (JSON [[row, field, value, ...], ...]), 6 windows, 7 counts (JSON [name, value, ...])
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'schema')
if meta[1] ~= ARGV[1] then
  return {'fenced', meta[1] or ''}
end
if (meta[2] or '0') ~= ARGV[2] or (meta[3] or '1') ~= ARGV[3] then
  return {'rewound', meta[2] or '0'}
end
local rows = cjson.decode(ARGV[5])
local flat = { seq = cjson.decode(ARGV[6]), counts = cjson.decode(ARGV[7]) }
for _, name in ipairs(redis.call('SMEMBERS', tag .. 'rows')) do
  redis.call('DEL', tag .. name)
end
redis.call('DEL', tag .. 'rows', tag .. 'seq', tag .. 'counts')
for _, row in ipairs(rows) do
  for first = 2, #row, 4000 do
    redis.call('HSET', tag .. row[1], unpack(row, first, math.min(first + 3999, #row)))
  end
  redis.call('SADD', tag .. 'rows', row[1])
end
for name, pairs_of in pairs(flat) do
  for first = 1, #pairs_of, 4000 do
    redis.call('HSET', tag .. name, unpack(pairs_of, first, math.min(first + 3999, #pairs_of)))
  end
end
redis.call('HSET', KEYS[1], 'schema', ARGV[4])
return {'ok', ARGV[4]}
