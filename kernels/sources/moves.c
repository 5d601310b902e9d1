/* The spikes of one layer in recordings that differ from one in a single event each, as sums over time.

   See certify/bounds/events/single_moves.py. A member begins where the recording stands at the first step that its move
   changes. Potentials lie in [low, high]. A neuron whose spike is not certain at some step is followed both ways, and
   from the step on at which that is so for the MOST_FORKS-th time it is open: it may do anything. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES 32
#define MOST_FORKS 6
enum { ZERO, SUBTRACT, NONE }; /* resets */

typedef struct {
    double decay, surely, perhaps, drop;
    double unit, span, smallest; /* what a step's rounding is made of */
    long steps, neurons, members, rows;
    int reset, threads;
} Sizes;

typedef struct {
    const double *lower, *upper; /* scaled currents of the recording, widened, (steps, neurons) each */
    const double *factors;       /* a[t], (steps,) */
    const double *columns;       /* what one event adds to the currents, (events, neurons) */
    const double *rows;          /* (rows, steps) */
    const long *event, *from, *to; /* of each member: its column, the step that it leaves, and comes to or -1 */
} Given;

/* A block of neurons: potentials, whether they are open, and their sums. */
typedef struct {
    double low[LANES], high[LANES], open[LANES];
} State;

static inline double larger(double a, double b) { return a > b ? a : b; }
static inline double smaller(double a, double b) { return a < b ? a : b; }
static inline double modulus(double low, double high) { return larger(high, -low); }

/* One step of potentials between `low` and `high`, before it is known who fires. */
static inline void integrate(const Sizes *sizes, double lower, double upper, double added, double *low, double *high) {
    double least = lower + added, greatest = upper + added;
    double size = sizes->decay * modulus(*low, *high) + modulus(least, greatest) + sizes->span;
    double slack = sizes->unit * size + sizes->smallest;
    *low = sizes->decay * *low + (least - slack);
    *high = sizes->decay * *high + (greatest + slack);
}

static inline void reset(const Sizes *sizes, double *low, double *high) {
    if (sizes->reset == ZERO) *low = *high = 0.0;
    if (sizes->reset == SUBTRACT) *low -= sizes->drop, *high -= sizes->drop;
}

static inline void advance(const Sizes *sizes, const Given *in, long t, long start, long width, const double *added,
                           State *at, double *sums) {
    const double *lower = in->lower + t * sizes->neurons + start, *upper = in->upper + t * sizes->neurons + start;
    double fires[LANES];
    for (long j = 0; j < width; j++) {
        double low = at->low[j], high = at->high[j];
        integrate(sizes, lower[j], upper[j], added[j], &low, &high);
        double sure = low > sizes->surely ? 1.0 : 0.0, may = high >= sizes->perhaps ? 1.0 : 0.0;
        at->open[j] = may != sure ? 1.0 : at->open[j];
        at->open[j] = low <= high ? at->open[j] : 1.0; /* NaN */
        fires[j] = sure;
        if (sizes->reset == ZERO) {
            low = sure > 0.0 ? 0.0 : low, high = sure > 0.0 ? 0.0 : high;
        } else if (sizes->reset == SUBTRACT) {
            low -= sure * sizes->drop, high -= sure * sizes->drop;
        }
        at->low[j] = low, at->high[j] = high;
    }
    for (long r = 0; r < sizes->rows; r++) {
        double row = in->rows[r * sizes->steps + t], *sum = sums + r * LANES;
        for (long j = 0; j < width; j++) sum[j] += fires[j] * row;
    }
}

/* A neuron's ways from step t on; `sums`: what each row has up to then, (rows,). */
typedef struct {
    const Sizes *sizes;
    const Given *in;
    long neuron, member;
    double *least, *most; /* the ends of each row, (rows,) */
} Ways;

static void follow(const Ways *ways, long t, double low, double high, const double *before, long forks) {
    const Sizes *sizes = ways->sizes;
    const Given *in = ways->in;
    double sums[sizes->rows];
    memcpy(sums, before, sizeof sums);
    long m = ways->member, n = sizes->neurons;
    for (; t < sizes->steps; t++) {
        double weight = ((t == in->to[m]) - (t == in->from[m])) * in->factors[t];
        double added = weight * in->columns[in->event[m] * n + ways->neuron];
        integrate(sizes, in->lower[t * n + ways->neuron], in->upper[t * n + ways->neuron], added, &low, &high);
        int fires = low > sizes->surely, may = high >= sizes->perhaps;
        if (!(low <= high) || (fires != may && forks == MOST_FORKS)) break;
        if (may && !fires) follow(ways, t + 1, low, smaller(high, sizes->surely), sums, ++forks);
        if (may) {
            low = larger(low, sizes->perhaps);
            reset(sizes, &low, &high);
            for (long r = 0; r < sizes->rows; r++) sums[r] += in->rows[r * sizes->steps + t];
        }
    }
    for (long r = 0; r < sizes->rows; r++) {
        double least = sums[r], most = sums[r];
        for (long k = t; k < sizes->steps; k++) {
            double row = in->rows[r * sizes->steps + k];
            least += smaller(row, 0.0), most += larger(row, 0.0);
        }
        ways->least[r] = smaller(ways->least[r], least), ways->most[r] = larger(ways->most[r], most);
    }
}

static void members(const Sizes *sizes, const Given *in, long start, State *states, double *sums, double *low,
                    double *high) {
    long width = sizes->neurons - start < LANES ? sizes->neurons - start : LANES, each = sizes->rows * LANES;
    const double none[LANES] = {0.0};
    memset(states, 0, sizeof(State));
    memset(sums, 0, sizeof(double) * each);
    for (long t = 0; t < sizes->steps; t++) {
        states[t + 1] = states[t];
        memcpy(sums + (t + 1) * each, sums + t * each, sizeof(double) * each);
        advance(sizes, in, t, start, width, none, states + t + 1, sums + (t + 1) * each);
    }
    double *own = sums + (sizes->steps + 1) * each;
    for (long m = 0; m < sizes->members; m++) {
        const double *column = in->columns + in->event[m] * sizes->neurons + start;
        long from = in->from[m], to = in->to[m], first = to >= 0 && to < from ? to : from;
        State at = states[first];
        memcpy(own, sums + first * each, sizeof(double) * each);
        for (long t = first; t < sizes->steps; t++) {
            double added[LANES], weight = ((t == to) - (t == from)) * in->factors[t];
            for (long j = 0; j < width; j++) added[j] = weight * column[j];
            advance(sizes, in, t, start, width, added, &at, own);
        }
        for (long r = 0; r < sizes->rows; r++) {
            long place = (r * sizes->members + m) * sizes->neurons + start;
            memcpy(low + place, own + r * LANES, sizeof(double) * width);
            memcpy(high + place, own + r * LANES, sizeof(double) * width);
        }
        for (long j = 0; j < width; j++) {
            if (at.open[j] == 0.0) continue;
            double ends[3 * sizes->rows];
            memset(ends, 0, sizeof ends);
            for (long r = 0; r < sizes->rows; r++) ends[sizes->rows + r] = INFINITY, ends[2 * sizes->rows + r] = -INFINITY;
            Ways ways = {sizes, in, start + j, m, ends + sizes->rows, ends + 2 * sizes->rows};
            follow(&ways, 0, 0.0, 0.0, ends, 0);
            for (long r = 0; r < sizes->rows; r++) {
                long place = (r * sizes->members + m) * sizes->neurons + start + j;
                low[place] = ways.least[r], high[place] = ways.most[r];
            }
        }
    }
}

/* Fill `low` and `high`, (rows, members, neurons) each; return 1 where there is no memory. */
int move_sums(const Sizes *sizes, const Given *in, double *low, double *high) {
    long failed = 0, each = sizes->rows * LANES;
#pragma omp parallel num_threads(sizes->threads) reduction(| : failed)
    {
        State *states = malloc(sizeof(State) * (sizes->steps + 1));
        double *sums = malloc(sizeof(double) * each * (sizes->steps + 2));
        failed = states == NULL || sums == NULL;
#pragma omp for
        for (long start = 0; start < sizes->neurons; start += LANES)
            if (!failed) members(sizes, in, start, states, sums, low, high);
        free(states), free(sums);
    }
    return failed != 0;
}
