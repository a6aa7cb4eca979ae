#include "process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool
failed(struct error *err, const char *what)
{
    return error_set(err, "giving up privileges: %s: %s", what,
                     strerror(errno));
}

bool
privileges_find(const char *user, const char *group, struct identity *identity,
                struct error *err)
{
    const char *wanted = user != NULL ? user : "nobody";
    const struct passwd *passwd;
    const struct group *entry;

    *identity = (struct identity){.uid = getuid(), .gid = getgid()};
    if (geteuid() != 0)
        return true;
    passwd = getpwnam(wanted);
    if (passwd == NULL)
        return error_set(err, "user \"%s\" does not exist", wanted);
    if (passwd->pw_uid == 0)
        return error_set(err, "user \"%s\": workers never run as root", wanted);
    identity->change = true;
    identity->uid = passwd->pw_uid;
    identity->gid = passwd->pw_gid;
    if (group == NULL)
        return true;
    entry = getgrnam(group);
    if (entry == NULL)
        return error_set(err, "group \"%s\" does not exist", group);
    identity->gid = entry->gr_gid;
    return true;
}

bool
privileges_find_owner(const char *user, const char *group, uid_t *uid,
                      gid_t *gid, struct error *err)
{
    const struct passwd *passwd = user != NULL ? getpwnam(user) : NULL;
    const struct group *entry = group != NULL ? getgrnam(group) : NULL;

    *uid = (uid_t)-1;
    *gid = (gid_t)-1;
    if (user != NULL && passwd == NULL)
        return error_set(err, "user \"%s\" does not exist", user);
    if (group != NULL && entry == NULL)
        return error_set(err, "group \"%s\" does not exist", group);
    if (passwd != NULL)
        *uid = passwd->pw_uid;
    if (entry != NULL)
        *gid = entry->gr_gid;
    return true;
}

static bool
change_user(const struct identity *to, struct error *err)
{
    uid_t real, effective, saved;
    gid_t group, effective_group, saved_group;

    if (setgroups(1, &to->gid) != 0)
        return failed(err, "setgroups");
    if (setresgid(to->gid, to->gid, to->gid) != 0)
        return failed(err, "setresgid");
    if (setresuid(to->uid, to->uid, to->uid) != 0)
        return failed(err, "setresuid");

    if (getresuid(&real, &effective, &saved) != 0 || real != to->uid ||
        effective != to->uid || saved != to->uid ||
        getresgid(&group, &effective_group, &saved_group) != 0 ||
        group != to->gid || effective_group != to->gid ||
        saved_group != to->gid)
        return error_set(err, "giving up privileges: still another user");
    if (setuid(0) == 0 || seteuid(0) == 0)
        return error_set(err, "giving up privileges: root came back");
    return true;
}

/* Those that an exec could give; only root may, and only root has to. */
static bool
drop_bounding_set(struct error *err)
{
    for (unsigned long c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++) {
        if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0 && errno != EPERM)
            return failed(err, "bounding set");
    }
    return true;
}

static bool
drop_capabilities(struct error *err)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return failed(err, "ambient capabilities");
    if (syscall(SYS_capset, &header, sets) != 0)
        return failed(err, "capset");
    if (syscall(SYS_capget, &header, sets) != 0)
        return failed(err, "capget");
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        if ((sets[i].effective | sets[i].permitted | sets[i].inheritable) != 0)
            return error_set(err, "giving up privileges: capabilities stayed");
    }
    return true;
}

bool
privileges_drop(const struct identity *identity, struct error *err)
{
    if (!drop_bounding_set(err))
        return false;
    if (identity->change && !change_user(identity, err))
        return false;
    if (!drop_capabilities(err))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed(err, "no_new_privs");
    return true;
}

bool
privileges_seal_memory(struct error *err)
{
    struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set(err, "core file limit: %s", strerror(errno));
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set(err, "dumpable: %s", strerror(errno));
    return true;
}

bool
privileges_harden(struct error *err)
{
    if (!privileges_seal_memory(err))
        return false;
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return error_set(err, "SIGPIPE: %s", strerror(errno));
    return true;
}

size_t
privileges_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return (size_t)limit.rlim_cur;
}
