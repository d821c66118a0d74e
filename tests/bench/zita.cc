// CPU time per block of zita-convolver on a dense matrix: zita INPUTS OUTPUTS TAPS BLOCK MAXPART BLOCKS
#include <zita-convolver.h>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <unistd.h>
#include <vector>

static double cpu ()
{
    timespec t;
    clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

int main (int argc, char **argv)
{
    if (argc != 7) return 2;
    const int inputs = atoi (argv [1]), outputs = atoi (argv [2]), taps = atoi (argv [3]);
    const int block = atoi (argv [4]), maxpart = atoi (argv [5]), blocks = atoi (argv [6]);
    Convproc conv;
    conv.set_options (Convproc::OPT_FFTW_MEASURE | Convproc::OPT_VECTOR_MODE);
    if (conv.configure (inputs, outputs, taps, block, block, maxpart, 1.0f)) return 3;
    std::vector<float> h (taps);
    for (int i = 0; i < inputs; i++)
        for (int o = 0; o < outputs; o++)
        {
            for (float &v : h) v = drand48 () - 0.5;
            if (conv.impdata_create (i, o, 1, h.data (), 0, taps)) return 4;
        }
    if (conv.start_process (0, SCHED_OTHER)) return 5;
    usleep (50000);   // its threads start late; a call before that glitches
    double begin = 0.0;
    for (int k = -blocks / 4; k < blocks; k++)
    {
        if (k == 0) begin = cpu ();
        for (int i = 0; i < inputs; i++)
            for (int n = 0; n < block; n++) conv.inpdata (i)[n] = (n * 7 + i + k) % 11 * 0.1f - 0.5f;
        conv.process (true);
    }
    const double filled = cpu ();
    volatile float sink = 0;
    for (int k = 0; k < blocks; k++)   // what filling the inputs costs
        for (int i = 0; i < inputs; i++)
            for (int n = 0; n < block; n++) conv.inpdata (i)[n] = (n * 7 + i + k) % 11 * 0.1f - 0.5f;
    sink = conv.inpdata (0)[0];
    const double filling = cpu () - filled;
    printf ("%.3f\n", 1e6 * (filled - begin - filling) / blocks);
    (void) sink;
    fflush (stdout);
    _exit (0);
}
