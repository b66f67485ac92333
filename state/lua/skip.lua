-- A person accepts that offsets are gone from the log: the partition goes on behind them. All checks before the first
-- write. Whoever owned the partition is fenced; readers of the feed see an entry without rows.
-- KEYS[1] = {tw:p}:meta
-- ARGV: 1 new token, 2 from (the stored offset), 3 to, 4 schema, 5 what is written down (JSON)
local meta = redis.call('HMGET', KEYS[1], 'schema', 'offset', 'watermark', 'catalogue', 'lineage')
if (meta[1] or meta[2]) and tonumber(meta[1] or 1) ~= tonumber(ARGV[4]) then
  return {'schema', meta[1] or '1'}
end
if (meta[2] or '0') ~= ARGV[2] then
  return {'moved', meta[2] or '0'}
end
local counts = {}
local flat = redis.call('HGETALL', tag .. 'counts')
for i = 1, #flat, 2 do
  counts[flat[i]] = tonumber(flat[i + 1])
end
local entry = {'from', ARGV[2], 'epoch', ARGV[1], 'watermark', meta[3] or '', 'catalogue', meta[4] or '',
  'counts', cjson.encode(counts), 'rows', '[]'}
if meta[5] then
  entry[#entry + 1] = 'lineage'
  entry[#entry + 1] = meta[5]
end
if ARGV[4] ~= '1' then
  entry[#entry + 1] = 'schema'
  entry[#entry + 1] = ARGV[4]
end
local id = ARGV[3] .. '-0'
redis.call('XADD', tag .. 'changes', id, unpack(entry))
redis.call('RPUSH', tag .. 'sizes', id .. ' 2')
redis.call('HINCRBY', KEYS[1], 'feed_bytes', 2)
redis.call('RPUSH', tag .. 'skipped', ARGV[5])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'schema', ARGV[4], 'offset', ARGV[3])
return {'ok', ARGV[3]}
