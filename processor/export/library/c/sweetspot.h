/* The sweetspot processor: stereo in, one signal per driver out, through upmix, SPL limiter, filter matrix and guard.
 *
 * Plain C99, no dependency but libm (at the start, while something is faded, for a listener, and for square roots in the
 * SPL limiter), no allocation, no global state. All data of a unit are in one blob of bytes, which `sweetspot export
 * --to c` writes and sweetspot_check verifies. The caller provides the memory: sweetspot_memory gives its size,
 * sweetspot_init sets it up. sweetspot_process takes any number of samples a call; calls of whole blocks cost least.
 */
#ifndef SWEETSPOT_H
#define SWEETSPOT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SWEETSPOT_FORMAT 4u       /* version of the blob that this library reads */
#define SWEETSPOT_MAX_DRIVERS 64u
#define SWEETSPOT_MAX_SETS 256u
#define SWEETSPOT_PROGRAMS 3u     /* left, right, centre */
#define SWEETSPOT_FORMS 2u        /* the filters, the bypass */
#define SWEETSPOT_MAX_PLAIN (2u * SWEETSPOT_MAX_DRIVERS)
#define SWEETSPOT_SERIAL 32u

enum {
    SWEETSPOT_OK = 0,
    SWEETSPOT_TOO_SHORT = 1,      /* fewer bytes than the header says */
    SWEETSPOT_NOT_A_BLOB = 2,     /* other first bytes */
    SWEETSPOT_OTHER_FORMAT = 3,   /* written for another version of this library */
    SWEETSPOT_DAMAGED = 4,        /* checksum differs */
    SWEETSPOT_BAD_SIZE = 5,       /* a size or setting out of range, or sizes that contradict each other */
    SWEETSPOT_OTHER_RATE = 6,     /* the device runs at another sampling rate */
    SWEETSPOT_BAD_BLOCK = 7,      /* block is not a power of two from 16 to 4096 */
    SWEETSPOT_NO_MEMORY = 8       /* the memory given is missing, too small or not aligned to 64 bytes */
};

enum { SWEETSPOT_OFF = 0, SWEETSPOT_PROJECTION = 1, SWEETSPOT_SIMILARITY = 2, SWEETSPOT_PCA = 3,
       SWEETSPOT_LOW_LATENCY = 4, SWEETSPOT_LINEAR = 5, SWEETSPOT_SOFT_PROJECTION = 6 };

enum { SWEETSPOT_RUNNING = 0, SWEETSPOT_NOT_FINITE_IN = 1, SWEETSPOT_NOT_FINITE_OUT = 2, SWEETSPOT_OFFSET = 3 };

/* What a blob holds. */
typedef struct {
    uint32_t rate;                               /* Hz */
    uint32_t drivers, taps, sets;                /* sets: filters of the places of a bank, 1 without one */
    uint32_t delay;                              /* of the filters, samples */
    uint32_t method, window, hop, span;          /* of the upmix; span is its delay */
    float amount, decay;
    float ceiling;                               /* linear, full scale = 1 */
    float nearest;                               /* nearest that a listener may come to the device, m */
    uint32_t home;                               /* set of the default place */
    uint32_t detector_taps;                      /* of the detectors of sound pressure; 0: there are none */
    float largest[SWEETSPOT_FORMS][SWEETSPOT_PROGRAMS]; /* magnitude of each detector's response */
    uint32_t plains;                             /* filters of the bypass: plain stereo */
    unsigned char plain[SWEETSPOT_MAX_PLAIN][2]; /* side (0 left, 1 right) and driver of each, from 0 */
    unsigned char session[16];                   /* first bytes of the SHA-256 of the measurement behind the filters */
    uint32_t channels[SWEETSPOT_MAX_DRIVERS];    /* output channel of each driver, from 1 */
    float ceilings[SWEETSPOT_MAX_DRIVERS];       /* of each driver, linear, at most `ceiling` */
    float places[SWEETSPOT_MAX_SETS][3];         /* x m, y m, yaw degrees that each set is for */
    char serial[SWEETSPOT_SERIAL + 1u];
    const unsigned char *plain_at;               /* float32, [plain][tap]: the bypass */
    const unsigned char *taps_at;                /* float32, [set][program][driver][tap] */
    const unsigned char *detectors_at;           /* float32, [form][program][tap]: sound pressure over the limit */
} sweetspot_info;

typedef struct sweetspot sweetspot;

/* Verify a blob and read its contents. `rate` is the device's; 0 accepts any. */
int sweetspot_check(const void *blob, size_t bytes, uint32_t rate, sweetspot_info *info);

/* Message of a code of sweetspot_check and sweetspot_init. */
const char *sweetspot_text(int code);

/* Bytes of memory for a block size, 0 where the block is out of range. */
size_t sweetspot_memory(const sweetspot_info *info, uint32_t block);

/* Set up a processor in `memory`; NULL and an error code on failure. The blob is not needed afterwards. */
sweetspot *sweetspot_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t block, int *code);

/* Clear all past input, and a stop. */
void sweetspot_reset(sweetspot *s);

/* The next n samples: in[0] left, in[1] right, out[driver]. An output may be the same buffer as an input. */
void sweetspot_process(sweetspot *s, const float *const *in, float *const *out, uint32_t n);

/* Constant delay of upmix and guard, samples; the filters' own (info.delay) comes on top. */
uint32_t sweetspot_latency(const sweetspot *s);

/* Why the output is silent: SWEETSPOT_RUNNING or what stopped it. */
int sweetspot_stopped(const sweetspot *s);

/* Driver that stopped it, from 0; undefined while it runs. */
uint32_t sweetspot_stopper(const sweetspot *s);

/* Smallest gain of the guard since the last call, linear. */
float sweetspot_least_gain(sweetspot *s);

/* Smallest gain of the SPL limiter since the last call, linear; 1 where the blob has no detectors. */
float sweetspot_least_spl_gain(sweetspot *s);

/* Number of samples that the guard limited since the last reset. */
uint32_t sweetspot_limited(const sweetspot *s);

/* Controls; they may be called between two calls of process. Changes are crossfaded over `seconds`. */
void sweetspot_set_amount(sweetspot *s, float amount);
void sweetspot_set_gain(sweetspot *s, float gain, float seconds);
void sweetspot_set_bypass(sweetspot *s, int on, float seconds);
void sweetspot_select(sweetspot *s, uint32_t set, float seconds);
int sweetspot_changing(const sweetspot *s);

/* Follow a listener at x, y (m; ahead of the device, to its left) whose head is turned by `yaw` degrees, NAN where it
 * faces the device: the set of the nearest place takes over; 0.03 s is usual. Returns 1, or 0 if the pose cannot be followed. */
int sweetspot_set_listener(sweetspot *s, float x, float y, float yaw, float seconds);

/* The set that plays, or that takes over. */
uint32_t sweetspot_set(const sweetspot *s);

/* Whether a pose can be followed: numbers, not nearer than the device's body, at most 0.3 m outside the places. */
int sweetspot_reachable(const sweetspot_info *info, float x, float y, float yaw);

/* The set for a pose; `now` stays unless another place is nearer by 15 mm (a radian of yaw counts as 0.2 m).
 * SWEETSPOT_MAX_SETS for `now`: none plays yet. */
uint32_t sweetspot_nearest(const sweetspot_info *info, float x, float y, float yaw, uint32_t now);

#ifdef __cplusplus
}
#endif
#endif
