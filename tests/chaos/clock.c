/* A wall clock that is off by CHAOS_CLOCK_S seconds, for one process: LD_PRELOAD. Monotonic clocks are left alone.
 *
 * Debian's libfaketime does not do: librdkafka waits in C11's cnd_timedwait, which it does not know, so a deadline by
 * the faked clock is waited for by the true one, and a client stands still for hours. Here every wait until a time of
 * the wall clock is translated back.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static time_t off_s;

__attribute__((constructor)) static void begin(void) {
    const char *given = getenv("CHAOS_CLOCK_S");
    off_s = given ? atol(given) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off_s;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (into) *into = at.tv_sec;
    return at.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, now) ? base : 0;
}

/* A deadline of the wall clock, as the kernel knows it; one of a monotonic clock (seconds since boot) as it is. */
static const struct timespec *true_time(const struct timespec *deadline, struct timespec *held) {
    if (!deadline || deadline->tv_sec < 1000000000) return deadline;
    *held = *deadline;
    held->tv_sec -= off_s;
    return held;
}

static void *next(const char *name) {
    /* pthread_cond_* have an older version, which dlsym may choose */
    void *found = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
    return found ? found : dlsym(RTLD_NEXT, name);
}

#define UNTIL(name, type)                                                                                         \
    int name(type *what, const struct timespec *deadline) {                                                       \
        static int (*real)(type *, const struct timespec *);                                                      \
        struct timespec held;                                                                                     \
        if (!real) real = next(#name);                                                                            \
        return real(what, true_time(deadline, &held));                                                            \
    }
#define UNTIL_WITH(name, type, with)                                                                              \
    int name(type *what, with *lock, const struct timespec *deadline) {                                           \
        static int (*real)(type *, with *, const struct timespec *);                                              \
        struct timespec held;                                                                                     \
        if (!real) real = next(#name);                                                                            \
        return real(what, lock, true_time(deadline, &held));                                                      \
    }

UNTIL(sem_timedwait, sem_t)
UNTIL(pthread_mutex_timedlock, pthread_mutex_t)
UNTIL(pthread_rwlock_timedrdlock, pthread_rwlock_t)
UNTIL(pthread_rwlock_timedwrlock, pthread_rwlock_t)
UNTIL(mtx_timedlock, mtx_t)
UNTIL_WITH(pthread_cond_timedwait, pthread_cond_t, pthread_mutex_t)
UNTIL_WITH(cnd_timedwait, cnd_t, mtx_t)
