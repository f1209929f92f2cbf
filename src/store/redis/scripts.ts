/** Lua that tells whether a retained message has expired, as aedes-persistence-redis keeps it; clocks may differ a little. */
export const EXPIRED = `
local function expired(value)
  if not value then return false end
  local ok, packet = pcall(cmsgpack.unpack, value)
  if not ok or type(packet) ~= 'table' or type(packet.messageExpiry) ~= 'number' then return false end
  local time = redis.call('TIME')
  return packet.messageExpiry <= time[1] * 1000 + time[2] / 1000 + 1000
end
`;

/** Removes a retained message that has a key of its own, if it has expired. KEYS its key. */
export const deleteExpiredScript: string = `#!lua flags=allow-oom
${EXPIRED}
if expired(redis.call('GET', KEYS[1])) then redis.call('DEL', KEYS[1]) end
return 1
`;

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

/**
 * Reads sessions. KEYS their hashes; ARGV bytes after which it stops. Returns how many it has read, at least one, and of
 * each in turn how many fields (u32) and those: first letter of the name, then length (u32) and bytes of the value. The
 * value of an inbound packet id is the id itself, as text.
 */
export const readSessionsScript: string = `#!lua flags=no-writes
local pack, byte, sub = struct.pack, string.byte, string.sub
local most, bytes, parts, read = tonumber(ARGV[1]), 0, {}, 0
for _, key in ipairs(KEYS) do
  local found = redis.call('HGETALL', key)
  parts[#parts + 1] = pack('<I4', #found / 2)
  for at = 1, #found, 2 do
    local letter, value = byte(found[at]), found[at + 1]
    if letter == 105 then value = sub(found[at], 2) end
    parts[#parts + 1] = pack('<BI4', letter, #value)
    parts[#parts + 1] = value
    bytes = bytes + #value
  end
  read = read + 1
  if bytes >= most then break end
end
return {read, table.concat(parts)}
`;

/** KEYS queue and flight of each queue in turn. Returns place, count, bytes, first and last sequence of those with entries. */
export const summariesScript: string = `#!lua flags=no-writes
local found = {}
for at = 1, #KEYS, 2 do
  local count = redis.call('ZCARD', KEYS[at])
  if count > 0 then
    found[#found + 1] = tostring((at + 1) / 2)
    found[#found + 1] = tostring(count)
    found[#found + 1] = redis.call('HGET', KEYS[at + 1], 'b') or '0'
    found[#found + 1] = redis.call('ZRANGE', KEYS[at], 0, 0, 'WITHSCORES')[2]
    found[#found + 1] = redis.call('ZRANGE', KEYS[at], -1, -1, 'WITHSCORES')[2]
  end
end
return found
`;

/** KEYS any of those here, to ask the Redis that has it. Returns its time: seconds since the epoch, and microseconds. */
export const timeScript: string = `#!lua flags=no-writes
return redis.call('TIME')
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
