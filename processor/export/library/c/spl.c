/* Programs are turned down where a listener would get more than the SPL limit: sweetspot/processor/dynamics/spl_limiter.py.
 *
 * The same rule, function by function: change both together. Each program's detector is a filter whose output is the
 * sound pressure at the loudest place over the limit. While a listener gets less the programs stay as they are, bit for bit.
 */
#include "internal.h"
#include <math.h>
#include <string.h>

SS_FAST

#define STEP 4u

static const double PART = 1.0 / 1500.0, FAST = 0.005, SLOW = 0.04, RELEASE = 0.1;
static const double ROOM = 0.70710678118654752; /* the fast level may pass the limit by 3 dB */
static const double NEAR_LIMIT = 0.9, FAR_LIMIT = 0.5, NONE = 1e-7, MOST = 1e24;

uint32_t ss_spl_part(uint32_t rate)
{
    const double n = rint(PART * rate);
    return n > 1.0 ? (uint32_t) n : 1u;
}

void ss_spl_tables(ss_spl *s, const sweetspot_info *info)
{
    const double part = (double) s->part / info->rate;
    s->fast = 1.0 - exp(-part / FAST);
    s->slow = 1.0 - exp(-part / SLOW);
    s->left = exp(-part / RELEASE);
    for (uint32_t row = 0; row < SWEETSPOT_FORMS * SWEETSPOT_PROGRAMS; row++) {
        const uint32_t form = row / SWEETSPOT_PROGRAMS, p = row % SWEETSPOT_PROGRAMS;
        s->largest[form][p] = (double) info->largest[form][p];
        for (uint32_t k = 0; k < s->taps; k++) {
            s->detectors[form][p][s->taps - 1u - k] = ss_float_at(info->detectors_at + 4u * ((size_t) row * s->taps + k));
        }
    }
}

/* Sum of squares in four independent parts. */
static double squares(const float *x, uint32_t n)
{
    float part[STEP] = {0.0f, 0.0f, 0.0f, 0.0f};
    uint32_t k = 0u;
    for (; k + STEP <= n; k += STEP) {
        for (uint32_t j = 0; j < STEP; j++) {
            part[j] += x[k + j] * x[k + j];
        }
    }
    for (; k < n; k++) {
        part[0] += x[k] * x[k];
    }
    return (double) ((part[0] + part[1]) + (part[2] + part[3]));
}

/* A power that can be followed and forgotten again, also where samples are so large that it is no number. */
static double capped(double power)
{
    return power < MOST ? power : MOST;
}

/* A detector's output over a part; the taps - 1 samples before it lie in front in `voice`. */
static void detected(const ss_spl *s, const float *voice, const float *taps)
{
    float *made = s->made;
    const uint32_t n = s->part;
    memset(made, 0, n * sizeof *made);
    for (uint32_t k = 0; k < s->taps; k += STEP) {
        const float a = taps[k], b = taps[k + 1u], c = taps[k + 2u], d = taps[k + 3u];
        const float *one = voice + k, *two = one + 1, *three = one + 2, *four = one + 3;
        for (uint32_t i = 0; i < n; i++) {
            made[i] += (a * one[i] + b * two[i]) + (c * three[i] + d * four[i]);
        }
    }
}

/* Level over the limit, of the sums of what is fast and what is slow. */
static double level(double fast, double slow, double gain)
{
    return gain * (slow > ROOM * fast ? slow : ROOM * fast);
}

/* Follow the levels of a whole part, and set out for the reduction that they need. */
static void followed(ss_spl *s, uint32_t form, float gain)
{
    double fast = 0.0, slow = 0.0, bound, found, falling;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        const double power = capped(squares(s->past[p] + s->taps - 1u + s->at, s->part) / s->part);
        s->powers[0][p] += s->fast * (power - s->powers[0][p]);
        s->powers[1][p] += s->slow * (power - s->powers[1][p]);
        fast += s->largest[form][p] * sqrt(s->powers[0][p]);
        slow += s->largest[form][p] * sqrt(s->powers[1][p]);
    }
    bound = level(fast, slow, (double) gain);
    s->runs = bound > NEAR_LIMIT || (bound > FAR_LIMIT && s->runs);
    fast = slow = 0.0;
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        if (s->runs) {
            double power;
            detected(s, s->past[p] + s->at, s->detectors[form][p]);
            power = capped(squares(s->made, s->part) / s->part);
            s->powers[2][p] += s->fast * (power - s->powers[2][p]);
            s->powers[3][p] += s->slow * (power - s->powers[3][p]);
        } else {
            s->powers[2][p] = s->powers[3][p] = 0.0;
        }
        fast += sqrt(s->powers[2][p]);
        slow += sqrt(s->powers[3][p]);
    }
    found = level(fast, slow, (double) gain);
    found = found > 1.0 ? 1.0 - 1.0 / found : 0.0;
    falling = s->left * s->held;
    s->reduction = s->held;
    s->held = found > falling ? found : falling;
    s->held = s->held > NONE ? s->held : 0.0;
    s->step = (s->held - s->reduction) / s->part;
}

/* The next samples of a part by the gain that its begin and its end lead to. */
static void turn_down(ss_spl *s, float *const *x, uint32_t first, uint32_t n)
{
    const float from = (float) (1.0 - s->reduction), step = (float) s->step;
    float least;
    for (uint32_t i = 0; i < n; i++) {
        s->made[i] = from - step * (float) (i + 1u);
    }
    for (uint32_t p = 0; p < SWEETSPOT_PROGRAMS; p++) {
        float *row = x[p] + first;
        for (uint32_t i = 0; i < n; i++) {
            row[i] *= s->made[i];
        }
    }
    s->reduction += s->step * n;
    least = (float) (1.0 - s->reduction);
    s->least = least < s->least ? least : s->least;
}

#define SPL ss_spl
#define SAMPLE float
#define GAIN float
#define UNITY 1.0f
#define NAME(x) ss_##x
#define TAKE ss_take
#include "spl_rule.h"
