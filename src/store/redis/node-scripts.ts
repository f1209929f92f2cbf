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

/**
 * Lua that makes a node the owner of a client id, in a new tenure; and of its session and queue: tells whether there is one,
 * and whether the queue was another's.
 */
const TAKE = `
local function own(prefix, session, node)
  redis.call('HSET', session, 'o', node, 't', redis.call('INCR', prefix .. 'tenures'))
end

local function take(prefix, session, node)
  if redis.call('HGET', session, 'o') ~= node then own(prefix, session, node) end
  local record = redis.call('HGET', session, 'r')
  if not record then return false end
  local _, _, queue = struct.unpack('<I4c0dd', record)
  local flight = prefix .. 'f:' .. string.format('%d', queue)
  if redis.call('EXISTS', flight) == 0 then return true, false end
  local owner = redis.call('HGET', flight, 'o')
  redis.call('HSET', flight, 'o', node)
  return true, owner ~= node
end
`;

const FENCE = `
local incarnation = redis.call('HGET', KEYS[1], 'incarnation')
-- an earlier start of this node: that it was started again is lost
if not incarnation or tonumber(incarnation) < tonumber(ARGV[1]) then return redis.error_reply('LOST everything') end
if incarnation ~= ARGV[1] then return redis.error_reply('FENCED the place of this node is taken') end
`;

/**
 * Takes the place of a node. KEYS incarnations, nodes, gone, topology, changes, then node, lease, inbox and interests of
 * this node, and figures; ARGV node id, lease in ms, what others have to know of the node, the lease of an earlier start of it
 * that is known to be dead. Returns OK and the incarnation, or BUSY when the node is alive.
 */
export const beginScript: string = `#!lua flags=allow-oom
${CHANGES}
local lease = redis.call('GET', KEYS[7])
if lease and lease ~= ARGV[4] then return {'BUSY'} end
local incarnation = redis.call('INCR', KEYS[1])
redis.call('DEL', KEYS[6], KEYS[8], KEYS[9])
redis.call('HDEL', KEYS[10], ARGV[1])
redis.call('HSET', KEYS[6], 'incarnation', incarnation, 'batch', 0)
redis.call('SET', KEYS[7], incarnation, 'PX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('SREM', KEYS[3], ARGV[1])
change(KEYS[4], KEYS[5], {struct.pack('<B', 10) .. text(ARGV[1])})
return {'OK', tostring(incarnation)}
`;

/**
 * Keeps the place. KEYS node, lease; ARGV incarnation, lease in ms, how often this node has taken what was not its own, and
 * the number of its last batch. Returns 1, 0 where another has the place, -1 where nobody has, or where it has not come so far
 * by what is there.
 */
export const beatScript: string = `#!lua flags=allow-oom
local node = redis.call('HMGET', KEYS[1], 'incarnation', 'taken', 'batch')
if not node[1] or tonumber(node[1]) < tonumber(ARGV[1]) then return -1 end
if node[1] ~= ARGV[1] then return 0 end
if tonumber(node[2] or 0) < tonumber(ARGV[3]) or tonumber(node[3]) < tonumber(ARGV[4]) then return -1 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
`;

/**
 * Gives the place up; what is stored stays, for whoever comes. KEYS node, lease, nodes, gone, topology, changes, inbox,
 * interests, own, groups, figures; ARGV incarnation, node id.
 */
export const endScript: string = `#!lua flags=allow-oom
${CHANGES}
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[7], KEYS[8])
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HDEL', KEYS[11], ARGV[2])
if redis.call('EXISTS', KEYS[9], KEYS[10]) > 0 then redis.call('SADD', KEYS[4], ARGV[2]) end
change(KEYS[5], KEYS[6], {struct.pack('<B', 9) .. text(ARGV[2])})
return 1
`;

/**
 * Takes the number of a batch away, so that the batch is not applied any more. KEYS node; ARGV incarnation, number of the
 * batch. Returns 1, 0 where it was applied before; the same where it is asked again.
 */
export const giveUpScript: string = `#!lua flags=allow-oom
${FENCE}
local last, number = tonumber(redis.call('HGET', KEYS[1], 'batch')), tonumber(ARGV[2])
if number > last + 1 then return redis.error_reply('LOST ' .. last) end
if number > last then redis.call('HSET', KEYS[1], 'givenUp', ARGV[2]) end
-- also where nothing is left to do: WAIT waits for the last write of its own connection
redis.call('HSET', KEYS[1], 'batch', math.max(last, number))
return redis.call('HGET', KEYS[1], 'givenUp') == ARGV[2] and 1 or 0
`;

/**
 * Takes the place away from a node whose lease has ended: it cannot write any more. KEYS own node, incarnations, nodes,
 * gone, topology, changes, then node, lease, inbox, interests of the other, and figures; ARGV own incarnation, id of the other, its
 * lease if that is known to be dead, seconds to keep the note for. Returns 1, 0 where there is nothing to do.
 */
export const fenceScript: string = `#!lua flags=allow-oom
${CHANGES}
${FENCE}
local lease = redis.call('GET', KEYS[8])
if lease and lease ~= ARGV[3] then return 0 end
if redis.call('HDEL', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('DEL', KEYS[7], KEYS[8], KEYS[9], KEYS[10])
redis.call('HDEL', KEYS[11], ARGV[2])
redis.call('HSET', KEYS[7], 'incarnation', redis.call('INCR', KEYS[2]))
redis.call('EXPIRE', KEYS[7], ARGV[4])
redis.call('SADD', KEYS[4], ARGV[2])
change(KEYS[5], KEYS[6], {struct.pack('<B', 9) .. text(ARGV[2])})
return 1
`;

/**
 * Takes over a part of what a node left that is not there any more. KEYS own node, nodes, gone, topology, changes, own set
 * of the other, own set, groups of the other, own groups, what this node takes over; ARGV own incarnation, own id, id of the
 * other, what keys begin with, client ids at most, name of the call. Returns the client ids and the records of groups taken
 * over, whether there may be more, and how often this node has taken something; the same for a call that is made again, as its
 * answer may have been lost.
 */
export const adoptScript: string = `#!lua flags=allow-oom
${CHANGES}
${TAKE}
${FENCE}
local isAgain = redis.call('LINDEX', KEYS[10], 0) == ARGV[6]
local isBack = redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1
if isBack and not isAgain then return {{}, {}, 0, 0} end
local clients, fields = {}, {}
if isAgain then
  for at, one in ipairs(redis.call('LRANGE', KEYS[10], 0, -1)) do
    local list = string.byte(one) == 99 and clients or fields
    if at > 1 then list[#list + 1] = string.sub(one, 2) end
  end
else
  redis.call('HINCRBY', KEYS[1], 'taken', 1)
  redis.call('DEL', KEYS[10])
  redis.call('RPUSH', KEYS[10], ARGV[6])
  clients = redis.call('SPOP', KEYS[6], ARGV[5])
  for _, client in ipairs(clients) do redis.call('RPUSH', KEYS[10], 'c' .. client) end
end
local kept, moved = {}, {}
for _, client in ipairs(clients) do
  local session = ARGV[4] .. 's:' .. client
  if redis.call('HEXISTS', session, 'r') == 1 then
    take(ARGV[4], session, ARGV[2])
    moved[#moved + 1] = struct.pack('<B', 4) .. text(client) .. text(ARGV[2])
  elseif redis.call('HEXISTS', session, 'w') == 1 then
    -- a session that ended with its connection; its will is this node's to publish, and the client id until then
    own(ARGV[4], session, ARGV[2])
  else
    redis.call('HDEL', session, 'o', 't')
  end
  if redis.call('EXISTS', session) == 1 then
    redis.call('SADD', KEYS[7], client)
    kept[#kept + 1] = client
  end
end
local more = isBack and 0 or redis.call('EXISTS', KEYS[6])
if more == 0 and not isBack then
  local all = redis.call('HGETALL', KEYS[8])
  for at = 1, #all, 2 do
    -- in place of how many members are connected: this part has none
    local record = string.sub(all[at + 1], 1, -5) .. '\\255\\255\\255\\255'
    redis.call('HSET', KEYS[9], all[at], record)
    moved[#moved + 1] = struct.pack('<B', 7) .. text(ARGV[2]) .. record
    redis.call('HSET', ARGV[4] .. 'f:' .. all[at], 'o', ARGV[2])
    redis.call('RPUSH', KEYS[10], 'g' .. all[at])
    fields[#fields + 1] = all[at]
  end
  redis.call('DEL', KEYS[8])
  redis.call('SREM', KEYS[3], ARGV[3])
end
if #moved > 0 then change(KEYS[4], KEYS[5], moved) end
local groups = {}
for _, field in ipairs(fields) do groups[#groups + 1] = redis.call('HGET', KEYS[9], field) end
return {kept, groups, more, tonumber(redis.call('HGET', KEYS[1], 'taken') or 0)}
`;

/**
 * Makes a node the owner of a client id, or asks the node that is, once in each of its tenures: the question goes with the
 * tenure it is for, so that one that is late changes nothing. KEYS own node, nodes, topology, changes, own set, session; ARGV
 * own incarnation, own id, client id, what keys begin with, frame that asks for it, whom was asked before. Returns 1, the
 * tenure and how often this node has taken something for the owner; 0 and whom was asked.
 */
export const claimScript: string = `#!lua flags=allow-oom
${CHANGES}
${TAKE}
${FENCE}
local owner = redis.call('HGET', KEYS[6], 'o')
local isOurs = owner == ARGV[2]
if owner and not isOurs and redis.call('HEXISTS', KEYS[2], owner) == 1 then
  local tenure = redis.call('HGET', KEYS[6], 't') or '0'
  -- one that was started again has lost the question
  local asked = tenure .. ':' .. (redis.call('HGET', ARGV[4] .. 'node:' .. owner, 'incarnation') or '')
  if asked ~= ARGV[6] then
    redis.call('XADD', ARGV[4] .. 'inbox:' .. owner, '*', 'f', ARGV[5] .. struct.pack('<d', tenure))
  end
  return {0, asked}
end
local taken = isOurs and redis.call('HGET', KEYS[1], 'taken') or redis.call('HINCRBY', KEYS[1], 'taken', 1)
if owner and not isOurs then redis.call('SREM', ARGV[4] .. 'own:' .. owner, ARGV[3]) end
redis.call('SADD', KEYS[5], ARGV[3])
-- a client id may have come here without its queue: whoever had it may not have known of the session
local isStored, isNews = take(ARGV[4], KEYS[6], ARGV[2])
if isStored and (isNews or not isOurs) then
  change(KEYS[3], KEYS[4], {struct.pack('<B', 4) .. text(ARGV[3]) .. text(ARGV[2])})
end
return {1, redis.call('HGET', KEYS[6], 't') or '0', tonumber(taken or 0)}
`;

/**
 * Tells the figures of a node and reads those of all. KEYS own node, nodes, figures; ARGV own incarnation, own id, figures.
 * Returns the id of each node that is there, and in turn what it has told, or an empty string.
 */
export const figuresScript: string = `#!lua flags=allow-oom
${FENCE}
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
local told = {}
for _, node in ipairs(redis.call('HKEYS', KEYS[2])) do
  told[#told + 1] = node
  told[#told + 1] = redis.call('HGET', KEYS[3], node) or ''
end
return told
`;

/** Puts a frame into the inbox of a node that is there. KEYS nodes, inbox; ARGV node id, frame. */
export const tellScript: string = `#!lua flags=allow-oom
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('XADD', KEYS[2], '*', 'f', ARGV[2]) end
return 1
`;

/** How far a node has to read to know all there is. KEYS inbox, topology. Returns the id of the last entry and the version. */
export const progressScript: string = `#!lua flags=no-writes
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {last and last[1] or '0-0', tonumber(redis.call('GET', KEYS[2]) or 0)}
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
