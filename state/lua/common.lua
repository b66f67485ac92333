-- Reads the whole state of one partition: {meta, catalogue, seq, counts, {row, {field, value, ...}, ...}}.
-- KEYS[1] = {tw:p}:meta; every other key has the same tag, so the same slot.
local function snapshot(tag)
  local rows = redis.call('SMEMBERS', tag .. 'rows')
  local out = {}
  for i = 1, #rows do
    out[2 * i - 1] = rows[i]
    out[2 * i] = redis.call('HGETALL', tag .. rows[i])
  end
  return {
    redis.call('HGETALL', tag .. 'meta'),
    redis.call('GET', tag .. 'catalogue') or '',
    redis.call('HGETALL', tag .. 'seq'),
    redis.call('HGETALL', tag .. 'counts'),
    out
  }
end
local tag = string.sub(KEYS[1], 1, -5)
