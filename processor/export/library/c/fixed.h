/* The processor in fixed point: Q31 samples, 64-bit sums, no float while it runs.
 *
 * It plays the linear three-program form, C = a (L + R), with a = amount / 2 of the blob (a = 0 where its upmix is off):
 * the adaptive upmix and the look-ahead guard need the range of floats. Outputs stop at the ceiling. Headroom: filters
 * are scaled by a power of two so that no sum of products passes 63 bits for any full-scale input; inputs need none.
 * Latency: none but the filters' own. Cost: programs x drivers x taps multiply-accumulates of 32 x 32 -> 64 bits a sample.
 */
#ifndef SWEETSPOT_FIXED_H
#define SWEETSPOT_FIXED_H

#include "sweetspot.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sweetspot_fixed sweetspot_fixed;

/* Bytes of memory; the block size of the other form has no meaning here. */
size_t sweetspot_fixed_memory(const sweetspot_info *info);

/* Lay it out and bring set `set` of the blob to Q31; NULL and a code where that can't be. */
sweetspot_fixed *sweetspot_fixed_init(void *memory, size_t bytes, const sweetspot_info *info, uint32_t set, int *code);

void sweetspot_fixed_reset(sweetspot_fixed *s);

/* The next n samples, Q31: in[0] left, in[1] right, out[driver]. */
void sweetspot_fixed_process(sweetspot_fixed *s, const int32_t *const *in, int32_t *const *out, uint32_t n);

/* Power of two by which the filters were scaled down, which each output is scaled up by. */
uint32_t sweetspot_fixed_shift(const sweetspot_fixed *s);

#ifdef __cplusplus
}
#endif
#endif
