/* The processor as an LV2 plug-in: two inputs, one output per driver, controls; the blob lies in the bundle. */
#include "sweetspot.h"
#include "unit.h" /* SWEETSPOT_URI, SWEETSPOT_BLOB, SWEETSPOT_DRIVERS, SWEETSPOT_X and SWEETSPOT_Y of the default place */
#include <lv2/atom/atom.h>
#include <lv2/buf-size/buf-size.h>
#include <lv2/core/lv2.h>
#include <lv2/options/options.h>
#include <lv2/state/state.h>
#include <lv2/urid/urid.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FADE_SECONDS 0.05f
#define WALK_SECONDS 0.03f
#define DEGREES 57.29578f
#define STATE_UNIT "urn:sweetspot:state#unit"
#define STATE_TEXT 80u
#define USUAL_BLOCK 64u

enum { GAIN_DB, AMOUNT, ENABLED, SET, LISTENER_X, LISTENER_Y, TURNED, LATENCY, GUARD_DB, STOPPED, SPL_DB, CONTROLS };

typedef struct {
    sweetspot *processor;
    sweetspot_info info;
    void *memory;
    const float *in[2];
    float *out[SWEETSPOT_DRIVERS];
    float *control[CONTROLS];
    float x, y, turn;               /* where the listener was last */
    int fixed;                      /* a set was chosen by its number */
    LV2_URID unit, string;
    char identity[STATE_TEXT];      /* serial number of the unit, and the session behind its filters */
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

static const void *feature(const LV2_Feature *const *features, const char *uri)
{
    for (int i = 0; features != NULL && features[i] != NULL; i++) {
        if (strcmp(features[i]->URI, uri) == 0) {
            return features[i]->data;
        }
    }
    return NULL;
}

/* The host's nominal block, if it states one that the processor supports. */
static uint32_t block_of(const LV2_Feature *const *features)
{
    const LV2_Options_Option *options = (const LV2_Options_Option *) feature(features, LV2_OPTIONS__options);
    const LV2_URID_Map *map = (const LV2_URID_Map *) feature(features, LV2_URID__map);
    LV2_URID usual;
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

/* State saved with a project besides the controls: the unit and session of its filters. */
static void identify(plugin *p, const LV2_Feature *const *features)
{
    const LV2_URID_Map *map = (const LV2_URID_Map *) feature(features, LV2_URID__map);
    const unsigned char *h = p->info.session;
    (void) snprintf(p->identity, sizeof p->identity, "%s, session %02x%02x%02x%02x%02x%02x", p->info.serial, h[0], h[1],
                    h[2], h[3], h[4], h[5]);
    if (map != NULL) {
        p->unit = map->map(map->handle, STATE_UNIT);
        p->string = map->map(map->handle, LV2_ATOM__String);
    }
}

static LV2_State_Status save(LV2_Handle handle, LV2_State_Store_Function store, LV2_State_Handle state, uint32_t flags,
                             const LV2_Feature *const *features)
{
    const plugin *p = (const plugin *) handle;
    (void) flags;
    (void) features;
    return p->unit == 0u ? LV2_STATE_ERR_NO_FEATURE
                         : store(state, p->unit, p->identity, strlen(p->identity) + 1u, p->string,
                                 LV2_STATE_IS_POD | LV2_STATE_IS_PORTABLE);
}

static LV2_State_Status restore(LV2_Handle handle, LV2_State_Retrieve_Function retrieve, LV2_State_Handle state,
                                uint32_t flags, const LV2_Feature *const *features)
{
    const plugin *p = (const plugin *) handle;
    size_t bytes = 0u;
    uint32_t type = 0u, found_flags = 0u;
    const char *found;
    (void) flags;
    (void) features;
    if (p->unit == 0u) {
        return LV2_STATE_ERR_NO_FEATURE;
    }
    found = (const char *) retrieve(state, p->unit, &bytes, &type, &found_flags);
    if (found != NULL && type == p->string && bytes <= STATE_TEXT && memchr(found, 0, bytes) != NULL
        && strcmp(found, p->identity) != 0) {
        (void) fprintf(stderr, "sweetspot: the project was made with unit %s; these are the filters of unit %s\n", found,
                       p->identity);
    }
    return LV2_STATE_SUCCESS;
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
    identify(p, features);
    p->x = SWEETSPOT_X;
    p->y = SWEETSPOT_Y;
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

/* Set the listener's place when the controls change. */
static void follow_listener(plugin *p)
{
    const float x = value(p, LISTENER_X, p->x), y = value(p, LISTENER_Y, p->y), turn = value(p, TURNED, p->turn);
    if (p->fixed || x < p->x || x > p->x || y < p->y || y > p->y || turn < p->turn || turn > p->turn) {
        (void) sweetspot_set_listener(p->processor, x, y, turn + DEGREES * atan2f(y, x), WALK_SECONDS);
    }
    p->x = x;
    p->y = y;
    p->turn = turn;
    p->fixed = 0;
}

/* Apply the controls that have changed. */
static void follow(plugin *p)
{
    const float set = value(p, SET, 0.0f);
    sweetspot_set_gain(p->processor, powf(10.0f, value(p, GAIN_DB, 0.0f) / 20.0f), FADE_SECONDS);
    sweetspot_set_amount(p->processor, value(p, AMOUNT, p->info.amount));
    sweetspot_set_bypass(p->processor, value(p, ENABLED, 1.0f) <= 0.0f, FADE_SECONDS);
    if (set >= 1.0f && set <= (float) p->info.sets) {
        sweetspot_select(p->processor, (uint32_t) (set + 0.5f) - 1u, FADE_SECONDS);
        p->fixed = 1;
    } else {
        follow_listener(p);
    }
}

static void report(const plugin *p, int which, float v)
{
    if (p->control[which] != NULL) {
        *p->control[which] = v;
    }
}

static float decibels(float gain)
{
    return 20.0f * log10f(fmaxf(gain, 1e-6f));
}

static void run(LV2_Handle handle, uint32_t n)
{
    plugin *p = (plugin *) handle;
    follow(p);
    if (n > 0u) {
        sweetspot_process(p->processor, p->in, p->out, n);
    }
    report(p, LATENCY, (float) (sweetspot_latency(p->processor) + p->info.delay));
    report(p, GUARD_DB, decibels(sweetspot_least_gain(p->processor)));
    report(p, SPL_DB, decibels(sweetspot_least_spl_gain(p->processor)));
    report(p, STOPPED, (float) sweetspot_stopped(p->processor));
}

static const void *extension(const char *uri)
{
    static const LV2_State_Interface state = {save, restore};
    return strcmp(uri, LV2_STATE__interface) == 0 ? &state : NULL;
}

static const LV2_Descriptor DESCRIPTOR = {SWEETSPOT_URI, instantiate, connect_port, activate, run, NULL, cleanup,
                                          extension};

LV2_SYMBOL_EXPORT const LV2_Descriptor *lv2_descriptor(uint32_t index)
{
    return index == 0u ? &DESCRIPTOR : NULL;
}
