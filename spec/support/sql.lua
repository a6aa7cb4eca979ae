--- What every database answers `moongate.sql` alike: tables, bodies of hooks (see modules.lua) that
-- ask the pool `db`, and what comes of them.
local sql = {}

sql.TABLES = [[
create table users (name text primary key, quota bigint, big bigint, ratio float8, fine boolean,
  missing text);
insert into users values ('ann', 7, 9223372036854775807, 0.5, true, null),
  ('bob', 8, 1, 2.0, false, null), ('o''hara; drop table users; --', 9, 1, 1.0, true, null);
]]

sql.BODIES = {
  row = [[ local r = assert(db:row("select * from users where name = $1", "ann"))
    return table.concat({ r.name, r.quota + 1, r.big, r.ratio, tostring(r.fine),
      tostring(r.missing) }, " ") ]],
  boolean = [[ return db:row("select fine from users where name = 'bob'").fine ]],
  none = [[ local r, err = db:row("select * from users where name = $1", "eve")
    return tostring(r) .. " " .. tostring(err) ]],
  rows = [[ local names = {}
    for i, r in ipairs(assert(db:rows "select name from users where quota < 9 order by 1")) do
      names[i] = r.name
    end
    return table.concat(names, ",") ]],
  hostile = [[ local r = assert(db:row("select quota from users where name = $1",
      "o'hara; drop table users; --"))
    return r.quota .. " " .. db:row("select count(*) as n from users").n ]],
  nul = [[ return db:row("select 1 from users where name = $1", "ann\0x") ]],
}

local TOO_LONG = "nil | sql: more than 1000 rows or 1 MiB in an answer"

--- `many` and `wide` are bodies of each database's own.
sql.EXPECTED = {
  row = "ann 8 9223372036854775807 0.5 true nil",
  boolean = "false",
  none = "nil nil",
  rows = "ann,bob",
  hostile = "9 3",
  nul = "nil | sql: a parameter has a NUL, which no text has",
  many = TOO_LONG,
  wide = TOO_LONG,
}

local function with(all, more)
  for name, text in pairs(all) do more[name] = text end
  return more
end

--- The bodies, and these.
function sql.bodies(more) return with(sql.BODIES, more) end

--- What comes of them, and of these.
function sql.expected(more) return with(sql.EXPECTED, more) end

return sql
