/* Shifts the wall clock of the process it is preloaded into, by the nanoseconds in the file that CHAOS_CLOCK names.
   The monotonic clock goes on as ever: that is what a clock that is set does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) offset = mapped;
}

static void shift(struct timespec *when) {
    int64_t shifted = when->tv_nsec + (offset ? *offset : 0);
    int64_t seconds = shifted / 1000000000, rest = shifted % 1000000000;
    if (rest < 0) { rest += 1000000000; seconds -= 1; }
    when->tv_sec += seconds;
    when->tv_nsec = rest;
}

static int real(clockid_t clock, struct timespec *when) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) next = dlsym(RTLD_NEXT, "clock_gettime");
    return next(clock, when);
}

int clock_gettime(clockid_t clock, struct timespec *when) {
    int status = real(clock, when);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(when);
    return status;
}

int gettimeofday(struct timeval *restrict when, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (real(CLOCK_REALTIME, &now)) return -1;
    shift(&now);
    when->tv_sec = now.tv_sec;
    when->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *where) {
    struct timespec now;
    if (real(CLOCK_REALTIME, &now)) return -1;
    shift(&now);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
