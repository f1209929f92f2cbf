/** Lua for a change of the topology, in the layout of topology-change.ts. */
const CHANGES = `
local function text(value)
  return struct.pack('<I4', #value) .. value
end

local function change(topology, changes, list)
  local version = redis.call('INCR', topology)
  local bytes = struct.pack('<BI4', 1, #list) .. table.concat(list)
  redis.call('XADD', changes, 'MAXLEN', '~', 10000, version .. '-0', 'c', bytes)
  return version
end
`;

/** Lua that makes a node the owner of a session and its queue. */
const TAKE = `
local function take(prefix, session, node)
  redis.call('HSET', session, 'o', node)
  local record = redis.call('HGET', session, 'r')
  if not record then return false end
  local _, _, queue = struct.unpack('<I4c0dd', record)
  local flight = prefix .. 'f:' .. string.format('%d', queue)
  if redis.call('EXISTS', flight) == 1 then redis.call('HSET', flight, 'o', node) end
  return true
end
`;

const FENCE = `
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
if not incarnation then return redis.error_reply('LOST everything') end
if incarnation ~= ARGV[1] then return redis.error_reply('FENCED the place of this node is taken') end
`;

/**
 * Takes the place of a node. KEYS incarnations, nodes, gone, topology, changes, then node, lease, inbox and interests of
 * this node; ARGV node id, lease in ms, what others have to know of the node, the lease of an earlier start of it that is
 * known to be dead. Returns the incarnation, 0 when the node is alive.
 */
export const beginScript: string = `#!lua
${CHANGES}
local lease = redis.call('GET', KEYS[7])
if lease and lease ~= ARGV[4] then return 0 end
local incarnation = redis.call('INCR', KEYS[1])
redis.call('DEL', KEYS[6], KEYS[8], KEYS[9])
redis.call('HSET', KEYS[6], 'incarnation', incarnation, 'batch', 0)
redis.call('SET', KEYS[7], incarnation, 'PX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('SREM', KEYS[3], ARGV[1])
change(KEYS[4], KEYS[5], {struct.pack('<B', 10) .. text(ARGV[1])})
return incarnation
`;

/** Keeps the place. KEYS node, lease; ARGV incarnation, lease in ms. Returns 1, 0 where another has it, -1 where nobody has. */
export const beatScript: string = `#!lua flags=allow-oom
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
if not incarnation then return -1 end
if incarnation ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
`;

/**
 * Gives the place up; what is stored stays, for whoever comes. KEYS node, lease, nodes, gone, topology, changes, inbox,
 * interests, own, groups; ARGV incarnation, node id.
 */
export const endScript: string = `#!lua flags=allow-oom
${CHANGES}
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[7], KEYS[8])
redis.call('HDEL', KEYS[3], ARGV[2])
if redis.call('EXISTS', KEYS[9], KEYS[10]) > 0 then redis.call('SADD', KEYS[4], ARGV[2]) end
change(KEYS[5], KEYS[6], {struct.pack('<B', 9) .. text(ARGV[2])})
return 1
`;

/**
 * Takes the place away from a node whose lease has ended: it cannot write any more. KEYS own node, incarnations, nodes,
 * gone, topology, changes, then node, lease, inbox, interests of the other; ARGV own incarnation, id of the other, its
 * lease if that is known to be dead, seconds to keep the note for. Returns 1, 0 where there is nothing to do.
 */
export const fenceScript: string = `#!lua flags=allow-oom
${CHANGES}
${FENCE}
local lease = redis.call('GET', KEYS[8])
if lease and lease ~= ARGV[3] then return 0 end
if redis.call('HDEL', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('DEL', KEYS[7], KEYS[8], KEYS[9], KEYS[10])
redis.call('HSET', KEYS[7], 'incarnation', redis.call('INCR', KEYS[2]))
redis.call('EXPIRE', KEYS[7], ARGV[4])
redis.call('SADD', KEYS[4], ARGV[2])
change(KEYS[5], KEYS[6], {struct.pack('<B', 9) .. text(ARGV[2])})
return 1
`;

/**
 * Takes over a part of what a node left that is not there any more. KEYS own node, nodes, gone, topology, changes, own set
 * of the other, own set, groups of the other, own groups; ARGV own incarnation, own id, id of the other, what keys begin
 * with, client ids at most, number of the call. Returns the client ids and the records of groups taken over, and whether
 * there may be more. A call that is made again, because its answer was lost, is answered as before.
 */
export const adoptScript: string = `#!lua flags=allow-oom
${CHANGES}
${TAKE}
${FENCE}
local known = redis.call('HMGET', KEYS[1], 'adopt', 'adopted')
if known[1] == ARGV[6] then return cmsgpack.unpack(known[2]) end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then return {{}, {}, 0} end
local clients, groups, moved = redis.call('SPOP', KEYS[6], ARGV[5]), {}, {}
local kept = {}
for _, client in ipairs(clients) do
  local session = ARGV[4] .. 's:' .. client
  if redis.call('HEXISTS', session, 'r') == 1 then
    take(ARGV[4], session, ARGV[2])
    moved[#moved + 1] = struct.pack('<B', 4) .. text(client) .. text(ARGV[2])
  elseif redis.call('HEXISTS', session, 'w') == 1 then
    -- a session that ended with its connection; its will is left to be published, by this node alone
    redis.call('HSET', session, 'o', ARGV[2])
  else
    redis.call('HDEL', session, 'o')
  end
  if redis.call('EXISTS', session) == 1 then
    redis.call('SADD', KEYS[7], client)
    kept[#kept + 1] = client
  end
end
local more = redis.call('EXISTS', KEYS[6])
if more == 0 then
  local all = redis.call('HGETALL', KEYS[8])
  for at = 1, #all, 2 do
    -- in place of how many members are connected: this part has none
    local record = string.sub(all[at + 1], 1, -5) .. '\\255\\255\\255\\255'
    groups[#groups + 1] = record
    moved[#moved + 1] = struct.pack('<B', 7) .. text(ARGV[2]) .. record
    redis.call('HSET', KEYS[9], all[at], record)
    redis.call('HSET', ARGV[4] .. 'f:' .. all[at], 'o', ARGV[2])
  end
  redis.call('DEL', KEYS[8])
  redis.call('SREM', KEYS[3], ARGV[3])
end
if #moved > 0 then change(KEYS[4], KEYS[5], moved) end
local answer = {kept, groups, more}
redis.call('HSET', KEYS[1], 'adopt', ARGV[6], 'adopted', cmsgpack.pack(answer))
return answer
`;

/**
 * Makes a node the owner of a client id, or asks the node that is. KEYS own node, nodes, topology, changes, own set, session;
 * ARGV own incarnation, own id, client id, what keys begin with, frame that asks for it, or nothing only to look. Returns 1
 * for the owner, 0 where it is another, which was asked.
 */
export const claimScript: string = `#!lua flags=allow-oom
${CHANGES}
${TAKE}
${FENCE}
local owner = redis.call('HGET', KEYS[6], 'o')
if owner == ARGV[2] then return 1 end
if ARGV[5] == '' then return 0 end
if owner and redis.call('HEXISTS', KEYS[2], owner) == 1 then
  redis.call('XADD', ARGV[4] .. 'inbox:' .. owner, '*', 'f', ARGV[5])
  return 0
end
if owner then redis.call('SREM', ARGV[4] .. 'own:' .. owner, ARGV[3]) end
redis.call('SADD', KEYS[5], ARGV[3])
if take(ARGV[4], KEYS[6], ARGV[2]) then
  change(KEYS[3], KEYS[4], {struct.pack('<B', 4) .. text(ARGV[3]) .. text(ARGV[2])})
end
return 1
`;

/** Puts a frame into the inbox of a node that is there. KEYS nodes, inbox; ARGV node id, frame. */
export const tellScript: string = `#!lua flags=allow-oom
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('XADD', KEYS[2], '*', 'f', ARGV[2]) end
return 1
`;

/**
 * Reads mailboxes. KEYS messages, then flight and mailbox of each queue in turn. Returns for each queue the number of the
 * last message posted, 0 for none ever, and a list of what is in it, each with its shared message or an empty string.
 */
export const mailboxesScript: string = `#!lua flags=no-writes
local found = {}
for at = 2, #KEYS, 2 do
  found[#found + 1] = tonumber(redis.call('HGET', KEYS[at], 'n') or 0)
  local list = {}
  if found[#found] > 0 then
    for _, member in ipairs(redis.call('LRANGE', KEYS[at + 1], 0, -1)) do
      list[#list + 1] = member
      local message = ''
      if string.byte(member, 9) >= 128 then message = redis.call('HGET', KEYS[1], string.sub(member, -8)) or '' end
      list[#list + 1] = message
    end
  end
  found[#found + 1] = list
end
return found
`;
