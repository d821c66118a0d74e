/* Reads and verifies the blob: magic, version, size, checksum, every field. All numbers are little-endian. */
#include "internal.h"
#include <string.h>

#define HEADER_WORDS 32u
#define MOST_TAPS 65536u
#define MOST_WINDOW 16384u

static uint32_t word_at(const unsigned char *p)
{
    return (uint32_t) p[0] | ((uint32_t) p[1] << 8) | ((uint32_t) p[2] << 16) | ((uint32_t) p[3] << 24);
}

static float float_at(const unsigned char *p)
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
    if (!(i->ceiling > 0.0f && i->ceiling <= 1.0f) || !(i->plain_gain >= 0.0f && i->plain_gain <= 16.0f)) {
        return 0;
    }
    return i->plain[0] < i->drivers && i->plain[1] < i->drivers && upmix_fits(i);
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
    info->amount = float_at(p + 56);
    info->decay = float_at(p + 60);
    info->ceiling = float_at(p + 64);
    info->plain_gain = float_at(p + 68);
    info->plain[0] = word_at(p + 72);
    info->plain[1] = word_at(p + 76);
    memcpy(info->serial, p + 80, SWEETSPOT_SERIAL);
    if (!sizes_fit(info)) {
        return SWEETSPOT_BAD_SIZE;
    }
    at = 4u * HEADER_WORDS;
    if (wanted != at + 4u * ((size_t) info->drivers + 3u * (size_t) info->sets
                             + (size_t) info->sets * SWEETSPOT_PROGRAMS * info->drivers * info->taps)) {
        return SWEETSPOT_BAD_SIZE;
    }
    for (uint32_t d = 0; d < info->drivers; d++, at += 4u) {
        info->channels[d] = word_at(p + at);
        if (info->channels[d] < 1u || info->channels[d] > 4096u) {
            return SWEETSPOT_BAD_SIZE;
        }
    }
    for (uint32_t k = 0; k < 3u * info->sets; k++, at += 4u) {
        info->places[k / 3u][k % 3u] = float_at(p + at);
    }
    info->taps_at = p + at;
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

uint32_t sweetspot_nearest(const sweetspot_info *info, float x, float y)
{
    uint32_t best = 0u;
    float least = 0.0f;
    for (uint32_t k = 0; k < info->sets; k++) {
        const float dx = info->places[k][0] - x, dy = info->places[k][1] - y, d = dx * dx + dy * dy;
        if (k == 0u || d < least) {
            best = k;
            least = d;
        }
    }
    return best;
}
