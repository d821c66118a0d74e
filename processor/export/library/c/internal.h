/* Internal header of the library. */
#ifndef SWEETSPOT_INTERNAL_H
#define SWEETSPOT_INTERNAL_H

#include "sweetspot.h"

/* Samples that are computed side by side: the compiler's own vector type where it has one, else one; with
 * SWEETSPOT_SCALAR always one, for processors without vectors. */
#if defined(__GNUC__) && !defined(SWEETSPOT_SCALAR)
#define SS_VECTORS 1
#else
#define SS_VECTORS 0
#endif
#if !SS_VECTORS
#define SS_LANES 1u
typedef float ss_lanes;
#else
#if defined(__AVX512F__)
#define SS_LANES 16u
#elif defined(__AVX__)
#define SS_LANES 8u
#else
#define SS_LANES 4u
#endif
typedef float ss_lanes __attribute__((vector_size(4u * SS_LANES), may_alias));
#endif

/* Spectra beside each sample's: with fused multiply-adds 2 (re, im), else 3 (re, re + im, im - re), see matrix.c. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define SS_FUSED 1
#define SS_TRIPLE 2u
#else
#define SS_FUSED 0
#define SS_TRIPLE 3u
#endif

/* Loops of constant width are worth unrolling and inlining, whatever the rest is built with; other compilers ignore it. */
#if defined(__GNUC__)
#define SS_INLINE static inline
#else
#define SS_INLINE static inline
#endif
#if SS_VECTORS && !defined(__clang__)
#define SS_FAST _Pragma("GCC optimize(\"O3\")")
#else
#define SS_FAST
#endif

/* Allocator of the caller's memory in pieces aligned to 64 bytes; with base NULL it only counts. */
typedef struct {
    unsigned char *base;
    size_t used;
} ss_arena;

float *ss_take(ss_arena *arena, size_t floats);

/* Transform of `size` complex values (a power of two), planar, in an order of its own that ss_inverse starts from. */
typedef struct {
    uint32_t size, rows, columns;
    float *turn;      /* exp(j pi n / 2 size) */
    float *between;   /* [column][row], exp(j 2 pi row column / size), rows in the order that they come out */
    float *by_rows;   /* exp(j 2 pi k / rows) */
    float *by_columns;
    float *scratch;
} ss_fft;

void ss_fft_layout(ss_fft *fft, ss_arena *arena, uint32_t size);
void ss_fft_tables(ss_fft *fft);
void ss_forward(const ss_fft *fft, const float *first, const float *second, float *re, float *im);
void ss_inverse(const ss_fft *fft, float *re, float *im, float *first, float *second);

/* Matrix of filters, partitioned uniformly; see matrix.c. */
typedef struct {
    ss_fft fft;
    uint32_t block, inputs, outputs, taps, sets, parts, tiles;
    uint32_t slot, filled;
    int tail_of[2];          /* set whose older partitions are summed in tail[], or -1 */
    float *spectra;          /* [set][tile][output group][part][input][4 outputs][re, im][lanes] */
    float *line;             /* [tile][part][input][SS_TRIPLE][lanes], a ring of parts */
    float *frame;            /* [input][2 block] */
    float *tail[2];          /* [output][SS_TRIPLE][block] */
    float *sum;              /* [output][SS_TRIPLE][block] */
    float *work;             /* [2][block] */
} ss_matrix;

void ss_matrix_layout(ss_matrix *m, ss_arena *arena, const sweetspot_info *info, uint32_t block);
void ss_matrix_load(ss_matrix *m, const unsigned char *taps);
void ss_plain_layout(ss_matrix *plain, const ss_matrix *m, ss_arena *arena, uint32_t outputs);
void ss_plain_load(ss_matrix *plain, const sweetspot_info *info);
void ss_plain_answer(ss_matrix *plain, const ss_matrix *m, float *const *out, uint32_t n);
void ss_matrix_reset(ss_matrix *m);
void ss_matrix_feed(ss_matrix *m, const float *const *in, uint32_t n);
void ss_matrix_answer(ss_matrix *m, uint32_t set, int which, float *const *out, uint32_t n);
void ss_matrix_advance(ss_matrix *m, uint32_t n);

/* Stereo to left, right, centre; see upmix.c. */
typedef struct {
    ss_fft fft;
    uint32_t method, window, hop, span, waiting, at;
    float amount, decay;
    float *shape, *synthesis;    /* analysis and synthesis windows */
    float *heard;                /* [2][window], a ring of hops */
    float *frame;                /* [2][window] */
    float *spectra;              /* [mid re, mid im, side re, side im][window / 2] */
    float *averages;             /* [5][window / 2] */
    float *open;                 /* [span] */
    float *ready;                /* [3][hop] */
} ss_upmix;

void ss_upmix_layout(ss_upmix *u, ss_arena *arena, const sweetspot_info *info);
void ss_upmix_tables(ss_upmix *u);
void ss_upmix_reset(ss_upmix *u);
void ss_upmix_process(ss_upmix *u, const float *const *in, float *const *out, uint32_t n);

/* Turns the programs down where a listener would get more than the SPL limit; see spl.c. */
typedef struct {
    uint32_t taps, part;         /* of a detector, 0: nothing is limited; samples in a part */
    uint32_t at, count;          /* where this part lies behind the past, and its samples so far */
    int runs;                    /* whether detectors run */
    float least;
    double reduction, step, held; /* now, its change a sample, and its value at the part's end */
    double fast, slow, left;     /* what one part counts for in the powers, and what is left of a reduction */
    double largest[SWEETSPOT_FORMS][SWEETSPOT_PROGRAMS];   /* magnitudes of the detectors */
    double powers[4][SWEETSPOT_PROGRAMS]; /* of programs fast and slow, of detectors fast and slow */
    float *past[SWEETSPOT_PROGRAMS];      /* [taps - 1 + SS_PARTS part] */
    float *detectors[SWEETSPOT_FORMS][SWEETSPOT_PROGRAMS]; /* [taps], the last tap first */
    float *made;                 /* [part] */
} ss_spl;

#define SS_PARTS 16u  /* parts that are kept one behind the other before the last samples come to the front again */

uint32_t ss_spl_part(uint32_t rate);
void ss_spl_layout(ss_spl *s, ss_arena *arena, const sweetspot_info *info);
void ss_spl_tables(ss_spl *s, const sweetspot_info *info);
void ss_spl_reset(ss_spl *s);
void ss_spl_process(ss_spl *s, float *const *x, uint32_t n, uint32_t form, float gain);

#define SS_BANDS 2u
#define SS_WINDOWS 4u
#define SS_PIECE 128u     /* samples that the guard takes at once, at most */
#define SS_STRETCH 1024u  /* samples whose mean it judges at once, at most */

/* One band of the guard: the low one, then the whole. */
typedef struct {
    uint32_t quiet;     /* samples since the last reduction, from look + 1 on no longer counted */
    uint32_t count, passed, slot; /* samples in this part, parts in this window, where its need goes */
    float now, last;    /* largest need of the part of `look` samples that is being filled, of the one before it */
    float longest, steady; /* largest need of the window that is being filled, least of those of the last windows */
    float needs[SS_WINDOWS]; /* largest needs of the last windows, ring */
    double fast, slow;  /* the two reductions */
    float *line;        /* [look + piece] larger of the two */
    float *taken;       /* [piece] the samples' needs, then their reductions */
    float *voice;       /* [driver][look + piece] samples */
    float *share;       /* [driver][look + piece] the samples' part in the band */
} ss_band;

/* Look-ahead limiter with stops for faults; see guard.c. */
typedef struct {
    uint32_t drivers, look, reach, window;  /* reach: look + piece; window: parts in it */
    float pole, least_gain;
    double release, rate, offset_share;
    int stopped;
    uint32_t stopper, limited;   /* driver that stopped it; samples that were limited */
    float *average;     /* [look + 1] */
    float *ceilings, *low;  /* [driver] */
    float *mean;        /* [2][driver]: ahead of the limiter and behind it */
    ss_band band[SS_BANDS];
} ss_guard;

void ss_guard_layout(ss_guard *g, ss_arena *arena, const sweetspot_info *info);
void ss_guard_tables(ss_guard *g, const sweetspot_info *info);
void ss_guard_reset(ss_guard *g);
void ss_guard_process(ss_guard *g, float *const *y, uint32_t n);

int ss_finite(const float *x, uint32_t n);

/* A float32 of the blob, little-endian. */
float ss_float_at(const unsigned char *p);

#endif
