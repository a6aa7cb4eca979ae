/* spec_facts.h -- what the C code knows of the API, for the spec that compares
 * it with lua/api. */
#pragma once

#include <lua.h>

/* () -> a table: hooks and what each may decide, options of decisions, reasons,
 * names that are enumerated, and an object of each kind of which everything is
 * known. */
int spec_facts(lua_State *L);

/* (label) -> { text =, imap =, pop3 =, connect =, command =, login =, rcpt = },
 * how a refusal for this reason is told. */
int spec_refusal(lua_State *L);

/* (table): reads it as the checked configuration, as a worker does; true, or
 * nil and the error. */
int spec_read_configuration(lua_State *L);
