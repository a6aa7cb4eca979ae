/* main.c -- the command line. */

#include "base/log.h"
#include "lua/interpreter.h"
#include "process/control.h"
#include "process/helper.h"
#include "process/ocsp_helper.h"
#include "process/privileges.h"
#include "process/supervisor.h"
#include "process/worker.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIGURATION "/etc/moongate/moongate.lua"

/* sysexits.h has 64 for this; shells and getopt programs use 2. */
#define EXIT_USAGE 2

struct command {
    const char *name;
    int (*run)(const struct command *command, int argc, char **argv);
    const char *help; /* NULL: it has its own, or is not for people */
    int (*role)(void);
};

static const char general_help[] =
    "Usage: moongate COMMAND [OPTION...]\n"
    "\n"
    "A mail gateway whose decisions are Lua.\n"
    "\n"
    "  run       serve, in the foreground\n"
    "  check     read a configuration and everything it needs, and say what\n"
    "            is wrong with it\n"
    "  import    make a configuration of one of nginx's mail proxy\n"
    "  test      run specs of policies\n"
    "  try       show what the policies make of one login\n"
    "  replay    show what they make of logins that trace has recorded\n"
    "  console   a Lua prompt in the environment of policies\n"
    "  explain   what a name means that policies or configurations use\n"
    "  lsp       write what an editor needs to help with policies\n"
    "  lua       run a Lua file in the gateway's own interpreter\n"
    "\n"
    "Of a gateway that runs:\n"
    "  status    tell how it is\n"
    "  metrics   tell what it counts, as Prometheus reads it\n"
    "  reload    use what the configuration and policies are now\n"
    "  rollback  go back to an earlier generation of them\n"
    "  diff      tell what differs between two generations\n"
    "  who       list its sessions (also: sessions)\n"
    "  kick      end sessions\n"
    "  purge     have memoized functions of policies forget\n"
    "  trace     follow sessions: what is said, asked and decided\n"
    "\n"
    "  moongate COMMAND --help   tells more about one\n"
    "  moongate --version        tells the version\n"
    "\n"
    "Exit status: 0 done, 1 failed (the reason is on standard error),\n"
    "2 wrong usage.\n";

static const char run_help[] =
    "Usage: moongate run [-c FILE] [--env NAME]\n"
    "       moongate run --nginx FILE [-p PREFIX]\n"
    "\n"
    "Serves until it is told to stop; stays in the foreground.  Once every\n"
    "listener accepts, one line \"moongate: ready NAME=ADDRESS...\" is\n"
    "written to standard error.\n"
    "\n"
    "  -c, --config FILE   configuration (" DEFAULT_CONFIGURATION ")\n"
    "      --env NAME      lay env/NAME.lua, beside it, over it\n"
    "      --nginx FILE    serve the mail{} of this nginx.conf, as `moongate\n"
    "                      import` reads it; nothing is written\n"
    "  -p, --prefix PREFIX with --nginx: what paths of logs are relative to,\n"
    "                      as nginx's own -p; the folder of FILE if it is not\n"
    "                      given\n"
    "      --help          this text\n"
    "\n"
    "Signals:\n"
    "  TERM, QUIT, INT   stop: accept no more, end when all sessions have, or\n"
    "                    after shutdown_timeout; a second one ends at once\n"
    "  USR1              open the log file again\n"
    "  HUP               reload: serve what is in the files now, if it is "
    "right\n"
    "\n"
    "Exit status: 0 told to stop, 1 could not start, 2 wrong usage.\n";

static const char lua_help[] =
    "Usage: moongate lua FILE [ARGUMENT...]\n"
    "\n"
    "Runs a Lua file in the interpreter that policies run in, with the\n"
    "modules that they can require.  Made for the test runner.\n"
    "\n"
    "Exit status: 0 done, 1 the file raised an error, 2 wrong usage, or\n"
    "what the file calls os.exit with.\n";

static int
wrong_usage(const struct command *command)
{
    (void)fprintf(stderr, "moongate: `moongate%s%s --help` tells how\n",
                  command != NULL ? " " : "",
                  command != NULL ? command->name : "");
    return EXIT_USAGE;
}

static bool
take_option(struct config_order *order, int option, const char *value)
{
    switch (option) {
    case 'n':
        order->nginx = true;
        order->path = value;
        return true;
    case 'c':
        order->nginx = false;
        order->path = value;
        return true;
    case 'e':
        order->environment = value;
        return true;
    case 'p':
        order->prefix = value;
        return true;
    default:
        return false;
    }
}

/* Reads what run takes.  false when there is nothing more to do. */
static bool
read_options(const struct command *command, int argc, char **argv,
             struct config_order *order, int *status)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"env", required_argument, NULL, 'e'},
        {"nginx", required_argument, NULL, 'n'},
        {"prefix", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    *order = (struct config_order){.path = DEFAULT_CONFIGURATION};
    while ((option = getopt_long(argc, argv, "c:p:h", options, NULL)) != -1) {
        if (take_option(order, option, optarg))
            continue;
        if (option == 'h')
            (void)fputs(command->help, stdout);
        *status = option == 'h' ? EXIT_SUCCESS : wrong_usage(command);
        return false;
    }
    if (optind == argc)
        return true;
    (void)fprintf(stderr, "moongate: \"%s\" is one argument too many\n",
                  argv[optind]);
    *status = wrong_usage(command);
    return false;
}

static int
command_run(const struct command *command, int argc, char **argv)
{
    struct config_order order;
    int status;

    if (!read_options(command, argc, argv, &order, &status))
        return status;
    return supervisor_run(&order);
}

/* For the commands in Lua that ask for it. */
static bool
evaluate(const struct config_order *order, char **errors)
{
    struct evaluation evaluation;

    evaluation_init(&evaluation);
    bool done = configuration_evaluate(order, &evaluation, errors);
    evaluation_deinit(&evaluation);
    return done;
}

static int
command_lua(const struct command *command, int argc, char **argv)
{
    if (argc < 2) {
        (void)fputs("moongate: which file?\n", stderr);
        return wrong_usage(command);
    }
    if (strcmp(argv[1], "--help") == 0) {
        (void)fputs(command->help, stdout);
        return EXIT_SUCCESS;
    }
    return interpreter_run(argc, argv);
}

/* What is written in Lua tells its own help.  Some read keys or passwords. */
static int
command_in_lua(const struct command *command, int argc, char **argv)
{
    const char *alias = strcmp(command->name, "sessions") == 0 ? "who" : NULL;
    struct error err;

    if (privileges_seal_memory(&err))
        return interpreter_run_command(alias != NULL ? alias : command->name,
                                       argc, argv, evaluate);
    (void)fprintf(stderr, "moongate: %s\n", err.text);
    return EXIT_FAILURE;
}

/* A process that another one of ours has started. */
static int
command_role(const struct command *command, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return command->role();
}

static const struct command commands[] = {
    {"run", command_run, run_help, NULL},
    {"check", command_in_lua, NULL, NULL},
    {"lua", command_lua, lua_help, NULL},
    {"import", command_in_lua, NULL, NULL},
    {"test", command_in_lua, NULL, NULL},
    {"try", command_in_lua, NULL, NULL},
    {"replay", command_in_lua, NULL, NULL},
    {"console", command_in_lua, NULL, NULL},
    {"explain", command_in_lua, NULL, NULL},
    {"lsp", command_in_lua, NULL, NULL},
    {"status", command_in_lua, NULL, NULL},
    {"metrics", command_in_lua, NULL, NULL},
    {"reload", command_in_lua, NULL, NULL},
    {"rollback", command_in_lua, NULL, NULL},
    {"diff", command_in_lua, NULL, NULL},
    {"who", command_in_lua, NULL, NULL},
    {"sessions", command_in_lua, NULL, NULL},
    {"kick", command_in_lua, NULL, NULL},
    {"purge", command_in_lua, NULL, NULL},
    {"trace", command_in_lua, NULL, NULL},
    {"@helper", command_role, NULL, helper_run},
    {"@ocsp", command_role, NULL, ocsp_helper_run},
    {"@worker", command_role, NULL, worker_run},
    {"@control", command_role, NULL, control_run},
};

/* A descriptor that a parent closed would otherwise become a socket, and get
 * what is written to standard error. */
static bool
keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return false;
    }
    return true;
}

int
main(int argc, char **argv)
{
    if (!keep_standard_descriptors())
        return EXIT_FAILURE;
    if (argc < 2)
        return wrong_usage(NULL);
    if (strcmp(argv[1], "--version") == 0) {
        (void)puts("moongate " MOONGATE_VERSION);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)fputs(general_help, stdout);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(&commands[i], argc - 1, argv + 1);
    }
    (void)fprintf(stderr, "moongate: there is no command \"%s\"\n", argv[1]);
    return wrong_usage(NULL);
}
