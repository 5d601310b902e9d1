/* The spikes of one layer in recordings that differ from one in a few events each, as sums over time.

   See certify/listing.py. A member begins where the recording stands at the first step that it changes, and ends where
   its neurons may go no other way any more than they do there. Potentials lie in [low, high]. A neuron whose spike is
   not certain at some step is followed both ways, and from the step on at which that is so for the MOST_FORKS-th time
   it is open: it may do anything. */

#include "shared.h"

#define BLOCK 32
#define MOST_FORKS 6

typedef struct {
    double decay, surely, perhaps, drop;
    double span, unit, smallest; /* what a step's rounding is made of */
    long steps, neurons, members, rows, events, changes;
    int reset, threads;
} Sizes;

typedef struct {
    const double *lower, *upper; /* scaled currents of the recording, widened, (steps, neurons) each */
    const double *factors;       /* a[t], (steps,) */
    const double *columns;       /* what one event adds to the currents, (events, neurons) */
    const long *event, *step;    /* of each change of a member: its column and step, (members, changes) each */
    const double *weight;        /* and how many columns come, 0 for none */
    const double *rows;          /* (rows, steps) */
} Given;

/* A block of neurons after a step of the recording: potentials, whether they are open, whether they fired, how far
   that was from being otherwise, and how far potentials may be off so that it remains so to the end. */
typedef struct {
    double low[BLOCK], high[BLOCK], open[BLOCK], fired[BLOCK], margin[BLOCK], radius[BLOCK];
} State;

/* What a block takes of `Given`: (steps, BLOCK), (steps, BLOCK), (events, BLOCK); 0 for what is no neuron. */
typedef struct {
    double *lower, *upper, *columns;
} Block;

INLINE double modulus(double low, double high) { return greater(high, -low); }

/* One step of potentials between `low` and `high`, before it is known who fires. */
INLINE void integrate(const Sizes *sizes, double lower, double upper, double added, double *low, double *high) {
    double least = lower + added, greatest = upper + added;
    double size = sizes->decay * modulus(*low, *high) + modulus(least, greatest) + sizes->span;
    double slack = sizes->unit * size + sizes->smallest;
    *low = sizes->decay * *low + (least - slack);
    *high = sizes->decay * *high + (greatest + slack);
}

INLINE void reset(const Sizes *sizes, double *low, double *high) {
    if (sizes->reset == ZERO) *low = *high = 0.0;
    if (sizes->reset == SUBTRACT) *low -= sizes->drop, *high -= sizes->drop;
}

INLINE void advance(const Sizes *sizes, const Given *in, const Block *block, long t, const double *added, State *at,
                    double *sums) {
    const double *lower = block->lower + t * BLOCK, *upper = block->upper + t * BLOCK;
    for (long j = 0; j < BLOCK; j++) {
        double low = at->low[j], high = at->high[j];
        integrate(sizes, lower[j], upper[j], added[j], &low, &high);
        double sure = low > sizes->surely ? 1.0 : 0.0, may = high >= sizes->perhaps ? 1.0 : 0.0;
        at->open[j] = may != sure ? 1.0 : at->open[j];
        at->open[j] = low <= high ? at->open[j] : 1.0; /* NaN */
        at->fired[j] = sure;
        at->margin[j] = sure > 0.0 ? low - sizes->surely : sizes->perhaps - high;
        if (sizes->reset == ZERO) low = sure > 0.0 ? 0.0 : low, high = sure > 0.0 ? 0.0 : high;
        if (sizes->reset == SUBTRACT) low -= sure * sizes->drop, high -= sure * sizes->drop;
        at->low[j] = low, at->high[j] = high;
    }
    for (long r = 0; r < sizes->rows; r++) {
        double row = in->rows[r * sizes->steps + t], *sum = sums + r * BLOCK;
        for (long j = 0; j < BLOCK; j++) sum[j] += at->fired[j] * row;
    }
}

/* The radii of a recording's states: a potential that is off by x at a step is off by less than λ·(1 + unit)·x at the
   next, and by nothing behind a reset to 0. */
static void reach(const Sizes *sizes, State *states) {
    double fading = sizes->decay * (1.0 + sizes->unit) * (1.0 + 1e-9);
    for (long j = 0; j < BLOCK; j++) states[sizes->steps].radius[j] = INFINITY;
    for (long t = sizes->steps - 1; t >= 0; t--)
        for (long j = 0; j < BLOCK; j++) {
            const State *next = states + t + 1;
            int forgets = sizes->reset == ZERO && next->fired[j] > 0.0;
            double least = forgets ? next->margin[j] : lesser(next->margin[j], next->radius[j]);
            states[t].radius[j] = fading > 0.0 ? least / fading : INFINITY;
        }
}

/* Whether each neuron that is not open does from now on what it does in the recording. */
INLINE int goes_alike(const State *at, const State *there) {
    int apart = 0;
    for (long j = 0; j < BLOCK; j++) {
        double off = greater(there->low[j] - at->low[j], at->high[j] - there->high[j]);
        apart |= !(off <= there->radius[j]) & (at->open[j] == 0.0);
    }
    return !apart;
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
        double added = 0.0;
        for (long k = m * sizes->changes; k < (m + 1) * sizes->changes; k++)
            if (in->step[k] == t) added += in->weight[k] * in->factors[t] * in->columns[in->event[k] * n + ways->neuron];
        integrate(sizes, in->lower[t * n + ways->neuron], in->upper[t * n + ways->neuron], added, &low, &high);
        int fires = low > sizes->surely, may = high >= sizes->perhaps;
        if (!(low <= high) || (fires != may && forks == MOST_FORKS)) break;
        if (may && !fires) follow(ways, t + 1, low, lesser(high, sizes->surely), sums, ++forks);
        if (may) {
            low = greater(low, sizes->perhaps);
            reset(sizes, &low, &high);
            for (long r = 0; r < sizes->rows; r++) sums[r] += in->rows[r * sizes->steps + t];
        }
    }
    for (long r = 0; r < sizes->rows; r++) {
        double least = sums[r], most = sums[r];
        for (long k = t; k < sizes->steps; k++) {
            double row = in->rows[r * sizes->steps + k];
            least += lesser(row, 0.0), most += greater(row, 0.0);
        }
        ways->least[r] = lesser(ways->least[r], least), ways->most[r] = greater(ways->most[r], most);
    }
}

static void fill(const Sizes *sizes, const Given *in, long start, long width, Block *block) {
    const double *from[3] = {in->lower, in->upper, in->columns};
    double *to[3] = {block->lower, block->upper, block->columns};
    long counts[3] = {sizes->steps, sizes->steps, sizes->events};
    for (long k = 0; k < 3; k++)
        for (long i = 0; i < counts[k]; i++)
            for (long j = 0; j < BLOCK; j++)
                to[k][i * BLOCK + j] = j < width ? from[k][i * sizes->neurons + start + j] : 0.0;
}

/* What the changes k to `end` add to the currents of a block at step t. */
INLINE void change(const Sizes *sizes, const Given *in, const Block *block, long t, long k, long end, double *added) {
    memset(added, 0, sizeof(double) * BLOCK);
    for (; k < end; k++) {
        if (in->step[k] != t) continue;
        double weight = in->weight[k] * in->factors[t];
        for (long j = 0; j < BLOCK; j++) added[j] += weight * block->columns[in->event[k] * BLOCK + j];
    }
}

static void members(const Sizes *sizes, const Given *in, long start, Block *block, State *states, double *sums,
                    double *low, double *high) {
    long width = least(BLOCK, sizes->neurons - start), each = sizes->rows * BLOCK;
    fill(sizes, in, start, width, block);
    double added[BLOCK] = {0.0};
    memset(states, 0, sizeof(State));
    memset(sums, 0, sizeof(double) * each);
    for (long t = 0; t < sizes->steps; t++) {
        states[t + 1] = states[t];
        memcpy(sums + (t + 1) * each, sums + t * each, sizeof(double) * each);
        advance(sizes, in, block, t, added, states + t + 1, sums + (t + 1) * each);
    }
    reach(sizes, states);
    double *own = sums + (sizes->steps + 1) * each;
    const double *total = sums + sizes->steps * each;
    for (long m = 0; m < sizes->members; m++) {
        long begin = m * sizes->changes, end = begin + sizes->changes, t = sizes->steps, last = -1;
        for (long k = begin; k < end; k++)
            if (in->weight[k] != 0.0) t = least(t, in->step[k]), last = in->step[k] > last ? in->step[k] : last;
        State at = states[t];
        memcpy(own, sums + t * each, sizeof(double) * each);
        for (; t < sizes->steps && !(t > last && goes_alike(&at, states + t)); t++) {
            change(sizes, in, block, t, begin, end, added);
            advance(sizes, in, block, t, added, &at, own);
        }
        for (long i = 0; i < each; i++) own[i] += total[i] - sums[t * each + i];
        for (long j = 0; j < BLOCK; j++) at.open[j] = greater(at.open[j], states[sizes->steps].open[j]);
        for (long r = 0; r < sizes->rows; r++) {
            long place = (r * sizes->members + m) * sizes->neurons + start;
            memcpy(low + place, own + r * BLOCK, sizeof(double) * width);
            memcpy(high + place, own + r * BLOCK, sizeof(double) * width);
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

typedef struct {
    const Sizes *sizes;
    const Given *in;
    double *low, *high;
    Block block;
    State *states;
    double *sums;
} Search;

static long lay_out(char *memory, Search *search) {
    char *next = memory;
    long T = search->sizes->steps, wide = BLOCK * sizeof(double);
    search->states = take(&next, T + 1, sizeof(State));
    search->sums = take(&next, (T + 2) * search->sizes->rows, wide);
    search->block.lower = take(&next, T, wide), search->block.upper = take(&next, T, wide);
    search->block.columns = take(&next, search->sizes->events, wide);
    return next - memory;
}

static int member_block(const Item *item) {
    Search own = *(const Search *)item->given;
    lay_out(item->room, &own);
    members(own.sizes, own.in, item->start, &own.block, own.states, own.sums, own.low, own.high);
    return 0;
}

/* Fill `low` and `high`, (rows, members, neurons) each; return 1 where there is no memory. */
int member_sums(const Sizes *sizes, const Given *in, double *low, double *high) {
    Search search = {.sizes = sizes, .in = in, .low = low, .high = high};
    return for_each(sizes->neurons, BLOCK, sizes->threads, lay_out(0, &search), member_block, &search);
}
