/**
 * Reads a window of a queue. KEYS queue, flight, messages; ARGV sequence to start behind, entries and bytes at most.
 * Returns for each entry: sequence with entry, state or an empty string, shared message or an empty string.
 */
export const readQueueScript: string = `#!lua flags=no-writes
local found, bytes, after = {}, 0, '(' .. ARGV[1]
local arguments, unpack = unpack, struct.unpack
local left, most = tonumber(ARGV[2]), tonumber(ARGV[3])
while left > 0 do
  local want = math.min(left, 128)
  local page = redis.call('ZRANGE', KEYS[1], after, '+inf', 'BYSCORE', 'LIMIT', 0, want)
  if #page == 0 then return found end
  local sequences = {}
  for index, member in ipairs(page) do sequences[index] = string.format('%d', unpack('<d', member)) end
  local states = redis.call('HMGET', KEYS[2], arguments(sequences))
  for index, member in ipairs(page) do
    bytes = bytes + unpack('<I4', member, 12)
    if #found > 0 and bytes > most then return found end
    local message = ''
    if string.byte(member, 9) >= 128 then message = redis.call('HGET', KEYS[3], string.sub(member, -8)) or '' end
    found[#found + 1] = member
    found[#found + 1] = states[index] or ''
    found[#found + 1] = message
  end
  after = '(' .. sequences[#page]
  if #page < want then return found end
  left = left - want
end
return found
`;

/** KEYS queue and flight of each queue in turn. Returns count, bytes, first and last sequence of each. */
export const summariesScript: string = `#!lua flags=no-writes
local found = {}
for at = 1, #KEYS, 2 do
  local first = redis.call('ZRANGE', KEYS[at], 0, 0, 'WITHSCORES')
  local last = redis.call('ZRANGE', KEYS[at], -1, -1, 'WITHSCORES')
  found[#found + 1] = tostring(redis.call('ZCARD', KEYS[at]))
  found[#found + 1] = redis.call('HGET', KEYS[at + 1], 'b') or '0'
  found[#found + 1] = first[2] or '0'
  found[#found + 1] = last[2] or '0'
end
return found
`;

/** Empties a part of a dropped queue. KEYS dropped queue, messages, counts, trash; ARGV entries. Returns how many are left. */
export const sweepScript: string = `#!lua flags=allow-oom
local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[1])
for at = 1, #popped, 2 do
  local entry = popped[at]
  if string.byte(entry, 9) >= 128 then
    local id = string.sub(entry, -8)
    if redis.call('HINCRBY', KEYS[3], id, -1) <= 0 then
      redis.call('HDEL', KEYS[3], id)
      redis.call('HDEL', KEYS[2], id)
    end
  end
end
local left = redis.call('ZCARD', KEYS[1])
if left == 0 then redis.call('SREM', KEYS[4], KEYS[1]) end
return left
`;
