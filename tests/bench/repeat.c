/* CPU time of many blocks in a row, nanoseconds per block, without Python in between. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double) t.tv_sec + (double) t.tv_nsec;
}

double repeat_library(void (*process)(void *, const void *, void *, uint32_t), void *state, const void *in, void *out,
                      uint32_t n, uint32_t times)
{
    const double began = now();
    for (uint32_t k = 0; k < times; k++) {
        process(state, in, out, n);
    }
    return (now() - began) / times;
}

double repeat_engine(int (*callback)(const void *, void *, unsigned long, const void *, unsigned long, void *),
                     const void *in, void *out, unsigned long n, void *user, uint32_t times)
{
    const double began = now();
    for (uint32_t k = 0; k < times; k++) {
        (void) callback(in, out, n, 0, 0ul, user);
    }
    return (now() - began) / times;
}
