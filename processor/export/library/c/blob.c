/* Reads and verifies the blob: magic, version, size, checksum, every field. All numbers are little-endian. */
#include "internal.h"
#include <math.h>
#include <string.h>

#define HEADER_WORDS 33u
#define MOST_TAPS 65536u
#define MOST_WINDOW 16384u
#define MOST_DETECTION 1e9f
#define STEP 4u

static uint32_t word_at(const unsigned char *p)
{
    return (uint32_t) p[0] | ((uint32_t) p[1] << 8) | ((uint32_t) p[2] << 16) | ((uint32_t) p[3] << 24);
}

float ss_float_at(const unsigned char *p)
{
    const uint32_t bits = word_at(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* CRC-32 as in zlib and Ethernet, four bits a step. */
static uint32_t checksum(const unsigned char *p, size_t bytes)
{
    uint32_t table[16], crc = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 16u; i++) {
        uint32_t c = i;
        for (int k = 0; k < 4; k++) {
            c = (c & 1u) ? (c >> 1) ^ 0xEDB88320u : c >> 1;
        }
        table[i] = c;
    }
    for (size_t i = 0; i < bytes; i++) {
        crc ^= p[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

static int power_of_two(uint32_t n)
{
    return n != 0u && (n & (n - 1u)) == 0u;
}

static int upmix_fits(const sweetspot_info *i)
{
    if (!(i->amount >= 0.0f && i->amount <= 1.0f)) {
        return 0;
    }
    if (i->method == SWEETSPOT_OFF || i->method == SWEETSPOT_LINEAR) {
        return 1;
    }
    return i->method <= SWEETSPOT_SOFT_PROJECTION && power_of_two(i->window) && i->window >= 32u && i->window <= MOST_WINDOW
        && i->hop > 0u && i->hop <= i->span && i->span <= i->window && i->window % i->hop == 0u
        && i->span % i->hop == 0u && i->decay >= 0.0f && i->decay < 1.0f;
}

static int sizes_fit(const sweetspot_info *i)
{
    if (i->rate < 8000u || i->rate > 768000u || i->drivers < 1u || i->drivers > SWEETSPOT_MAX_DRIVERS) {
        return 0;
    }
    if (i->taps < 1u || i->taps > MOST_TAPS || i->sets < 1u || i->sets > SWEETSPOT_MAX_SETS || i->delay >= MOST_TAPS) {
        return 0;
    }
    if (!(i->ceiling > 0.0f && i->ceiling <= 1.0f) || !(i->nearest >= 0.0f && i->nearest < 100.0f)) {
        return 0;
    }
    if (i->detector_taps > MOST_TAPS || i->detector_taps % STEP != 0u) {
        return 0;
    }
    return i->plains >= 1u && i->plains <= 2u * i->drivers && i->home < i->sets && upmix_fits(i);
}

static size_t detector_words(const sweetspot_info *i)
{
    return i->detector_taps > 0u ? SWEETSPOT_FORMS * SWEETSPOT_PROGRAMS * (1u + (size_t) i->detector_taps) : 0u;
}

/* Largest magnitudes and detectors: numbers in range, and no response below its own root mean square. */
static int detectors_fit(sweetspot_info *i)
{
    for (uint32_t row = 0; i->detector_taps > 0u && row < SWEETSPOT_FORMS * SWEETSPOT_PROGRAMS; row++) {
        const unsigned char *at = i->detectors_at + 4u * (size_t) row * i->detector_taps;
        const float largest = ss_float_at(i->detectors_at + 4u * row - 4u * SWEETSPOT_FORMS * SWEETSPOT_PROGRAMS);
        double sum = 0.0;
        for (uint32_t k = 0; k < i->detector_taps; k++) {
            const float h = ss_float_at(at + 4u * (size_t) k);
            if (!(fabsf(h) <= MOST_DETECTION)) {
                return 0;
            }
            sum += (double) h * (double) h;
        }
        if (!(largest >= 0.0f && largest <= MOST_DETECTION * (float) MOST_TAPS)
            || (double) largest * (double) largest * 1.0001 < sum) {
            return 0;
        }
        i->largest[row / SWEETSPOT_PROGRAMS][row % SWEETSPOT_PROGRAMS] = largest;
    }
    return 1;
}

int sweetspot_check(const void *blob, size_t bytes, uint32_t rate, sweetspot_info *info)
{
    const unsigned char *p = (const unsigned char *) blob;
    size_t wanted, at;
    memset(info, 0, sizeof *info);
    if (p == NULL || bytes < 4u * HEADER_WORDS) {
        return SWEETSPOT_TOO_SHORT;
    }
    if (memcmp(p, "SWEETSPT", 8) != 0) {
        return SWEETSPOT_NOT_A_BLOB;
    }
    if (word_at(p + 8) != SWEETSPOT_FORMAT) {
        return SWEETSPOT_OTHER_FORMAT;
    }
    wanted = word_at(p + 12);
    if (wanted > bytes) {
        return SWEETSPOT_TOO_SHORT;
    }
    if (wanted < 4u * HEADER_WORDS || checksum(p + 20, wanted - 20u) != word_at(p + 16)) {
        return SWEETSPOT_DAMAGED;
    }
    info->rate = word_at(p + 20);
    info->drivers = word_at(p + 24);
    info->taps = word_at(p + 28);
    info->sets = word_at(p + 32);
    info->delay = word_at(p + 36);
    info->method = word_at(p + 40);
    info->window = word_at(p + 44);
    info->hop = word_at(p + 48);
    info->span = word_at(p + 52);
    info->amount = ss_float_at(p + 56);
    info->decay = ss_float_at(p + 60);
    info->ceiling = ss_float_at(p + 64);
    info->nearest = ss_float_at(p + 68);
    info->plains = word_at(p + 72);
    info->home = word_at(p + 76);
    memcpy(info->serial, p + 80, SWEETSPOT_SERIAL);
    memcpy(info->session, p + 112, sizeof info->session);
    info->detector_taps = word_at(p + 128);
    if (!sizes_fit(info)) {
        return SWEETSPOT_BAD_SIZE;
    }
    at = 4u * HEADER_WORDS;
    if (wanted != at + 4u * (2u * (size_t) info->drivers + 3u * (size_t) info->sets + (2u + (size_t) info->taps) * info->plains
                             + (size_t) info->sets * SWEETSPOT_PROGRAMS * info->drivers * info->taps
                             + detector_words(info))) {
        return SWEETSPOT_BAD_SIZE;
    }
    for (uint32_t d = 0; d < info->drivers; d++, at += 4u) {
        info->channels[d] = word_at(p + at);
        info->ceilings[d] = ss_float_at(p + at + 4u * info->drivers);
        if (info->channels[d] < 1u || info->channels[d] > 4096u
            || !(info->ceilings[d] > 0.0f && info->ceilings[d] <= info->ceiling)) {
            return SWEETSPOT_BAD_SIZE;
        }
    }
    at += 4u * info->drivers;
    for (uint32_t k = 0; k < 3u * info->sets; k++, at += 4u) {
        info->places[k / 3u][k % 3u] = ss_float_at(p + at);
        if (!(fabsf(info->places[k / 3u][k % 3u]) <= 1000.0f)) {
            return SWEETSPOT_BAD_SIZE;
        }
    }
    for (uint32_t k = 0; k < 2u * info->plains; k++, at += 4u) {
        if (word_at(p + at) >= (k % 2u == 0u ? 2u : info->drivers)) {
            return SWEETSPOT_BAD_SIZE;
        }
        info->plain[k / 2u][k % 2u] = (unsigned char) word_at(p + at);
    }
    info->plain_at = p + at;
    info->taps_at = p + at + 4u * (size_t) info->plains * info->taps;
    info->detectors_at = p + wanted - 4u * SWEETSPOT_FORMS * SWEETSPOT_PROGRAMS * (size_t) info->detector_taps;
    if (!detectors_fit(info)) {
        return SWEETSPOT_BAD_SIZE;
    }
    return rate != 0u && rate != info->rate ? SWEETSPOT_OTHER_RATE : SWEETSPOT_OK;
}

const char *sweetspot_text(int code)
{
    static const char *const texts[] = {
        "ok", "fewer bytes than the header says", "not a sweetspot blob", "written for another version of the library",
        "damaged: the checksum differs", "a size or setting is out of range", "made for another sampling rate",
        "block is not a power of two from 16 to 4096", "memory is missing, too small or not aligned to 64 bytes"};
    return code >= 0 && code <= SWEETSPOT_NO_MEMORY ? texts[code] : "unknown code";
}

static const float YAW_M = 0.2f, STICKS_M = 0.015f, OUTSIDE_M = 0.3f; /* sweetspot/processor/bank/filterbank.py */
static const float PI = 3.14159265f;

/* The yaw in radians; that of a head which faces the device where none is given. */
static float turned(float x, float y, float yaw)
{
    return isnan(yaw) ? atan2f(y, x) : yaw * PI / 180.0f;
}

int sweetspot_reachable(const sweetspot_info *info, float x, float y, float yaw)
{
    float low[2], high[2];
    if (!isfinite(x) || !isfinite(y) || (!isfinite(yaw) && !isnan(yaw))
        || x * x + y * y < info->nearest * info->nearest) {
        return 0;
    }
    for (uint32_t c = 0; c < 2u; c++) {
        low[c] = high[c] = info->places[0][c];
        for (uint32_t k = 1u; k < info->sets; k++) {
            low[c] = info->places[k][c] < low[c] ? info->places[k][c] : low[c];
            high[c] = info->places[k][c] > high[c] ? info->places[k][c] : high[c];
        }
    }
    return x >= low[0] - OUTSIDE_M && x <= high[0] + OUTSIDE_M && y >= low[1] - OUTSIDE_M && y <= high[1] + OUTSIDE_M;
}

uint32_t sweetspot_nearest(const sweetspot_info *info, float x, float y, float yaw, uint32_t now)
{
    const float head = turned(x, y, yaw);
    uint32_t best = 0u;
    float least = 0.0f, stays = -1.0f;
    for (uint32_t k = 0; k < info->sets; k++) {
        const float dx = info->places[k][0] - x, dy = info->places[k][1] - y;
        const float away = info->places[k][2] * PI / 180.0f - head + PI, full = 2.0f * PI;
        const float turn = YAW_M * (away - full * floorf(away / full) - PI);
        const float d = sqrtf(dx * dx + dy * dy + turn * turn);
        best = k == 0u || d < least ? k : best;
        least = k == 0u || d < least ? d : least;
        stays = k == now ? d : stays;
    }
    return stays >= 0.0f && stays <= least + STICKS_M ? now : best;
}
