/* interpreter.h -- `moongate lua FILE ...`: the gateway's own LuaJIT with the
 * whole standard library and the gateway's modules, for specs that need the
 * real userdata. */
#pragma once

/* argv[1] is the file, the rest its arguments.  The exit status. */
int interpreter_run(int argc, char **argv);
