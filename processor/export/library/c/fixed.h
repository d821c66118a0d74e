/* The processor in fixed point: Q31 samples in and out, 64-bit sums, no float while it runs.
 *
 * The same parts as in floats, by the same rules: upmix, SPL limiter, filters of all sets, bypass, gain, crossfade
 * and guard. Headroom: inputs need none; programs have 6 dB (Q30); the drivers' signals before the guard have as many
 * bits as no input can pass, which sweetspot_fixed_headroom tells. Filters are convolved directly: per sample,
 * programs x drivers x taps multiply-accumulates of 32 x 32 -> 64 bits, twice as many while sets change. Tables are
 * made at the start, in double.
 */
#ifndef SWEETSPOT_FIXED_H
#define SWEETSPOT_FIXED_H

#include "sweetspot.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sweetspot_fixed sweetspot_fixed;

/* Bytes of memory for pieces of at most `block` samples, 0 where the block is out of range. */
size_t sweetspot_fixed_memory(const sweetspot_info *info, uint32_t block);

/* Lay it out and bring the blob to Q31; NULL and an error code on failure. */
sweetspot_fixed *sweetspot_fixed_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t block, int *code);

void sweetspot_fixed_reset(sweetspot_fixed *s);

/* The next n samples, Q31: in[0] left, in[1] right, out[driver]. An output may be the same buffer as an input. */
void sweetspot_fixed_process(sweetspot_fixed *s, const int32_t *const *in, int32_t *const *out, uint32_t n);

/* Bits of headroom before the guard: its samples have a resolution of 2^(bits - 31) of full scale. */
uint32_t sweetspot_fixed_headroom(const sweetspot_fixed *s);

/* As in sweetspot.h; a sample is always a number, so that only an offset stops it. */
uint32_t sweetspot_fixed_latency(const sweetspot_fixed *s);
int sweetspot_fixed_stopped(const sweetspot_fixed *s);
uint32_t sweetspot_fixed_stopper(const sweetspot_fixed *s);
uint32_t sweetspot_fixed_limited(const sweetspot_fixed *s);
int32_t sweetspot_fixed_least_gain(sweetspot_fixed *s); /* Q31, since the last call */
int32_t sweetspot_fixed_least_spl_gain(sweetspot_fixed *s);

/* Controls between two calls of process; amount and gain in Q31 (0 to 1), fades in samples. The set for a listener is
 * sweetspot_nearest's, which computes in float. */
void sweetspot_fixed_set_amount(sweetspot_fixed *s, int32_t amount);
void sweetspot_fixed_set_gain(sweetspot_fixed *s, int32_t gain, uint32_t samples);
void sweetspot_fixed_set_bypass(sweetspot_fixed *s, int on, uint32_t samples);
void sweetspot_fixed_select(sweetspot_fixed *s, uint32_t set, uint32_t samples);
int sweetspot_fixed_changing(const sweetspot_fixed *s);

#ifdef __cplusplus
}
#endif
#endif
