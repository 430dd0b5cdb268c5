#!lua name=headrace_join_1
-- Predictions and labels that wait for each other, in buckets by the event's day.
--
-- Keys, all with the pipeline as hash tag (prefix = "hj1:{<pipeline>}:"):
--   prefix days      hash  day -> events of that day with both a prediction and a label
--   prefix p:<day>   hash  id -> packed prediction
--   prefix l:<day>   hash  id -> packed label (rule and layout: online_learning/join_rows.py)

local CHUNK = 1000            -- fields a command takes: Lua unpacks a few thousand at most
local STAMP, VALUE_END, REVISION_END = 20, 28, 32
local FIRST, CORRECTED, AGAIN, REPEATED, SUPERSEDED = 0, 1, 2, 3, 4

-- Lua compares strings by the server's locale; stamps compare as bytes.
local function less(a, b)
  for i = 1, STAMP do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return false
end

local function grown(revision)
  local a, b, c, d = string.byte(revision, 1, 4)
  local n = ((a * 256 + b) * 256 + c) * 256 + d + 1
  return string.char(math.floor(n / 16777216) % 256, math.floor(n / 65536) % 256,
    math.floor(n / 256) % 256, n % 256)
end

local function merge(stored, new)
  local stamp, value = string.sub(new, 1, STAMP), string.sub(new, STAMP + 1, VALUE_END)
  if not stored then return new .. '\0\0\0\0' .. stamp, FIRST end
  local newest = string.sub(stored, 1, STAMP)
  local revision = string.sub(stored, VALUE_END + 1, REVISION_END)
  local origin = string.sub(stored, REVISION_END + 1)
  if value == string.sub(stored, STAMP + 1, VALUE_END) then
    local kept = less(newest, stamp) and stamp or newest
    return kept .. value .. revision .. origin, stamp == origin and AGAIN or REPEATED
  end
  if less(stamp, newest) then return stored, SUPERSEDED end
  return new .. grown(revision) .. stamp, CORRECTED
end

-- Rows of ARGV (prefix, then day, id, value for each) by day: where each row's day stands.
local function by_day(argv)
  local days, order = {}, {}
  for i = 2, #argv, 3 do
    local rows = days[argv[i]]
    if not rows then
      rows = {}
      days[argv[i]], order[#order + 1] = rows, argv[i]
    end
    rows[#rows + 1] = i
  end
  return days, order
end

-- id -> what the hash holds of it (false: nothing), for the ids of some rows.
local function fetch(key, argv, rows)
  local found = {}
  for first = 1, #rows, CHUNK do
    local ids = {}
    for r = first, math.min(first + CHUNK - 1, #rows) do ids[#ids + 1] = argv[rows[r] + 1] end
    local values = redis.call('HMGET', key, unpack(ids))
    for r, id in ipairs(ids) do found[id] = values[r] end
  end
  return found
end

local function store(key, fields)
  for first = 1, #fields, 2 * CHUNK do
    redis.call('HSET', key, unpack(fields, first, math.min(first + 2 * CHUNK - 1, #fields)))
  end
end

-- ARGV: prefix, then day, id, value for each row. Reply: false, or {prediction, label or ''}.
local function add_predictions(keys, argv)
  local prefix, replies = argv[1], {}
  local days, order = by_day(argv)
  for _, day in ipairs(order) do
    local stored = fetch(prefix .. 'p:' .. day, argv, days[day])
    local labels = fetch(prefix .. 'l:' .. day, argv, days[day])
    local fields, joined = {}, 0
    for _, i in ipairs(days[day]) do
      local id, value = argv[i + 1], argv[i + 2]
      local label = labels[id]
      if stored[id] then
        replies[(i + 1) / 3] = {stored[id], label or ''}
      else
        stored[id] = value
        fields[#fields + 1] = id
        fields[#fields + 1] = value
        if label then joined = joined + 1 end
        replies[(i + 1) / 3] = label and {value, label} or false
      end
    end
    store(prefix .. 'p:' .. day, fields)
    redis.call('HINCRBY', keys[1], day, joined)
  end
  return replies
end

-- ARGV: prefix, then day, id, label for each row. Reply: {change, label, prediction or ''}.
local function add_labels(keys, argv)
  local prefix, replies = argv[1], {}
  local days, order = by_day(argv)
  for _, day in ipairs(order) do
    local stored = fetch(prefix .. 'l:' .. day, argv, days[day])
    local predictions = fetch(prefix .. 'p:' .. day, argv, days[day])
    local fields, joined = {}, 0
    for _, i in ipairs(days[day]) do
      local id = argv[i + 1]
      local kept, change = merge(stored[id], argv[i + 2])
      if kept ~= stored[id] then
        stored[id] = kept
        fields[#fields + 1] = id
        fields[#fields + 1] = kept
      end
      local prediction = change <= AGAIN and predictions[id]
      if change == FIRST and prediction then joined = joined + 1 end
      replies[(i + 1) / 3] = {change, kept, prediction or ''}
    end
    store(prefix .. 'l:' .. day, fields)
    redis.call('HINCRBY', keys[1], day, joined)
  end
  return replies
end

local function tally(days, prefix, day)
  return {tonumber(day), redis.call('HLEN', prefix .. 'p:' .. day),
    redis.call('HLEN', prefix .. 'l:' .. day), tonumber(redis.call('HGET', days, day))}
end

-- ARGV: prefix. Reply: {day, predictions, labels, joined} for each day that is held.
local function tallies(keys, argv)
  local replies = {}
  for _, day in ipairs(redis.call('HKEYS', keys[1])) do
    replies[#replies + 1] = tally(keys[1], argv[1], day)
  end
  return replies
end

-- ARGV: prefix, then days to forget. Reply: as tallies, of those that were held.
local function drop(keys, argv)
  local replies = {}
  for i = 2, #argv do
    local day = argv[i]
    if redis.call('HEXISTS', keys[1], day) == 1 then
      replies[#replies + 1] = tally(keys[1], argv[1], day)
      redis.call('UNLINK', argv[1] .. 'p:' .. day, argv[1] .. 'l:' .. day)
      redis.call('HDEL', keys[1], day)
    end
  end
  return replies
end

redis.register_function('headrace_join_1_predictions', add_predictions)
redis.register_function('headrace_join_1_labels', add_labels)
redis.register_function{function_name = 'headrace_join_1_tallies', callback = tallies, flags = {'no-writes'}}
redis.register_function('headrace_join_1_drop', drop)
