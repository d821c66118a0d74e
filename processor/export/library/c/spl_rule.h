/* What the SPL limiter does to any kind of sample: spl.c includes it for floats, fixed_spl.c for fixed point.
 *
 * A file defines SPL, SAMPLE, GAIN, UNITY (a gain of 1), NAME(x), TAKE(arena, n), and what numbers are to it: `followed`
 * (levels of a whole part, and the reduction to set out for) and `turn_down`.
 */
static size_t past_length(const SPL *s)
{
    return (size_t) s->taps - 1u + SS_PARTS * (size_t) s->part;
}

void NAME(spl_layout)(SPL *s, ss_arena *arena, const sweetspot_info *info)
{
    s->taps = info->detector_taps;
    s->part = ss_spl_part(info->rate);
    if (s->taps == 0u) {
        return;
    }
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        s->past[p] = TAKE(arena, past_length(s));
        for (uint32_t form = 0; form < SWEETSPOT_FORMS; form++) {
            s->detectors[form][p] = TAKE(arena, s->taps);
        }
    }
    s->made = TAKE(arena, s->part);
}

void NAME(spl_reset)(SPL *s)
{
    for (uint32_t p = 0; s->taps > 0u && p < SWEETSPOT_PROGRAMS; p++) {
        memset(s->past[p], 0, past_length(s) * sizeof(SAMPLE));
    }
    memset(s->powers, 0, sizeof s->powers);
    s->at = s->count = 0u;
    s->runs = 0;
    s->reduction = s->step = s->held = 0;
    s->least = UNITY;
}

/* A whole part is there: the next one begins behind it, or in front again with the last samples before it. */
static void part_ended(SPL *s, uint32_t form, GAIN gain)
{
    followed(s, form, gain);
    s->at += s->part;
    s->count = 0u;
    if (s->at == SS_PARTS * s->part) {
        s->at = 0u;
        for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
            memmove(s->past[p], s->past[p] + SS_PARTS * (size_t) s->part, (s->taps - 1u) * sizeof(SAMPLE));
        }
    }
}

void NAME(spl_process)(SPL *s, SAMPLE *const *x, uint32_t n, uint32_t form, GAIN gain)
{
    for (uint32_t first = 0u, count; s->taps > 0u && first < n; first += count) {
        const size_t at = (size_t) s->taps - 1u + s->at + s->count;
        count = s->part - s->count < n - first ? s->part - s->count : n - first;
        for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
            memcpy(s->past[p] + at, x[p] + first, count * sizeof(SAMPLE));
        }
        if (s->reduction > 0 || s->held > 0) {
            turn_down(s, x, first, count);
        }
        s->count += count;
        if (s->count == s->part) {
            part_ended(s, form, gain);
        }
    }
}
