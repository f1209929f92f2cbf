/** Operations in the bytes that the commit script gets, by their first byte; see `BatchWriter`. */
export const Op = {
  /** Entries of a queue with sequences above all before them, in order. */
  putNew: 1,
  /** An entry that may replace another. */
  put: 2,
  /** States of entries whose sequences follow one another. */
  states: 3,
  /** Entries whose sequences follow one another. */
  deletes: 4,
  dropQueue: 5,
  /** A field of a session's hash. */
  field: 6,
  fieldDelete: 7,
  sessionDelete: 8,
  /** A message that several queues hold. */
  shared: 9,
  group: 10,
  groupDelete: 11,
  hashSet: 12,
  hashDelete: 13,
  /** The owner of a queue. */
  owner: 14,
  /** A message for a queue that another node may own. */
  post: 15,
  /** Messages that the owner has taken out of the mailbox of a queue. */
  taken: 16,
  /** Bytes for another node. */
  send: 17,
} as const;

/** Entries that one of `putNew`, `states` and `deletes` is about at most: Lua passes on some thousand arguments. */
export const RUN_MAX = 1_000;

/** Keys that come first in every call of the commit script; those of the operations follow. */
export const COMMIT_KEYS = 8;

/**
 * Applies a batch, or nothing: see docs/decisions/0008-redis-store.md.
 * KEYS node, messages, counts, own, groups, trash, topology, changes, others; those of a queue are entries, flight, dropped
 * and mailbox, one after the other. ARGV incarnation, number of the batch, operations, topology that its messages were
 * routed by or nothing, changes of the topology or nothing, nodes that are alive and the keys of their inboxes.
 * Returns the number of the last batch applied, and the topology. Errors that begin with FENCED or LOST are for good; after
 * STALE the messages have to be routed anew.
 */
const COMMIT = `
local node = redis.call('HMGET', KEYS[1], 'incarnation', 'batch')
if not node[1] then return redis.error_reply('LOST everything') end
if node[1] ~= ARGV[1] then return redis.error_reply('FENCED the place of this node is taken') end
local last, number = tonumber(node[2]), tonumber(ARGV[2])
if number > last + 1 then return redis.error_reply('LOST ' .. last) end
local topology = redis.call('GET', KEYS[7]) or '0'
if number > last and ARGV[4] ~= '' and ARGV[4] ~= topology then return redis.error_reply('STALE ' .. topology) end
-- also where nothing is left to do: WAIT waits for the last write of its own connection
redis.call('HSET', KEYS[1], 'batch', math.max(last, number))
if number <= last then return {last, tonumber(topology)} end

local arguments, unpack, ops = unpack, struct.unpack, ARGV[3]
local byte, sub = string.byte, string.sub

-- Redis writes a number that it is given with 17 digits, which takes it many times as long
local function text(sequence)
  return string.format('%d', sequence)
end

-- by key: by how much the bytes of a queue change
local bytes = {}
-- by id: by how much the number of entries changes that refer to a shared message, and the messages of this batch
local holders, bodies = {}, {}
-- by node: what was posted for it
local news = {}

local function account(key, members, sign)
  local size = 0
  for _, member in ipairs(members) do
    size = size + unpack('<I4', member, 12)
    if byte(member, 9) >= 128 then
      local id = sub(member, -8)
      holders[id] = (holders[id] or 0) + sign
    end
  end
  bytes[key] = (bytes[key] or 0) + sign * size
end

local function take(key, first, last)
  local members = redis.call('ZRANGE', KEYS[key], first, last, 'BYSCORE')
  if #members == 0 then return end
  local sequences = {}
  for index, member in ipairs(members) do sequences[index] = text(unpack('<d', member)) end
  redis.call('ZREMRANGEBYSCORE', KEYS[key], first, last)
  redis.call('HDEL', KEYS[key + 1], arguments(sequences))
  account(key, members, -1)
end

local function hold(member, change)
  if byte(member, 9) < 128 then return end
  local id = sub(member, -8)
  holders[id] = (holders[id] or 0) + change
end

-- the owner at this instant hears of it; one that is gone has an heir who reads the mailbox
local function post(key, queue, entry)
  local owner = redis.call('HGET', KEYS[key + 1], 'o')
  if not owner then return end
  local number = redis.call('HINCRBY', KEYS[key + 1], 'n', 1)
  local member = struct.pack('<d', number) .. entry
  redis.call('RPUSH', KEYS[key + 3], member)
  hold(member, 1)
  local told = news[owner] or {entries = {}, bodies = {}}
  news[owner] = told
  told.entries[#told.entries + 1] = struct.pack('<dI4', queue, #member) .. member
  if byte(member, 9) >= 128 then told.bodies[sub(member, -8)] = true end
end

local at, stop = 1, #ops
while at <= stop do
  local op, key
  op, key, at = unpack('<BI4', ops, at)
  if op <= 2 then
    local count
    count, at = unpack('<I4', ops, at)
    local members, scored = {}, {}
    for index = 1, count do
      local member
      member, at = unpack('<I4c0', ops, at)
      members[index] = member
      scored[2 * index - 1] = text(unpack('<d', member))
      scored[2 * index] = member
    end
    if op == 2 then take(key, scored[1], scored[1]) end
    redis.call('ZADD', KEYS[key], arguments(scored))
    account(key, members, 1)
  elseif op <= 4 then
    local first, count
    first, count, at = unpack('<dI4', ops, at)
    local last = first + count - 1
    if op == 4 then
      take(key, first, last)
    else
      local all = redis.call('ZCOUNT', KEYS[key], first, last) == count
      local changes = {}
      for sequence = first, last do
        if all or redis.call('ZCOUNT', KEYS[key], sequence, sequence) > 0 then
          changes[#changes + 1] = text(sequence)
          changes[#changes + 1] = sub(ops, at, at + 2)
        end
        at = at + 3
      end
      if #changes > 0 then redis.call('HSET', KEYS[key + 1], arguments(changes)) end
    end
  elseif op == 5 then
    bytes[key] = nil
    if redis.call('EXISTS', KEYS[key]) == 1 then
      redis.call('RENAME', KEYS[key], KEYS[key + 2])
      redis.call('SADD', KEYS[6], KEYS[key + 2])
    end
    redis.call('DEL', KEYS[key + 1])
    for _, member in ipairs(redis.call('LRANGE', KEYS[key + 3], 0, -1)) do hold(member, -1) end
    redis.call('DEL', KEYS[key + 3])
  elseif op == 6 then
    local client, field, value
    client, field, value, at = unpack('<I4c0I4c0I4c0', ops, at)
    if redis.call('HSET', KEYS[key], field, value) == 1 then redis.call('SADD', KEYS[4], client) end
  elseif op == 7 then
    local client, field
    client, field, at = unpack('<I4c0I4c0', ops, at)
    if redis.call('HDEL', KEYS[key], field) == 1 and redis.call('EXISTS', KEYS[key]) == 0 then
      redis.call('SREM', KEYS[4], client)
    end
  elseif op == 8 then
    local client
    client, at = unpack('<I4c0', ops, at)
    local will = redis.call('HGET', KEYS[key], 'w')
    redis.call('DEL', KEYS[key])
    if will then redis.call('HSET', KEYS[key], 'w', will) else redis.call('SREM', KEYS[4], client) end
  elseif op == 9 then
    local id, message
    id, message, at = unpack('<c8I4c0', ops, at)
    redis.call('HSET', KEYS[2], id, message)
    bodies[id] = message
  elseif op == 10 then
    local field, value
    field, value, at = unpack('<I4c0I4c0', ops, at)
    redis.call('HSET', KEYS[5], field, value)
  elseif op == 11 then
    local field
    field, at = unpack('<I4c0', ops, at)
    redis.call('HDEL', KEYS[5], field)
  elseif op == 12 then
    local field, value
    field, value, at = unpack('<I4c0I4c0', ops, at)
    redis.call('HSET', KEYS[key], field, value)
  elseif op == 13 then
    local field
    field, at = unpack('<I4c0', ops, at)
    redis.call('HDEL', KEYS[key], field)
  elseif op == 14 then
    local owner
    owner, at = unpack('<I4c0', ops, at)
    redis.call('HSET', KEYS[key + 1], 'o', owner)
  elseif op == 15 then
    local queue, entry
    queue, entry, at = unpack('<dI4c0', ops, at)
    post(key, queue, entry)
  elseif op == 16 then
    local count
    count, at = unpack('<I4', ops, at)
    for _, member in ipairs(redis.call('LPOP', KEYS[key + 3], count) or {}) do hold(member, -1) end
  else
    local frame
    frame, at = unpack('<I4c0', ops, at)
    redis.call('XADD', KEYS[key], '*', 'f', frame)
  end
end

for id, change in pairs(holders) do
  if redis.call('HINCRBY', KEYS[3], id, change) <= 0 then
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  end
end

for key, size in pairs(bytes) do
  if size ~= 0 then redis.call('HINCRBY', KEYS[key + 1], 'b', size) end
end

local nodes, place = ARGV[6], 1
while place <= #nodes do
  local id, inbox
  id, inbox, place = unpack('<I4c0I4', nodes, place)
  local told = news[id]
  if told then
    local frame = {}
    for body in pairs(told.bodies) do frame[#frame + 1] = body .. struct.pack('<I4', #bodies[body]) .. bodies[body] end
    redis.call('XADD', KEYS[inbox], '*', 'b', table.concat(frame), 'n', table.concat(told.entries))
  end
end

if ARGV[5] ~= '' then
  topology = redis.call('INCR', KEYS[7])
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', 10000, topology .. '-0', 'c', ARGV[5])
end
return {number, tonumber(topology)}
`;

/** The commit script; Redis refuses it whole while it is above its maxmemory. */
export const commitScript: string = `#!lua\n${COMMIT}`;

/** The same for batches that free memory or hardly need any. */
export const commitWhenFullScript: string = `#!lua flags=allow-oom\n${COMMIT}`;

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

/**
 * Takes the place of a node, and what nodes without a lease left. KEYS incarnations, nodes, then node, lease, own and
 * groups of this node, then the same four of each other node; ARGV node id, lease in ms, what others have to know of
 * the node, the lease of an earlier start of it that is known to be dead, then the ids of the others. Returns the
 * incarnation; or AGAIN when other nodes are there than those named, BUSY and its id when one is alive.
 */
export const beginScript: string = `#!lua
local others = {}
for at = 5, #ARGV do others[ARGV[at]] = true end
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
  if id ~= ARGV[1] and not others[id] then return {'AGAIN'} end
end
local lease = redis.call('GET', KEYS[4])
if lease and lease ~= ARGV[4] then return {'BUSY', ARGV[1]} end
for at = 5, #ARGV do
  if redis.call('EXISTS', KEYS[7 + 4 * (at - 5) + 1]) == 1 then return {'BUSY', ARGV[at]} end
end
for at = 5, #ARGV do
  local first = 7 + 4 * (at - 5)
  redis.call('SUNIONSTORE', KEYS[5], KEYS[5], KEYS[first + 2])
  local groups = redis.call('HGETALL', KEYS[first + 3])
  for field = 1, #groups, 2 do redis.call('HSET', KEYS[6], groups[field], groups[field + 1]) end
  redis.call('DEL', KEYS[first], KEYS[first + 2], KEYS[first + 3])
  redis.call('HDEL', KEYS[2], ARGV[at])
end
local incarnation = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[3], 'incarnation', incarnation, 'batch', 0)
redis.call('SET', KEYS[4], incarnation, 'PX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return {'OK', tostring(incarnation)}
`;

/** Keeps the place. KEYS node, lease; ARGV incarnation, lease in ms. Returns 1, 0 where another has it, -1 where nobody has. */
export const beatScript: string = `#!lua flags=allow-oom
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
if not incarnation then return -1 end
if incarnation ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
`;

/** Gives the place up. KEYS node, lease; ARGV incarnation. What is stored stays. */
export const endScript: string = `#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
return 1
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
