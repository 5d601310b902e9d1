/* The cells of layers that subtract: certify/bounds/cells.

   REAL is double. All arithmetic is that of automaton.py, automaton.py and automaton.py, operation by operation, and minima and maxima do not
   depend on their order: what comes out is bitwise what torch computes, and the proofs there hold here. Compile with
   -ffp-contract=off. */

#include "shared.h"

typedef struct {
    double decay, surely, perhaps, drop;
    long steps, size; /* of the arrays, (T, size) */
    int threads;
} Layer;

typedef struct {
    const REAL *lower, *upper, *low, *high; /* of L[t] and of c[t], (T, size) */
} Flow;

typedef struct {
    REAL *certain, *possible;           /* of each spike, (T, size), and so on */
    REAL *least, *most;                 /* ends of S[t] */
    REAL *low, *high;                   /* ends of u[t] */
    REAL *shortest, *longest;           /* ends of the sum that is asked for */
} Ranges;

/* Ends of S, of u and of the sum that is asked for, of WIDE cells side by side: INFINITE, -INFINITE where there is none. */
typedef struct {
    REAL least[WIDE], most[WIDE], low[WIDE], high[WIDE], shortest[WIDE], longest[WIDE];
} Cells;

/* What a step makes of cells in silence or with a spike, whether a run may reach it, 0 or 1, and its bin. */
typedef struct {
    Cells cells;
    long alive[WIDE], bin[WIDE];
} Candidates;

INLINE void widen(Cells *hull, long k, const Cells *from, long i) {
    hull->least[k] = lesser(hull->least[k], from->least[i]), hull->most[k] = greater(hull->most[k], from->most[i]);
    hull->low[k] = lesser(hull->low[k], from->low[i]), hull->high[k] = greater(hull->high[k], from->high[i]);
    hull->shortest[k] = lesser(hull->shortest[k], from->shortest[i]);
    hull->longest[k] = greater(hull->longest[k], from->longest[i]);
}

INLINE void no_cells(Cells *cells) {
    for (int k = 0; k < WIDE; k++) {
        cells->least[k] = cells->low[k] = cells->shortest[k] = INFINITE;
        cells->most[k] = cells->high[k] = cells->longest[k] = -INFINITE;
    }
}

/* The bin of a middle among `count` between the first and the last one. */
INLINE long bin_of(REAL middle, REAL first, REAL width, long count) {
    REAL place = rint((middle - first) / width);
    return (long)lesser(greater(place, 0), (REAL)(count - 1));
}

INLINE REAL width_of(REAL first, REAL last, long count) { return greater((last - first) / (REAL)(count - 1), 1e-300); }

/* Neurons that take a step before the next one, so that what is read and written of them shares its lines of cache. */
#define BESIDE 8

/* Cells that never merge with those of other counts: S is whole, and u is cut by it already (automaton.py). */
INLINE int apart(const Layer *layer, long most) { return layer->decay == 1 && most > layer->steps; }

/* A bit for each that a run may reach. */
INLINE uint64_t bits_of(const long *alive) {
    uint64_t bits = 0;
    for (int k = 0; k < WIDE; k++) bits |= (uint64_t)alive[k] << k;
    return bits;
}

/* Candidates of a step: of each block one of silences and one of spikes. Returns how many a run may reach. */
INLINE long step_of(const Layer *layer, REAL drop, Flow flow, long at, REAL weight, REAL decay, const Cells *cells,
                    long blocks, int whole, Candidates *found, long *fired) {
    REAL own = layer->decay, surely = layer->surely, perhaps = layer->perhaps;
    REAL lower = flow.lower[at], upper = flow.upper[at], from = flow.low[at], to = flow.high[at];
    long silences = 0, spikes = 0;
    for (long b = 0; b < blocks; b++) {
        const Cells *of = cells + b;
        Candidates *quiet = found + 2 * b, *fires = quiet + 1;
#pragma omp simd reduction(+ : silences, spikes)
        for (int k = 0; k < WIDE; k++) {
            REAL least = of->least[k] * own, most = of->most[k] * own;
            REAL low = greater(lower - most * drop, of->low[k] * own + from);
            REAL high = lesser(upper - least * drop, of->high[k] * own + to);
            REAL shortest = of->shortest[k] * decay, longest = of->longest[k] * decay;
            REAL still = lesser(high, surely), start = greater(low, perhaps) - drop, top = high - drop;
            REAL quiet_least = least, quiet_most = most, fires_least = least + 1, fires_most = most + 1;
            if (!whole) {
                quiet_least = greater(quiet_least, (lower - still) / drop);
                quiet_most = lesser(quiet_most, (upper - low) / drop);
                fires_least = greater(fires_least, (lower - top) / drop);
                fires_most = lesser(fires_most, (upper - start) / drop);
            }
            quiet->cells.least[k] = quiet_least, quiet->cells.most[k] = quiet_most;
            quiet->cells.low[k] = low, quiet->cells.high[k] = still;
            quiet->cells.shortest[k] = shortest, quiet->cells.longest[k] = longest;
            fires->cells.least[k] = fires_least, fires->cells.most[k] = fires_most;
            fires->cells.low[k] = start, fires->cells.high[k] = top;
            fires->cells.shortest[k] = shortest + weight, fires->cells.longest[k] = longest + weight;
            quiet->alive[k] = (low <= high) & (low <= surely) & (whole | (quiet_least <= quiet_most));
            fires->alive[k] = (low <= high) & (high >= perhaps) & (whole | (fires_least <= fires_most));
            silences += quiet->alive[k], spikes += fires->alive[k];
        }
    }
    *fired = spikes;
    return silences + spikes;
}

/* The same, without the products and quotients of a drop of 1, which change nothing. */
INLINE long step(const Layer *layer, Flow flow, long at, REAL weight, REAL decay, const Cells *cells, long blocks,
                 int whole, Candidates *found, long *fired) {
    if (layer->drop == 1) return step_of(layer, 1, flow, at, weight, decay, cells, blocks, whole, found, fired);
    return step_of(layer, layer->drop, flow, at, weight, decay, cells, blocks, whole, found, fired);
}

/* The bins of candidates by their middles; a bin of one that no run reaches says nothing. */
INLINE void fill_bins(Candidates *found, long blocks, long most) {
    REAL first[WIDE], last[WIDE];
    for (int k = 0; k < WIDE; k++) first[k] = INFINITE, last[k] = -INFINITE;
    for (long b = 0; b < blocks; b++)
        OVER(k, WIDE) {
            REAL middle = (found[b].cells.least[k] + found[b].cells.most[k]) * (REAL)0.5;
            first[k] = lesser(first[k], found[b].alive[k] ? middle : INFINITE);
            last[k] = greater(last[k], found[b].alive[k] ? middle : -INFINITE);
        }
    for (int k = 1; k < WIDE; k++) *first = lesser(*first, first[k]), *last = greater(*last, last[k]);
    REAL start = *first, width = width_of(start, *last, most);
    for (long b = 0; b < blocks; b++)
        OVER(k, WIDE) {
            REAL middle = (found[b].cells.least[k] + found[b].cells.most[k]) * (REAL)0.5;
            found[b].bin[k] = bin_of(middle, start, width, most);
        }
}

/* Merge the n candidates that a run may reach: they stay apart where they are `most` at most, else those of a bin
   become their hull. Returns how many blocks the cells take. */
static long merge(Candidates *found, long blocks, long n, long most, Cells *cells) {
    long own = blocks_of(least(n, most), WIDE);
    for (long b = 0; b < own; b++) no_cells(cells + b);
    if (n > most) fill_bins(found, blocks, most);
    long next = 0;
    for (const Candidates *from = found; from < found + blocks; from++)
        for (uint64_t left = bits_of(from->alive); left; left &= left - 1) {
            long i = __builtin_ctzll(left), to = n > most ? from->bin[i] : next++;
            widen(cells + (uint64_t)to / WIDE, (long)((uint64_t)to % WIDE), &from->cells, i);
        }
    return own;
}

INLINE void write_ranges(Ranges out, long at, const Cells *cells, long blocks, long silent, long fired) {
    Cells hull;
    no_cells(&hull);
    for (long b = 0; b < blocks; b++) OVER(k, WIDE) widen(&hull, k, cells + b, k);
    for (long half = WIDE / 2; half; half /= 2) OVER(k, half) widen(&hull, k, &hull, k + half);
    out.certain[at] = silent == 0, out.possible[at] = fired > 0;
    out.least[at] = *hull.least, out.most[at] = *hull.most;
    out.low[at] = *hull.low, out.high[at] = *hull.high;
    out.shortest[at] = *hull.shortest, out.longest[at] = *hull.longest;
}

/* Fetch the lines of cache of a step that comes later, which lie far apart. */
INLINE void fetch(const Layer *layer, Flow flow, Ranges out, long t, long start) {
    long at = t * layer->size + start;
    if (t >= layer->steps) return;
    const REAL *in[4] = {flow.lower, flow.upper, flow.low, flow.high};
    REAL *to[8] = {out.certain, out.possible, out.least, out.most, out.low, out.high, out.shortest, out.longest};
    for (int i = 0; i < 4; i++) __builtin_prefetch(in[i] + at);
    for (int i = 0; i < 8; i++) __builtin_prefetch(to[i] + at, 1);
}

/* What cells are asked for, by neuron. */
typedef struct {
    const Layer *layer;
    Flow flow;
    Ranges out;
    long most, counts; /* K; whether they are counted */
    const REAL *row;
    double decay;
    Cells *cells;       /* a thread's own: of BESIDE neurons */
    Candidates *found;  /* of one */
    REAL *spent, *ends; /* where they are counted, n·d and ends by count */
} Asked;

/* What K cells say of `beside` neurons, step by step. */
static void cells_of(const Asked *asked, long start, long beside) {
    const Layer *layer = asked->layer;
    REAL decay = (REAL)asked->decay;
    long blocks[BESIDE], size = blocks_of(asked->most, WIDE), fired;
    int whole = apart(layer, asked->most);
    for (long j = 0; j < beside; j++) {
        static const Cells nothing;
        no_cells(asked->cells + j * size), blocks[j] = 1;
        widen(asked->cells + j * size, 0, &nothing, 0);
    }
    for (long t = 0; t < layer->steps; t++) {
        fetch(layer, asked->flow, asked->out, t + 6, start);
        for (long j = 0; j < beside; j++) {
            long at = t * layer->size + start + j;
            Cells *own = asked->cells + j * size;
            long n = step(layer, asked->flow, at, asked->row[t], decay, own, blocks[j], whole, asked->found, &fired);
            blocks[j] = merge(asked->found, 2 * blocks[j], n, asked->most, own);
            write_ranges(asked->out, at, own, blocks[j], n - fired, fired);
        }
    }
}

/* Neurons that never fade, whose spikes are counted: each cell has a whole S = n, which is its sum, too. Cells of one
   count whose u overlap are as good as their hull: all that a step does to u is monotone, is common to the count, and
   rounds monotonically, so the hull's image is the hull of theirs, which overlap again. So one cell a count says
   bitwise what K > T cells do, unless u of a silence and u of a spike that lead to one count lie apart: then the
   neuron is left to cells_of. WIDE counts go together; as many lie before count 0, which none has. */

/* Ends of u by count, low > high where there is none, before and after a step: counts from first to last may have one
   before it; where the next ones go, those from `from` to `to` still hold what was before that. */
typedef struct {
    REAL *low, *high, *next_low, *next_high;
    long first, last, from, to;
} Counts;

/* Returns whether cells of one count lie apart. `spent` is n·d. */
INLINE int count_step(const Layer *layer, Flow flow, long at, const REAL *spent, Counts *counts, Ranges out) {
    REAL surely = layer->surely, perhaps = layer->perhaps, drop = layer->drop;
    REAL lower = flow.lower[at], upper = flow.upper[at], from = flow.low[at], to = flow.high[at];
    REAL quietest[WIDE], loudest[WIDE], bottom[WIDE], top[WIDE], gap[WIDE];
    long start = counts->from / WIDE * WIDE - 1, behind = counts->last + 2 > counts->to ? counts->last + 2 : counts->to;
    long blocks = (behind - start) / WIDE + 1;
    const REAL *low = counts->low + start, *high = counts->high + start;
    REAL *next_low = counts->next_low + start, *next_high = counts->next_high + start;
    spent += start;
    for (int k = 0; k < WIDE; k++) quietest[k] = bottom[k] = INFINITE, loudest[k] = top[k] = -INFINITE, gap[k] = 0;
    for (long b = 0; b < blocks; b++) OVER(k, WIDE) {
        long n = b * WIDE + k;
        REAL s0 = greater(lower - spent[n], low[n] + from), v = lesser(upper - spent[n], high[n] + to);
        REAL f = greater(lower - spent[n - 1], low[n - 1] + from), w = lesser(upper - spent[n - 1], high[n - 1] + to);
        REAL s1 = lesser(v, surely), f0 = greater(f, perhaps) - drop, f1 = w - drop;
        int quiet = s0 <= v && s0 <= surely, fires = f <= w && w >= perhaps;
        s0 = quiet ? s0 : INFINITE, s1 = quiet ? s1 : -INFINITE;
        f0 = fires ? f0 : INFINITE, f1 = fires ? f1 : -INFINITE;
        gap[k] = quiet && fires && (s0 > f1 || f0 > s1) ? 1 : gap[k];
        quietest[k] = lesser(quietest[k], s0), loudest[k] = greater(loudest[k], f1);
        next_low[n] = s0 = lesser(s0, f0), next_high[n] = s1 = greater(s1, f1);
        bottom[k] = lesser(bottom[k], s0), top[k] = greater(top[k], s1);
    }
    for (int k = 1; k < WIDE; k++) {
        *quietest = lesser(*quietest, quietest[k]), *loudest = greater(*loudest, loudest[k]);
        *bottom = lesser(*bottom, bottom[k]), *top = greater(*top, top[k]), *gap = greater(*gap, gap[k]);
    }
    long first = counts->first, last = counts->last + 1;
    while (first <= last && next_low[first - start] == INFINITE) first++;
    while (first <= last && next_low[last - start] == INFINITE) last--;
    *counts = (Counts){counts->next_low, counts->next_high, counts->low, counts->high, first, last, counts->first, counts->last};
    out.certain[at] = *quietest == INFINITE, out.possible[at] = *loudest > -INFINITE;
    out.least[at] = out.shortest[at] = first <= last ? (REAL)first : INFINITE;
    out.most[at] = out.longest[at] = first <= last ? (REAL)last : -INFINITE;
    out.low[at] = *bottom, out.high[at] = *top;
    return *gap > 0;
}

static long padded(const Layer *layer) { return rounded(layer->steps + 4 + 2 * WIDE, WIDE); }

/* The same as cells_of where `counted`; returns which of them are left to it, a bit each. */
static long counts_of(const Asked *asked, long start, long beside) {
    const Layer *layer = asked->layer;
    long size = padded(layer), gaps = 0;
    Counts counts[BESIDE];
    for (long n = 0; n < size; n++) asked->spent[n] = (REAL)(n - WIDE - 1) * (REAL)layer->drop;
    for (long j = 0; j < beside; j++) {
        REAL *own = asked->ends + 4 * j * size;
        for (long n = 0; n < 4 * size; n++) own[n] = n / size % 2 ? -INFINITE : INFINITE;
        own += WIDE + 1;
        counts[j] = (Counts){own, own + size, own + 2 * size, own + 3 * size, 0, 0, 0, 0};
        own[0] = own[size] = 0;
    }
    for (long t = 0; t < layer->steps; t++) {
        fetch(layer, asked->flow, asked->out, t + 6, start);
        for (long j = 0; j < beside; j++) {
            long at = t * layer->size + start + j;
            if (gaps >> j & 1) continue;
            gaps |= (long)count_step(layer, asked->flow, at, asked->spent + WIDE + 1, counts + j, asked->out) << j;
        }
    }
    return gaps;
}

/* Whether spikes are counted, by cells that never merge with those of other counts. */
static int counted(const Layer *layer, long most, const REAL *row, double decay) {
    int ones = apart(layer, most) && decay == 1;
    for (long t = 0; t < layer->steps; t++) ones &= row[t] == 1;
    return ones;
}

static long lay_out(char *memory, Asked *asked) {
    char *next = memory;
    long wide = blocks_of(asked->most, WIDE), size = padded(asked->layer);
    asked->cells = take(&next, BESIDE * wide, sizeof(Cells)), asked->found = take(&next, 2 * wide, sizeof(Candidates));
    asked->spent = take(&next, size, sizeof(REAL)), asked->ends = take(&next, 4 * BESIDE * size, sizeof(REAL));
    return next - memory;
}

static int some_cells(const Item *item) {
    Asked own = *(const Asked *)item->given;
    lay_out(item->room, &own);
    if (!own.counts) cells_of(&own, item->start, item->n);
    long left = own.counts ? counts_of(&own, item->start, item->n) : 0;
    for (long j = 0; j < item->n; j++)
        if (left >> j & 1) cells_of(&own, item->start + j, 1);
    return 0;
}

/* What K cells a neuron say of each step. Returns 0, or 1 where there is no memory. */
int cell_ranges(const Layer *layer, const Flow *flow, long most, const REAL *row, double decay, const Ranges *out) {
    Asked asked = {layer, *flow, *out, most, counted(layer, most, row, decay), row, decay, 0, 0, 0, 0};
    return for_each(layer->size, BESIDE, layer->threads, lay_out(0, &asked), some_cells, &asked);
}

typedef struct {
    REAL least[2], most[2], low[2], high[2], ahead;
} PairCell;

typedef struct {
    const REAL *lower, *upper; /* of L_y - L_k, (T, pairs) */
} Strip;

/* What a step with given spikes makes of a cell, if a run may go there; neuron y is at 0, neuron k at `pairs`. */
INLINE int pair_step(const Layer *layer, Flow flow, Strip strip, long t, long pair, const int spikes[2],
                     const PairCell *from, PairCell *to) {
    long pairs = layer->size / 2;
    REAL own = layer->decay, drop = layer->drop, bottom[2], top[2], lower[2], upper[2], least[2], most[2];
    for (int i = 0; i < 2; i++) {
        long at = t * layer->size + i * pairs + pair;
        least[i] = from->least[i] * own;
        most[i] = from->most[i] * own;
        bottom[i] = from->low[i] * own + flow.low[at];
        top[i] = from->high[i] * own + flow.high[at];
        if (spikes[i]) bottom[i] = greater(bottom[i], layer->perhaps);
        else top[i] = lesser(top[i], layer->surely);
        lower[i] = greater(flow.lower[at], bottom[i] + least[i] * drop);
        upper[i] = lesser(flow.upper[at], top[i] + most[i] * drop);
        if (!(bottom[i] <= top[i])) return 0;
    }
    REAL p = strip.lower[t * pairs + pair], q = strip.upper[t * pairs + pair];
    REAL a = lower[0], b = upper[0], c = lower[1], e = upper[1];
    lower[0] = greater(a, c + p);
    lower[1] = greater(c, a - q);
    upper[0] = lesser(b, e + q);
    upper[1] = lesser(e, b - p);
    for (int i = 0; i < 2; i++) {
        REAL spike = (REAL)spikes[i];
        if (!(lower[i] <= upper[i])) return 0;
        least[i] += spike;
        most[i] += spike;
        to->low[i] = greater(lower[i] - most[i] * drop, bottom[i] - spike * drop);
        to->high[i] = lesser(upper[i] - least[i] * drop, top[i] - spike * drop);
        to->least[i] = greater(least[i], (lower[i] - to->high[i]) / drop);
        to->most[i] = lesser(most[i], (upper[i] - to->low[i]) / drop);
        if (!(to->low[i] <= to->high[i]) || !(to->least[i] <= to->most[i])) return 0;
    }
    to->ahead = from->ahead + (REAL)(spikes[0] - spikes[1]);
    return 1;
}

INLINE void widen_pair(PairCell *hull, const PairCell *cell) {
    for (int i = 0; i < 2; i++) {
        hull->least[i] = lesser(hull->least[i], cell->least[i]);
        hull->most[i] = greater(hull->most[i], cell->most[i]);
        hull->low[i] = lesser(hull->low[i], cell->low[i]);
        hull->high[i] = greater(hull->high[i], cell->high[i]);
    }
    hull->ahead = lesser(hull->ahead, cell->ahead);
}

static long merge_pairs(PairCell *found, long n, long side, PairCell *cells, long *filled) {
    long most = side * side, count = 0;
    if (n <= most) {
        memcpy(cells, found, (size_t)n * sizeof(PairCell));
        return n;
    }
    REAL first[2], width[2];
    for (int i = 0; i < 2; i++) {
        REAL last = -INFINITE;
        first[i] = INFINITE;
        for (long k = 0; k < n; k++) {
            REAL middle = (found[k].least[i] + found[k].most[i]) * (REAL)0.5;
            first[i] = lesser(first[i], middle);
            last = greater(last, middle);
        }
        width[i] = width_of(first[i], last, side);
    }
    for (long b = 0; b < most; b++) filled[b] = -1;
    for (long k = 0; k < n; k++) {
        long b = 0;
        for (int i = 0; i < 2; i++)
            b = b * side + bin_of((found[k].least[i] + found[k].most[i]) * (REAL)0.5, first[i], width[i], side);
        if (filled[b] < 0) filled[b] = k;
        else widen_pair(found + filled[b], found + k);
    }
    for (long b = 0; b < most; b++)
        if (filled[b] >= 0) cells[count++] = found[filled[b]];
    return count;
}

typedef struct {
    const Layer *layer;
    Flow flow;
    Strip strip;
    long side;
    REAL *out;
} Pairs;

static int least_difference(const Item *item) {
    static const int spikes[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const Pairs *pairs = item->given;
    PairCell *cells = item->room, *found = cells + pairs->side * pairs->side;
    long pair = item->start, count = 1, *bins = (long *)(cells + 5 * pairs->side * pairs->side);
    memset(cells, 0, sizeof(PairCell));
    for (long t = 0; t < pairs->layer->steps; t++) {
        long n = 0;
        for (int i = 0; i < 4; i++)
            for (long k = 0; k < count; k++)
                n += pair_step(pairs->layer, pairs->flow, pairs->strip, t, pair, spikes[i], cells + k, found + n);
        count = merge_pairs(found, n, pairs->side, cells, bins);
    }
    REAL least = INFINITE;
    for (long k = 0; k < count; k++) least = lesser(least, cells[k].ahead);
    pairs->out[pair] = least;
    return 0;
}

/* The least N_y - N_k of each pair: the layer's size is twice their number, first all y, then all k.
   Returns 0, or 1 where there is no memory. */
int least_differences(const Layer *layer, const Flow *flow, const Strip *strip, long side, REAL *out) {
    Pairs pairs = {layer, *flow, *strip, side, out};
    long size = side * side * (long)(5 * sizeof(PairCell) + sizeof(long));
    return for_each(layer->size / 2, 1, layer->threads, size, least_difference, &pairs);
}
