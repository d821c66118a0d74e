/* A small JACK client: two inputs, one output per driver, on the server that the environment names. */
#include "sweetspot.h"
#include <jack/jack.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    sweetspot *processor;
    sweetspot_info info;
    jack_client_t *client;
    jack_port_t *in[2], *out[SWEETSPOT_MAX_DRIVERS];
} host;

static volatile sig_atomic_t ended = 0;

static void end(int signal_number)
{
    (void) signal_number;
    ended = 1;
}

static void gone(void *unused)
{
    (void) unused;
    ended = 2;
}

static int process(jack_nframes_t n, void *given)
{
    host *h = (host *) given;
    const float *in[2];
    float *out[SWEETSPOT_MAX_DRIVERS];
    for (int i = 0; i < 2; i++) {
        in[i] = (const float *) jack_port_get_buffer(h->in[i], n);
    }
    for (uint32_t d = 0; d < h->info.drivers; d++) {
        out[d] = (float *) jack_port_get_buffer(h->out[d], n);
    }
    sweetspot_process(h->processor, in, out, n);
    return 0;
}

static void latency(jack_latency_callback_mode_t mode, void *given)
{
    host *h = (host *) given;
    const jack_nframes_t own = sweetspot_latency(h->processor) + h->info.delay;
    jack_latency_range_t r = {0u, 0u}, found;
    jack_port_get_latency_range(mode == JackCaptureLatency ? h->in[0] : h->out[0], mode, &found);
    r.min = found.min + own;
    r.max = found.max + own;
    for (uint32_t d = 0; mode == JackCaptureLatency && d < h->info.drivers; d++) {
        jack_port_set_latency_range(h->out[d], mode, &r);
    }
    for (int i = 0; mode == JackPlaybackLatency && i < 2; i++) {
        jack_port_set_latency_range(h->in[i], mode, &r);
    }
}

static void *load(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    void *data = NULL;
    if (f != NULL && fseek(f, 0, SEEK_END) == 0) {
        *bytes = (size_t) ftell(f);
        data = malloc(*bytes);
        rewind(f);
        *bytes = data == NULL ? 0u : fread(data, 1, *bytes, f);
    }
    if (f != NULL) {
        (void) fclose(f);
    }
    return data;
}

/* Lay out the processor for the server's rate and period; 0 or an exit code. */
static int prepare(host *h, const char *path)
{
    size_t bytes = 0u, room;
    void *blob = load(path, &bytes), *memory;
    const uint32_t rate = jack_get_sample_rate(h->client);
    uint32_t block = jack_get_buffer_size(h->client);
    int code = sweetspot_check(blob, bytes, rate, &h->info);
    if (code != SWEETSPOT_OK) {
        (void) fprintf(stderr, "%s: %s (made for %u Hz, the server runs at %u Hz)\n", path, sweetspot_text(code),
                       (unsigned) h->info.rate, (unsigned) rate);
        return 2;
    }
    block = block >= 16u && block <= 4096u && (block & (block - 1u)) == 0u ? block : 256u;
    room = sweetspot_memory(&h->info, block);
    memory = malloc(room + 64u);
    if (memory != NULL) {
        void *aligned = (unsigned char *) memory + (64u - (uintptr_t) memory % 64u) % 64u;
        h->processor = sweetspot_init(aligned, room, &h->info, block, &code);
    }
    free(blob);
    return h->processor == NULL ? 3 : 0;
}

static int run(host *h)
{
    char name[24];
    static const char *const sides[2] = {"left", "right"};
    for (int i = 0; i < 2; i++) {
        h->in[i] = jack_port_register(h->client, sides[i], JACK_DEFAULT_AUDIO_TYPE, JackPortIsInput, 0);
    }
    for (uint32_t d = 0; d < h->info.drivers; d++) {
        (void) snprintf(name, sizeof name, "driver_%u", (unsigned) d + 1u);
        h->out[d] = jack_port_register(h->client, name, JACK_DEFAULT_AUDIO_TYPE, JackPortIsOutput, 0);
        if (h->out[d] == NULL) {
            return 3;
        }
    }
    (void) jack_set_process_callback(h->client, process, h);
    (void) jack_set_latency_callback(h->client, latency, h);
    jack_on_shutdown(h->client, gone, h);
    if (jack_activate(h->client) != 0) {
        return 3;
    }
    (void) printf("unit %s: %u drivers, latency %u + %u samples\n", h->info.serial, (unsigned) h->info.drivers,
                  (unsigned) sweetspot_latency(h->processor), (unsigned) h->info.delay);
    (void) fflush(stdout);
    while (ended == 0) {
        (void) usleep(50000u);
    }
    return ended == 2 ? 3 : 0;
}

int main(int argc, char **argv)
{
    static host h;
    int code;
    if (argc < 2 || argc > 3) {
        (void) fprintf(stderr, "use: sweetspot-jack UNIT.blob [CLIENT NAME]\n");
        return 2;
    }
    (void) signal(SIGINT, end);
    (void) signal(SIGTERM, end);
    h.client = jack_client_open(argc == 3 ? argv[2] : "sweetspot", JackNoStartServer, NULL);
    if (h.client == NULL) {
        (void) fprintf(stderr, "no JACK server answers\n");
        return 3;
    }
    code = prepare(&h, argv[1]);
    code = code == 0 ? run(&h) : code;
    (void) jack_client_close(h.client);
    return code;
}
