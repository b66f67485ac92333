-- The whole state with the feed's book-keeping, in one step; a key of another type is named, and is no error.
-- ARGV[1] = a token that becomes the owner in the same step ('' = read only), ARGV[2] = the schema that the caller knows.
local odd = {}
local function held(command, name, ...)
  local found = redis.pcall(command, tag .. name, ...)
  if type(found) == 'table' and found.err then
    odd[#odd + 1] = name
    return {}
  end
  return found
end

local meta = held('HGETALL', 'meta')
for i = 1, #meta, 2 do
  if meta[i] == 'schema' and (tonumber(meta[i + 1]) or 0) > tonumber(ARGV[2]) then
    return {'schema', meta[i + 1]}
  end
end
if ARGV[1] ~= '' and #odd == 0 then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
end
local catalogue = held('GET', 'catalogue')
if type(catalogue) ~= 'string' then
  catalogue = ''
end
local names = held('SMEMBERS', 'rows')
local rows = {}
for i = 1, #names do
  rows[2 * i - 1] = names[i]
  rows[2 * i] = held('HGETALL', names[i])
end
local first, last = held('XRANGE', 'changes', '-', '+', 'COUNT', 1), held('XREVRANGE', 'changes', '+', '-', 'COUNT', 1)
local length = held('XLEN', 'changes')
local feed = {
  type(length) == 'number' and length or 0, first[1] and first[1][1] or '', last[1] and last[1][1] or '',
  held('LRANGE', 'sizes', 0, -1)
}
local windows, counts = held('HGETALL', 'seq'), held('HGETALL', 'counts')
return {'ok', {meta, catalogue, windows, counts, rows}, feed, held('LRANGE', 'skipped', 0, -1), odd}
