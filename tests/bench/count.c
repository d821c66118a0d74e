/* Runs so many blocks of a unit, for an emulator that counts instructions: count UNIT.blob BLOCK BLOCKS. */
#include "sweetspot.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static unsigned char blob[1u << 23];
    static float x[2][4096], y[SWEETSPOT_MAX_DRIVERS][4096];
    float *out[SWEETSPOT_MAX_DRIVERS];
    const float *const in[2] = {x[0], x[1]};
    sweetspot_info info;
    FILE *f = argc == 4 ? fopen(argv[1], "rb") : NULL;
    int code = f == NULL ? -1 : sweetspot_check(blob, fread(blob, 1, sizeof blob, f), 0u, &info);
    if (code != SWEETSPOT_OK) {
        return 2;
    }
    const uint32_t block = (uint32_t) atoi(argv[2]);
    const size_t bytes = (sweetspot_memory(&info, block) + 63u) / 64u * 64u;
    sweetspot *s = sweetspot_init(aligned_alloc(64u, bytes), bytes, &info, block, &code);
    for (uint32_t d = 0; d < SWEETSPOT_MAX_DRIVERS; d++) {
        out[d] = y[d];
    }
    for (uint32_t k = 0; k < block; k++) {
        x[0][k] = 0.1f * (float) ((k * 7919u) % 201u) / 201.0f - 0.05f;
        x[1][k] = 0.1f * (float) ((k * 7457u) % 211u) / 211.0f - 0.05f;
    }
    for (int k = atoi(argv[3]); s != NULL && k > 0; k--) {
        sweetspot_process(s, in, out, block);
    }
    return s == NULL;
}
