/* The processor as an LV2 plug-in: two inputs, one output per driver, controls; the blob lies in the bundle. */
#include "sweetspot.h"
#include "unit.h" /* SWEETSPOT_URI, SWEETSPOT_BLOB, SWEETSPOT_DRIVERS */
#include <lv2/buf-size/buf-size.h>
#include <lv2/core/lv2.h>
#include <lv2/options/options.h>
#include <lv2/urid/urid.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FADE_SECONDS 0.05f
#define USUAL_BLOCK 64u

enum { GAIN_DB, AMOUNT, ENABLED, SET, LISTENER_X, LISTENER_Y, LATENCY, GUARD_DB, STOPPED, CONTROLS };

typedef struct {
    sweetspot *processor;
    sweetspot_info info;
    void *memory;
    const float *in[2];
    float *out[SWEETSPOT_DRIVERS];
    float *control[CONTROLS];
    float x, y;
} plugin;

static void *load(const char *folder, size_t *bytes)
{
    const size_t length = strlen(folder) + sizeof SWEETSPOT_BLOB + 1u;
    char *path = (char *) malloc(length);
    void *data = NULL;
    FILE *f = NULL;
    if (path != NULL) {
        (void) snprintf(path, length, "%s/%s", folder, SWEETSPOT_BLOB);
        f = fopen(path, "rb");
    }
    if (f != NULL && fseek(f, 0, SEEK_END) == 0) {
        *bytes = (size_t) ftell(f);
        data = malloc(*bytes);
        rewind(f);
        *bytes = data == NULL ? 0u : fread(data, 1, *bytes, f);
    }
    if (f != NULL) {
        (void) fclose(f);
    }
    free(path);
    return data;
}

/* The host's usual block where it tells one that the processor can take. */
static uint32_t block_of(const LV2_Feature *const *features)
{
    const LV2_Options_Option *options = NULL;
    LV2_URID_Map *map = NULL;
    LV2_URID usual;
    for (int i = 0; features != NULL && features[i] != NULL; i++) {
        if (strcmp(features[i]->URI, LV2_OPTIONS__options) == 0) {
            options = (const LV2_Options_Option *) features[i]->data;
        } else if (strcmp(features[i]->URI, LV2_URID__map) == 0) {
            map = (LV2_URID_Map *) features[i]->data;
        }
    }
    if (options == NULL || map == NULL) {
        return USUAL_BLOCK;
    }
    usual = map->map(map->handle, LV2_BUF_SIZE__nominalBlockLength);
    for (; options->key != 0u; options++) {
        if (options->key == usual && options->size == sizeof(int32_t)) {
            const int32_t n = *(const int32_t *) options->value;
            return n >= 16 && n <= 4096 && (n & (n - 1)) == 0 ? (uint32_t) n : USUAL_BLOCK;
        }
    }
    return USUAL_BLOCK;
}

static void cleanup(LV2_Handle handle)
{
    plugin *p = (plugin *) handle;
    if (p != NULL) {
        free(p->memory);
        free(p);
    }
}

static LV2_Handle instantiate(const LV2_Descriptor *descriptor, double rate, const char *folder,
                              const LV2_Feature *const *features)
{
    plugin *p = (plugin *) calloc(1, sizeof *p);
    size_t bytes = 0u, room;
    void *blob = load(folder, &bytes);
    const uint32_t block = block_of(features);
    int code = SWEETSPOT_NO_MEMORY;
    (void) descriptor;
    if (p != NULL) {
        code = sweetspot_check(blob, bytes, (uint32_t) (rate + 0.5), &p->info);
    }
    if (code == SWEETSPOT_OK && p->info.drivers != SWEETSPOT_DRIVERS) {
        code = SWEETSPOT_BAD_SIZE;
    }
    if (code == SWEETSPOT_OK) {
        room = sweetspot_memory(&p->info, block);
        p->memory = malloc(room + 64u);
        if (p->memory != NULL) {
            void *aligned = (unsigned char *) p->memory + (64u - (uintptr_t) p->memory % 64u) % 64u;
            p->processor = sweetspot_init(aligned, room, &p->info, block, &code);
        }
    }
    free(blob);
    if (p == NULL || p->processor == NULL) {
        (void) fprintf(stderr, "sweetspot: %s/%s: %s (host at %.0f Hz)\n", folder, SWEETSPOT_BLOB, sweetspot_text(code),
                       rate);
        cleanup(p);
        return NULL;
    }
    return p;
}

static void connect_port(LV2_Handle handle, uint32_t port, void *data)
{
    plugin *p = (plugin *) handle;
    if (port < 2u) {
        p->in[port] = (const float *) data;
    } else if (port < 2u + SWEETSPOT_DRIVERS) {
        p->out[port - 2u] = (float *) data;
    } else if (port < 2u + SWEETSPOT_DRIVERS + CONTROLS) {
        p->control[port - 2u - SWEETSPOT_DRIVERS] = (float *) data;
    }
}

static void activate(LV2_Handle handle)
{
    sweetspot_reset(((plugin *) handle)->processor);
}

static float value(const plugin *p, int which, float otherwise)
{
    return p->control[which] != NULL && isfinite(*p->control[which]) ? *p->control[which] : otherwise;
}

/* The controls, each of which does something only when it has changed. */
static void follow(plugin *p)
{
    const float x = value(p, LISTENER_X, 0.0f), y = value(p, LISTENER_Y, 0.0f);
    const float set = value(p, SET, 0.0f);
    sweetspot_set_gain(p->processor, powf(10.0f, value(p, GAIN_DB, 0.0f) / 20.0f), FADE_SECONDS);
    sweetspot_set_amount(p->processor, value(p, AMOUNT, p->info.amount));
    sweetspot_set_bypass(p->processor, value(p, ENABLED, 1.0f) <= 0.0f, FADE_SECONDS);
    if (set >= 1.0f) {
        sweetspot_select(p->processor, (uint32_t) (set + 0.5f) - 1u, FADE_SECONDS);
    } else {
        sweetspot_select(p->processor, sweetspot_nearest(&p->info, x, y), FADE_SECONDS);
    }
}

static void report(const plugin *p, int which, float v)
{
    if (p->control[which] != NULL) {
        *p->control[which] = v;
    }
}

static void run(LV2_Handle handle, uint32_t n)
{
    plugin *p = (plugin *) handle;
    follow(p);
    if (n > 0u) {
        sweetspot_process(p->processor, p->in, p->out, n);
    }
    report(p, LATENCY, (float) (sweetspot_latency(p->processor) + p->info.delay));
    report(p, GUARD_DB, 20.0f * log10f(fmaxf(sweetspot_least_gain(p->processor), 1e-6f)));
    report(p, STOPPED, (float) sweetspot_stopped(p->processor));
}

static const LV2_Descriptor DESCRIPTOR = {SWEETSPOT_URI, instantiate, connect_port, activate, run, NULL, cleanup, NULL};

LV2_SYMBOL_EXPORT const LV2_Descriptor *lv2_descriptor(uint32_t index)
{
    return index == 0u ? &DESCRIPTOR : NULL;
}
