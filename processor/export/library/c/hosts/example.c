/* Example: load a unit's blob, play a stereo WAV (float32) through it, write one channel per driver. */
#include "sweetspot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 256u

static unsigned char *load(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = NULL;
    if (f != NULL && fseek(f, 0, SEEK_END) == 0) {
        *bytes = (size_t) ftell(f);
        data = (unsigned char *) malloc(*bytes);
        rewind(f);
        if (data == NULL || fread(data, 1, *bytes, f) != *bytes) {
            *bytes = 0;
        }
        (void) fclose(f);
    }
    return data;
}

int main(int argc, char **argv)
{
    size_t blob_bytes = 0, wav_bytes = 0, at = 44;
    uint32_t rate = 0u;
    unsigned char *blob = argc == 4 ? load(argv[1], &blob_bytes) : NULL;
    unsigned char *wav = argc == 4 ? load(argv[2], &wav_bytes) : NULL;
    FILE *out = argc == 4 ? fopen(argv[3], "wb") : NULL;
    sweetspot_info info;
    /* a WAV header has the format at 20, or at 44 (3: float), channels at 22, the rate at 24, the bits of a sample at 34 */
    if (wav_bytes > at && wav[wav[20] == 0xFEu ? 44 : 20] == 3u && wav[22] == 2u && wav[34] == 32u) {
        memcpy(&rate, wav + 24, sizeof rate);
    }
    int code = sweetspot_check(blob, blob_bytes, rate, &info);
    if (code != SWEETSPOT_OK || rate == 0u || out == NULL) {
        (void) fprintf(stderr, "use: example UNIT.blob IN.wav OUT.f32 (blob: %s; IN.wav: %s)\n", sweetspot_text(code),
                       rate == 0u ? "two channels of 32-bit float samples are needed" : "ok");
        return 2;
    }
    while (at + 8u < wav_bytes && memcmp(wav + at - 8u, "data", 4) != 0) {
        at++; /* the samples follow the word "data" and its size */
    }
    const size_t memory = sweetspot_memory(&info, BLOCK);
    unsigned char *room = (unsigned char *) malloc(memory + 63u);
    sweetspot *s = sweetspot_init(room + (64u - (uintptr_t) room % 64u) % 64u, memory, &info, BLOCK, &code);
    static float in[2][BLOCK], y[SWEETSPOT_MAX_DRIVERS][BLOCK];
    const float *const left_right[2] = {in[0], in[1]};
    float *drivers[SWEETSPOT_MAX_DRIVERS];
    for (uint32_t d = 0; d < SWEETSPOT_MAX_DRIVERS; d++) {
        drivers[d] = y[d];
    }
    for (uint32_t n = BLOCK; s != NULL && n == BLOCK;) {
        n = (uint32_t) ((wav_bytes - at) / 8u < BLOCK ? (wav_bytes - at) / 8u : BLOCK);
        for (uint32_t k = 0; k < 2u * n; k++, at += 4u) {
            memcpy(&in[k % 2u][k / 2u], wav + at, 4);
        }
        sweetspot_process(s, left_right, drivers, n);
        for (uint32_t k = 0; k < n * info.drivers; k++) {
            (void) fwrite(&y[k % info.drivers][k / info.drivers], 4, 1, out);
        }
    }
    return s == NULL || fclose(out) != 0 ? 1 : 0;
}
