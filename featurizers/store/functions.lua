#!lua name=headrace_1

-- Entity logs, format 1 (docs/reference/store-format.md).
--
-- A log is a string: 8 header bytes, then entries of `width` bytes each, in arrival order.
--   header  'H' 'R' <format> <words per entry> <u32: day of the last TTL refresh>
--   entry   word 0: event time ms * 8 + source    word 1: identity    words 2..: values
-- One call serves a whole micro-batch: its cost is what limits a shard, so the common case of one
-- new entry for a known log takes two commands and no parsing of the log.

local FORMAT = 1
local HEADER = 8
local CHECK_EVERY = 16      -- entries between two looks at whether a log should be cut
local AGREEING = 4          -- so many last entries must be newer before old ones are dropped
local INDEX_FROM = 8        -- new entries from which an index beats searching
local CHUNK_PARTS = 8       -- strings joined at a time: joining thousands copies each many times
local DAY_S = 86400
local SLACK_MS = 2 * DAY_S * 1000

-- Lua's libraries cannot be reached while a library loads: the first call binds them.
local find, sub, byte, char, floor, concat, pack, unpack_word, call
local packed_counts = {}   -- u32 by entry count

local function bind()
  find, sub, byte, char = string.find, string.sub, string.byte, string.char
  floor, concat = math.floor, table.concat
  pack, unpack_word = struct.pack, struct.unpack
  call = redis.call
  for n = 0, 1023 do packed_counts[n] = pack('<I4', n) end
end

local function time_ms(log, at)
  return floor(unpack_word('<i8', log, at) / 8)
end

-- The bytes to drop from the front of a log, and whether its size alone forced it.
local function excess(log, width, retention_ms, max_entries)
  local entries = (#log - HEADER) / width
  local drop = 0
  if entries >= max_entries then drop = entries - floor(max_entries * 3 / 4) end
  local forced = drop > 0
  if entries >= AGREEING then
    local newest = time_ms(log, #log - width + 1)
    for back = 2, AGREEING do
      newest = math.min(newest, time_ms(log, #log - back * width + 1))
    end
    local bound = newest - retention_ms
    if time_ms(log, HEADER + 1) < bound - SLACK_MS then
      while drop < entries and time_ms(log, HEADER + 1 + drop * width) < bound do
        drop = drop + 1
      end
    end
  end
  return drop * width, forced
end

-- The place (1 for the oldest) of an entry in a log by source and identity, or nil.
local function place(log, entry, width)
  local identity = sub(entry, 9, 16)
  local hit = find(log, identity, HEADER + 9, true)
  while hit do
    local offset = hit - HEADER - 9
    if offset % width == 0 and byte(log, hit - 8) % 8 == byte(entry) % 8 then
      return offset / width + 1
    end
    hit = find(log, identity, hit + 1, true)
  end
end

local function source_and_identity(log, at)
  return char(byte(log, at) % 8) .. sub(log, at + 8, at + 15)
end

local function index_of(log, width)
  local places = {}
  for at = HEADER + 1, #log, width do
    places[source_and_identity(log, at)] = (at - HEADER - 1) / width + 1
  end
  return places
end

-- The entries of `fresh` that `log` does not hold; `repeats` takes (number in the batch, place).
local function without_repeats(log, fresh, width, number, repeats)
  local count, accepted = #fresh / width, {}
  local stood = (#log - HEADER) / width
  local places = count >= INDEX_FROM and index_of(log, width)
  local seen = {}
  for i = 1, count do
    local at = (i - 1) * width + 1
    local key = source_and_identity(fresh, at)
    local entry = sub(fresh, at, at + width - 1)
    local found = seen[key]
    if not found then
      if places then found = places[key] else found = place(log, entry, width) end
    end
    if found then
      repeats[#repeats + 1] = pack('<I4I4', number + i - 1, found)
    else
      accepted[#accepted + 1] = entry
      seen[key] = stood + #accepted
    end
  end
  return concat(accepted)
end

local function refuse(key, request)
  error({err = 'HRFORMAT the log at ' .. key .. ' is not of format ' .. FORMAT
    .. ' with ' .. request.width / 8 .. ' words an entry'})
end

-- A known log, its time to live refreshed once a day; or nil.
local function stored(key, request)
  local log = call('GET', key)
  if not log then return nil end
  if (#log - HEADER) % request.width ~= 0 then refuse(key, request) end
  if sub(log, 1, HEADER) ~= request.header then
    if sub(log, 1, 4) ~= sub(request.header, 1, 4) then refuse(key, request) end
    call('SETRANGE', key, 0, request.header)
    call('PEXPIRE', key, request.ttl_ms)
  end
  return log
end

-- Appends to one log, cutting it where it is due. Returns the log as it stood, the entries that
-- were new, and whether its size alone forced a cut.
local function append_log(key, fresh, number, request, repeats)
  local width, count = request.width, #fresh / request.width
  local log = stored(key, request)
  if not log then
    if count > 1 then fresh = without_repeats(request.header, fresh, width, number, repeats) end
    call('SET', key, request.header .. fresh, 'PX', request.ttl_ms)
    return request.header, fresh, false
  end
  local stood, drop, forced = (#log - HEADER) / width, 0, false
  if floor(stood / CHECK_EVERY) ~= floor((stood + count) / CHECK_EVERY) then
    drop, forced = excess(log, width, request.retention_ms, request.max_entries)
    if drop > 0 then log = request.header .. sub(log, HEADER + 1 + drop) end
  end
  if count > 1 or place(log, fresh, width) then
    fresh = without_repeats(log, fresh, width, number, repeats)
  end
  if drop > 0 then
    call('SET', key, log .. fresh, 'PX', request.ttl_ms)
  elseif fresh ~= '' then
    call('APPEND', key, fresh)
  end
  return log, fresh, forced
end

-- One entity's part of a batch. `request` holds
--   width, retention_ms, ttl_ms, max_entries, n_read; counts: u16 per key; entries: by key.
-- Returns the first n_read logs with their headers, in pieces; the entries of each (u32); per repeat
-- its number among the batch's entries and its place (u32, u32); how many logs were cut for size.
local function append_entity(keys, first_key, n_keys, request)
  local width, counts, entries = request.width, request.counts, request.entries
  local chunks, parts, n_parts, totals, repeats = {}, {}, 0, {}, {}
  local number, cut_by_size = 0, 0
  for k = 1, n_keys do
    local low, high = byte(counts, 2 * k - 1, 2 * k)
    local count = low + 256 * high
    local fresh = sub(entries, number * width + 1, (number + count) * width)
    local log, new, forced = append_log(keys[first_key + k], fresh, number, request, repeats)
    if forced then cut_by_size = cut_by_size + 1 end
    if k <= request.n_read then
      local total = (#log + #new - HEADER) / width
      totals[k] = packed_counts[total] or pack('<I4', total)
      parts[n_parts + 1], parts[n_parts + 2] = log, new
      n_parts = n_parts + 2
      if n_parts == CHUNK_PARTS then
        chunks[#chunks + 1] = concat(parts, '', 1, n_parts)
        n_parts = 0
      end
    end
    number = number + count
  end
  if n_parts > 0 then chunks[#chunks + 1] = concat(parts, '', 1, n_parts) end
  return {chunks, concat(totals), concat(repeats), cut_by_size}
end

-- ARGV: max_entries, then per entity
-- n_keys, n_read, width, retention_ms, ttl_ms, counts, entries. KEYS: those of all entities.
local function append(keys, args)
  if not call then bind() end
  local day = pack('<I4', floor(tonumber(call('TIME')[1]) / DAY_S))
  local answer, first_key = {}, 0
  for a = 2, #args, 7 do
    local n_keys = tonumber(args[a])
    answer[#answer + 1] = append_entity(keys, first_key, n_keys, {
      max_entries = tonumber(args[1]),
      n_read = tonumber(args[a + 1]),
      width = tonumber(args[a + 2]),
      retention_ms = tonumber(args[a + 3]),
      ttl_ms = args[a + 4],
      counts = args[a + 5],
      entries = args[a + 6],
      header = 'HR' .. char(FORMAT, tonumber(args[a + 2]) / 8) .. day,
    })
    first_key = first_key + n_keys
  end
  return answer
end

redis.register_function('hr1_append', append)
