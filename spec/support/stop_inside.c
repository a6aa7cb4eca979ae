/* stop_inside.c -- preloaded into a gateway, stops one of its workers while it
 * has the lock of a shared table, when told to.  The file that $STOP_INSIDE
 * names is two numbers of 32 bits: where to stop next, which a worker that does
 * so takes for itself, and its process. */
#include "preload.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

enum place { NOWHERE, WITH_THE_LOCK, BEFORE_A_COMMIT, AFTER_A_COMMIT };

static int32_t *told;

static void
pass(int32_t place)
{
    if (told == NULL ||
        !__atomic_compare_exchange_n(&told[0], &place, NOWHERE, 0,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        return;
    __atomic_store_n(&told[1], getpid(), __ATOMIC_SEQ_CST);
    raise(SIGSTOP);
}

int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    int rc = real(mutex);
    if (rc == 0)
        pass(WITH_THE_LOCK);
    return rc;
}

int
mdb_txn_commit(void *txn)
{
    static int (*real)(void *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "mdb_txn_commit");
    pass(BEFORE_A_COMMIT);
    int rc = real(txn);
    pass(AFTER_A_COMMIT);
    return rc;
}

__attribute__((constructor)) static void
begin(void)
{
    told = preload_map("STOP_INSIDE", 8);
}
