import { EXPIRED } from './scripts.ts';

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
  /** Messages for a queue that another node may own. */
  post: 15,
  /** Messages that the owner has taken out of the mailbox of a queue. */
  taken: 16,
  /** A frame for the inbox of a node. */
  send: 17,
  /** A topic filter of takers here that are no stored sessions. */
  interest: 18,
  interestDelete: 19,
  /** A client id, with its session, for another node, if it is this node's. */
  move: 20,
  /** A client id is nobody's any more, if it is this node's. */
  release: 21,
  /** A frame of QoS 0 messages for the inbox of a node, unless that is far behind. */
  sendUnlessBehind: 23,
  /** As hashDelete, if the retained message there has expired. */
  hashDeleteExpired: 22,
} as const;

/** Entries that one of `putNew`, `states` and `deletes` is about at most: Lua passes on some thousand arguments. */
export const RUN_MAX = 1_000;

/** Entries in the inbox of a node from which on it gets no QoS 0 messages. */
const INBOX_MAX = 10_000;

/** Keys that come first in every call of the commit script; those of the operations follow. */
export const COMMIT_KEYS = 12;

/**
 * Applies a batch, or nothing: see docs/decisions/0008-redis-store.md.
 * KEYS node, messages, counts, own, groups, trash, topology, changes, nodes, gone, interests, tenures, others; those of a queue are
 * entries, flight, dropped and mailbox, one after the other. ARGV incarnation, number of the batch, operations, topology
 * that its messages were routed by or nothing, changes of the topology or nothing, nodes that are there and the keys of
 * their inboxes. Returns the number of the last batch applied, the topology if this one made it, and how many QoS 0 messages
 * were not sent; or -1, the topology and the changes up to it where the messages have to be routed anew. Errors that begin with FENCED or LOST are for good.
 */
const COMMIT = `
${EXPIRED}
local node = redis.call('HMGET', KEYS[1], 'incarnation', 'batch')
-- an earlier start of this node: that it was started again is lost
if not node[1] or tonumber(node[1]) < tonumber(ARGV[1]) then return redis.error_reply('LOST everything') end
if node[1] ~= ARGV[1] then return redis.error_reply('FENCED the place of this node is taken') end
local last, number = tonumber(node[2]), tonumber(ARGV[2])
if number > last + 1 then return redis.error_reply('LOST ' .. last) end
local topology = redis.call('GET', KEYS[7]) or '0'
if number > last and ARGV[4] ~= '' and ARGV[4] ~= topology then
  return {-1, tonumber(topology), redis.call('XRANGE', KEYS[8], '(' .. ARGV[4] .. '-0', '+', 'COUNT', 1000)}
end
-- also where nothing is left to do: WAIT waits for the last write of its own connection
redis.call('HSET', KEYS[1], 'batch', math.max(last, number))
if number <= last then return {last, 0, 0} end

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
local unsent = 0
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
local function post(key, queue, entries)
  local owner = redis.call('HGET', KEYS[key + 1], 'o')
  if not owner then return end
  local number = redis.call('HINCRBY', KEYS[key + 1], 'n', #entries) - #entries
  local told = news[owner] or {entries = {}, bodies = {}}
  news[owner] = told
  for index, entry in ipairs(entries) do
    local member = struct.pack('<d', number + index) .. entry
    entries[index] = member
    hold(member, 1)
    told.entries[#told.entries + 1] = struct.pack('<dI4', queue, #member) .. member
    if byte(member, 9) >= 128 then told.bodies[sub(member, -8)] = true end
  end
  redis.call('RPUSH', KEYS[key + 3], arguments(entries))
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
    local kept = redis.call('HMGET', KEYS[key], 'w', 'o', 't')
    redis.call('DEL', KEYS[key])
    if kept[1] then redis.call('HSET', KEYS[key], 'w', kept[1]) end
    if kept[2] then redis.call('HSET', KEYS[key], 'o', kept[2], 't', kept[3] or '0') end
    if not kept[1] and not kept[2] then redis.call('SREM', KEYS[4], client) end
  elseif op == 9 then
    local id, message
    id, message, at = unpack('<c8I4c0', ops, at)
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
    local queue, count
    queue, count, at = unpack('<dI4', ops, at)
    local entries = {}
    for index = 1, count do entries[index], at = unpack('<I4c0', ops, at) end
    post(key, queue, entries)
  elseif op == 16 then
    local count
    count, at = unpack('<I4', ops, at)
    for _, member in ipairs(redis.call('LPOP', KEYS[key + 3], count) or {}) do hold(member, -1) end
  elseif op == 17 then
    local frame
    frame, at = unpack('<I4c0', ops, at)
    redis.call('XADD', KEYS[key], '*', 'f', frame)
  elseif op == 18 or op == 19 then
    local filter
    filter, at = unpack('<I4c0', ops, at)
    redis.call(op == 18 and 'SADD' or 'SREM', KEYS[11], filter)
  elseif op == 20 then
    local queue, own, inbox, client, owner, target, frame
    queue, own, inbox, client, owner, target, frame, at = unpack('<I4I4I4I4c0I4c0I4c0I4c0', ops, at)
    local present = redis.call('HEXISTS', KEYS[9], target) == 1
    -- who asks twice is answered twice, and may have handed it on by then
    if redis.call('HGET', KEYS[key], 'o') == owner then
      redis.call('HSET', KEYS[key], 'o', target, 't', redis.call('INCR', KEYS[12]))
      redis.call('SREM', KEYS[4], client)
      redis.call('SADD', KEYS[own], client)
      if queue > 0 then redis.call('HSET', KEYS[queue + 1], 'o', target) end
      if not present then redis.call('SADD', KEYS[10], target) end
    end
    if present then redis.call('XADD', KEYS[inbox], '*', 'f', frame) end
  elseif op == 21 then
    local client, owner
    client, owner, at = unpack('<I4c0I4c0', ops, at)
    if redis.call('HGET', KEYS[key], 'o') == owner then redis.call('HDEL', KEYS[key], 'o', 't') end
    if redis.call('EXISTS', KEYS[key]) == 0 then redis.call('SREM', KEYS[4], client) end
  elseif op == 23 then
    local count, frame
    count, frame, at = unpack('<I4I4c0', ops, at)
    if redis.call('XLEN', KEYS[key]) < ${INBOX_MAX} then
      redis.call('XADD', KEYS[key], '*', 'f', frame)
    else
      unsent = unsent + count
    end
  else
    local field
    field, at = unpack('<I4c0', ops, at)
    if expired(redis.call('HGET', KEYS[key], field)) then redis.call('HDEL', KEYS[key], field) end
  end
end

for id, change in pairs(holders) do
  if redis.call('HINCRBY', KEYS[3], id, change) <= 0 then
    redis.call('HDEL', KEYS[3], id)
    redis.call('HDEL', KEYS[2], id)
  elseif bodies[id] then
    redis.call('HSET', KEYS[2], id, bodies[id])
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

local made = 0
if ARGV[5] ~= '' then
  made = redis.call('INCR', KEYS[7])
  redis.call('XADD', KEYS[8], 'MAXLEN', '~', 10000, made .. '-0', 'c', ARGV[5])
end
return {number, made, unsent}
`;

/** The commit script; Redis refuses it whole while it is above its maxmemory. */
export const commitScript: string = `#!lua\n${COMMIT}`;

/** The same for batches that free memory or hardly need any. */
export const commitWhenFullScript: string = `#!lua flags=allow-oom\n${COMMIT}`;
