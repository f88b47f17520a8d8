/* Preloaded into a daemon under test: fdatasync and fsync do not return while the file that STUCK_WHILE names exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_while_stuck(void) {
    const char *path = getenv("STUCK_WHILE");
    while (path && access(path, F_OK) == 0) usleep(5000);
}

int fdatasync(int file) {
    wait_while_stuck();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}

int fsync(int file) {
    wait_while_stuck();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}
