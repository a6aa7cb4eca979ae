#include "process/role.h"

#include "process/log_writer.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

void
role_ignore_signals(void)
{
    const int ignored[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};

    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        (void)signal(ignored[i], SIG_IGN);
}

void
role_open_early(void)
{
    void *frame;

    tzset();
    (void)backtrace(&frame, 1);
}

bool
role_give_up_privileges(const struct identity *identity, struct error *err)
{
    /* Changing the user clears what was hardened before, and the signal. */
    if (!privileges_harden(err) || !privileges_drop(identity, err) ||
        !privileges_harden(err))
        return false;
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 ||
           error_set(err, "death signal: %s", strerror(errno));
}

bool
role_start_log(enum log_level level, enum log_format format,
               struct log_target target, struct error *err)
{
    log_set_level(level);
    log_set_format(format);
    return log_writer_start(target, err);
}

bool
role_take_log(struct message *m)
{
    struct log_target target;
    uint64_t level = message_get_u64(m), format = message_get_u64(m);
    bool joins = message_get_u64(m) != 0;

    if (!log_target_get(&target, m, 0))
        return false;
    if (!message_is_whole(m) || level > LOG_DEBUG || format > LOG_JSON) {
        log_target_close(&target);
        return false;
    }
    log_set_level((enum log_level)level);
    log_set_format((enum log_format)format);
    log_writer_retarget(target, joins);
    return true;
}
