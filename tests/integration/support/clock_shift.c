/* Preloaded into a daemon under test: shifts its wall clock by some seconds. The shift is in the file that CLOCK_SHIFT
   names, as 8 bytes in native byte order, and may change while the daemon runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static volatile int64_t *shift_seconds;

__attribute__((constructor)) static void open_shift(void) {
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY) : -1;
    void *shared = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift_seconds, PROT_READ, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) shift_seconds = shared;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int (*real)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (result == 0 && clock == CLOCK_REALTIME && shift_seconds) time->tv_sec += *shift_seconds;
    return result;
}
