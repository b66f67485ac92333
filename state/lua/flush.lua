-- One batch: checks first, then the feed entry, then everything else. All or nothing: no check after the first write.
-- KEYS[1] = {tw:p}:meta
-- ARGV: 1 token, 2 from, 3 to, 4 watermark ('' = none yet), 5 rows (JSON [[row, field, value, ...], ...]),
--       6 windows (JSON [source, window, ...]), 7 counts (JSON object, absolute), 8 bytes that the feed may hold,
--       9 schema, 10 catalogue version ('' = none), 11 catalogue JSON ('' = unchanged)
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'schema', 'lineage')
local schema = meta[3] or '1'
if schema ~= ARGV[9] and (tonumber(schema) or 1 / 0) > tonumber(ARGV[9]) then
  return {'schema', schema}
end
if meta[1] ~= ARGV[1] then
  return {'fenced', meta[1] or ''}
end
if (meta[2] or '0') ~= ARGV[2] then
  return {'rewound', meta[2] or '0'}
end
-- Redis went back behind the step that brought the state up to the caller's version: to be taken over again.
if schema ~= ARGV[9] then
  return {'older', schema}
end
local rows = cjson.decode(ARGV[5])
local windows = cjson.decode(ARGV[6])
local counts = cjson.decode(ARGV[7])

-- A cell that ended has the value ''; only a text with "" in it can hold one, and then each value is looked at.
local ended = string.find(ARGV[5], '""', 1, true)
if ended then -- a user who may not do what that takes is refused here, before anything is written
  redis.call('HDEL', tag .. 'probe', 'a')
  redis.call('HLEN', tag .. 'probe')
  redis.call('SREM', tag .. 'probe', 'a')
end

-- The feed entry first: Redis refuses an id that is not above the last, and then nothing else was written.
local id = ARGV[3] .. '-0'
local entry = {'from', ARGV[2], 'epoch', ARGV[1], 'watermark', ARGV[4], 'catalogue', ARGV[10], 'counts', ARGV[7],
  'rows', ARGV[5]}
-- After a rebuild or a restore: a reader that loaded before it must load anew, not go on from what it has.
if meta[4] then
  entry[#entry + 1] = 'lineage'
  entry[#entry + 1] = meta[4]
end
if ARGV[9] ~= '1' then -- an entry that names none is of the first version
  entry[#entry + 1] = 'schema'
  entry[#entry + 1] = ARGV[9]
end
redis.call('XADD', tag .. 'changes', id, unpack(entry))
redis.call('RPUSH', tag .. 'sizes', id .. ' ' .. #ARGV[5])
local held = redis.call('HINCRBY', KEYS[1], 'feed_bytes', #ARGV[5])
-- Bounded in bytes; the newest entry always stays (PROTOCOL: else a silent log's reader waits for ever).
if held > tonumber(ARGV[8]) then
  local freed, keep = 0, nil
  while held - freed > tonumber(ARGV[8]) and redis.call('LLEN', tag .. 'sizes') > 1 do
    local oldest = redis.call('LPOP', tag .. 'sizes')
    freed = freed + tonumber(string.match(oldest, ' (%d+)$'))
    keep = string.match(redis.call('LINDEX', tag .. 'sizes', 0), '^(%S+)')
  end
  if keep then
    redis.call('XTRIM', tag .. 'changes', 'MINID', keep)
    redis.call('HINCRBY', KEYS[1], 'feed_bytes', -freed)
  end
end

-- Values below 10^15 are exact as Lua numbers and print as plain digits; stocks come as strings.
local names = {}
for i = 1, #rows do
  local row = rows[i]
  local name = row[1]
  if ended then
    local kept = {name}
    for at = 2, #row, 2 do
      if row[at + 1] == '' then
        redis.call('HDEL', tag .. name, row[at])
      else
        kept[#kept + 1] = row[at]
        kept[#kept + 1] = row[at + 1]
      end
    end
    row = kept
  end
  if #row > 1 or redis.call('HLEN', tag .. name) > 0 then
    names[#names + 1] = name
  else
    redis.call('SREM', tag .. 'rows', name)
  end
  for first = 2, #row, 4000 do -- unpack is bounded by Lua's stack (8,000)
    redis.call('HSET', tag .. row[1], unpack(row, first, math.min(first + 3999, #row)))
  end
end
for first = 1, #names, 4000 do
  redis.call('SADD', tag .. 'rows', unpack(names, first, math.min(first + 3999, #names)))
end
for first = 1, #windows, 2000 do
  redis.call('HSET', tag .. 'seq', unpack(windows, first, math.min(first + 1999, #windows)))
end
for name, n in pairs(counts) do
  redis.call('HSET', tag .. 'counts', name, n)
end
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'watermark', ARGV[4])
end
if ARGV[11] ~= '' then
  redis.call('SET', tag .. 'catalogue', ARGV[11])
  redis.call('HSET', KEYS[1], 'catalogue', ARGV[10])
end
redis.call('HSET', KEYS[1], 'offset', ARGV[3])
return {'ok', ARGV[3]}
