/* Exact inputs, walked step by step through all layers that fire: what certify/bounds/points.py does of one signal
   after the other, of one row after the other. See certify/bounds/points.py.

   Sums have an order of their own, over what is not 0, and products may be fused into them: what is paid for rounding
   covers any order (certify/rounding.py). A row begins at the first step at which it differs from the one before
   it, in what enters and in what is said of spikes. Where a number is not tame, or NaN, nothing is said at all. */

#include "shared.h"

enum { LOW, HIGH, MUST, MAY, SYNAPSE, SYNAPSE_RADIUS, HEARD, HEARD_RADIUS, STATES };

/* y = W·x + b for x with |x - middle| <= radius, |x| <= size. */
typedef struct {
    const double *weights;     /* transposed, (inputs, lanes) */
    const double *bias, *most; /* b, and the moduli that it is made of, (lanes,) */
    const double *errors;      /* what k products may be off, for each unit of their moduli, (inputs + 1,) */
    double lost;               /* what underflow takes from an output */
    double filter;             /* kappa of the synapse behind it; 0 for none */
} Map;

typedef struct {
    Map map, feedback;   /* of what enters, and of the own spikes a step before; no weights: not heard */
    const double *scale; /* a, (steps,); 0 for 1 */
    double decay, surely, perhaps, drop, span;
    double unit, smallest;                 /* what a step of potentials may be off */
    double synapse_unit, synapse_smallest; /* and one of synapses */
    double sum_error;                      /* and the sum of what enters and what is heard */
    long inputs, size, lanes;              /* lanes: of neurons and nothing, a multiple of 8 */
    int reset;
} Layer;

typedef struct {
    long steps, entering, rows, layers, marks; /* entering: steps of the inputs, or 1 for the same at each */
    double tame;                               /* up to where nothing overflows */
    int threads;
} Sizes;

typedef struct {
    const double *inputs; /* (rows, entering, inputs) */
    const long *marks;    /* (rows, marks, 4): step, layer and neuron, rising; 1 for a spike, -1 for none */
} Given;

typedef struct {
    double *certain, *possible; /* the last layer's spikes, (rows, steps, neurons) */
    long *opened;               /* the first open spike's step, layer and neuron, -1 for none, (rows, 3) */
} Found;

/* Entries of a signal that may be other than 0. */
typedef struct {
    long count, *place;
    double *middle, *radius, *size;
} Source;

typedef struct {
    const Sizes *sizes;
    const Layer *layers;
    Given in;
    Found out;
    double *trail;     /* the states behind each step of the last row, (steps + 1, width) */
    long width, lanes; /* of all layers' states; the most of a layer */
    Source entering;   /* at a step */
    Source *spikes;    /* of each layer, at the last step that was made */
    double *scratch;   /* (6, lanes) */
    double *wild;      /* whether a number was not tame, (lanes,) */
} Walk;

static void image(const Map *map, long lanes, const Source *from, double *restrict middle, double *restrict radius) {
    double error = map->errors[from->count];
    for (long j = 0; j < lanes; j++) middle[j] = map->bias[j], radius[j] = map->lost + error * map->most[j];
    for (long i = 0; i < from->count; i++) {
        const double *row = map->weights + from->place[i] * lanes;
        double x = from->middle[i], r = from->radius[i] + error * from->size[i];
        for (long j = 0; j < lanes; j++) middle[j] += row[j] * x, radius[j] += fabs(row[j]) * r;
    }
}

/* One step of a synapse, whose state is written; a current is left where it is without one. */
static void synapse(const Layer *layer, double filter, const double *before, double *after, double *restrict middle,
                    double *restrict radius) {
    if (filter == 0.0) return;
    long lanes = layer->lanes;
    for (long j = 0; j < lanes; j++) {
        double left = filter * before[j], wide = filter * before[lanes + j];
        double most = fabs(left) + wide + fabs(middle[j]) + radius[j];
        middle[j] += left;
        radius[j] += wide + (layer->synapse_unit * most + layer->synapse_smallest);
        after[j] = middle[j], after[lanes + j] = radius[j];
    }
}

/* What a spike, or none, leaves of a potential between `low` and `high`: see after_reset in intervals.py. */
typedef struct {
    double surely, perhaps, drop;
} Limits;

INLINE void reset(const Limits limits, int kind, double must, double may, double *low, double *high) {
    double l = *low, h = *high, quiet = lesser(h, limits.surely);
    if (kind == ZERO) {
        l = may > 0.0 ? lesser(l, 0.0) : l, h = may > 0.0 ? quiet : h;
        *low = must > 0.0 ? 0.0 : l, *high = must > 0.0 ? 0.0 : h;
    } else if (kind == SUBTRACT) {
        double fired_low = l - limits.drop, fired_high = h - limits.drop;
        double joined = lesser(l, greater(l, limits.perhaps) - limits.drop);
        l = may > 0.0 ? joined : l, h = may > 0.0 ? greater(fired_high, quiet) : h;
        *low = must > 0.0 ? fired_low : l, *high = must > 0.0 ? fired_high : h;
    }
}

INLINE void settle(const Limits limits, int kind, long lanes, const double *restrict low, const double *restrict high,
                   double *restrict after) {
    for (long j = 0; j < lanes; j++) {
        double l = low[j], h = high[j];
        double must = l > limits.surely ? 1.0 : 0.0, may = h >= limits.perhaps ? 1.0 : 0.0;
        reset(limits, kind, must, may, &l, &h);
        after[LOW * lanes + j] = l, after[HIGH * lanes + j] = h;
        after[MUST * lanes + j] = must, after[MAY * lanes + j] = may;
    }
}

static Limits limits_of(const Layer *layer) { return (Limits){layer->surely, layer->perhaps, layer->drop}; }

/* Potentials and spikes of a step under a current. */
static void fire(const Walk *walk, const Layer *layer, double factor, const double *before, double *after,
                 const double *middle, const double *radius, double *restrict low, double *restrict high) {
    long lanes = layer->lanes;
    for (long j = 0; j < lanes; j++) {
        double least = layer->decay * before[LOW * lanes + j], most = layer->decay * before[HIGH * lanes + j];
        double x = factor * middle[j], wide = fabs(factor) * radius[j];
        double size = greater(fabs(least), fabs(most)) + fabs(x) + wide + layer->span;
        double slack = wide + (layer->unit * size + layer->smallest);
        low[j] = least + (x - slack), high[j] = most + (x + slack);
        walk->wild[j] = size + slack <= walk->sizes->tame && radius[j] <= walk->sizes->tame ? walk->wild[j] : 1.0;
    }
    if (layer->reset == ZERO) settle(limits_of(layer), ZERO, lanes, low, high, after);
    else if (layer->reset == SUBTRACT) settle(limits_of(layer), SUBTRACT, lanes, low, high, after);
    else settle(limits_of(layer), NONE, lanes, low, high, after);
}

/* The spikes of a state, as what goes on; returns the first open one, or -1. */
static long listen(const Layer *layer, const double *state, Source *spikes) {
    const double *must = state + MUST * layer->lanes, *may = state + MAY * layer->lanes;
    long count = 0, open = -1;
    for (long j = 0; j < layer->size; j++) {
        if (may[j] == 0.0) continue;
        if (must[j] == 0.0 && open < 0) open = j;
        spikes->place[count] = j;
        spikes->middle[count] = 0.5 * (must[j] + may[j]), spikes->radius[count] = 0.5 * (may[j] - must[j]);
        spikes->size[count++] = 1.0;
    }
    spikes->count = count;
    return open;
}

static void enter(Walk *walk, long row, long t) {
    long inputs = walk->layers[0].inputs, entering = walk->sizes->entering, count = 0;
    const double *x = walk->in.inputs + (row * entering + t % entering) * inputs;
    Source *to = &walk->entering;
    for (long j = 0; j < inputs; j++) {
        if (x[j] == 0.0) continue;
        to->place[count] = j, to->middle[count] = x[j], to->radius[count] = 0.0, to->size[count++] = fabs(x[j]);
    }
    to->count = count;
}

/* What is said of a layer's spikes at a step; returns the first mark behind. */
static const long *say(const Layer *layer, const long *mark, const long *end, long t, long l, double *after,
                       const double *low, const double *high) {
    for (; mark < end && mark[0] == t && mark[1] == l; mark += 4) {
        long j = mark[2], lanes = layer->lanes;
        double spike = mark[3] > 0 ? 1.0 : 0.0;
        double *kept = after + j;
        kept[LOW * lanes] = low[j], kept[HIGH * lanes] = high[j];
        reset(limits_of(layer), layer->reset, spike, spike, &kept[LOW * lanes], &kept[HIGH * lanes]);
        kept[MUST * lanes] = kept[MAY * lanes] = spike;
    }
    return mark;
}

static void step(const Walk *walk, long l, long t, const Source *from, const double *before, double *after,
                 const long **mark, const long *end) {
    const Layer *layer = walk->layers + l;
    long lanes = layer->lanes;
    double *middle = walk->scratch, *radius = middle + lanes, *low = radius + lanes, *high = low + lanes;
    image(&layer->map, lanes, from, middle, radius);
    synapse(layer, layer->map.filter, before + SYNAPSE * lanes, after + SYNAPSE * lanes, middle, radius);
    if (layer->feedback.weights) {
        double *heard = high + lanes, *loose = heard + lanes;
        image(&layer->feedback, lanes, &walk->spikes[l], heard, loose);
        for (long j = 0; j < lanes; j++) {
            double both = fabs(middle[j]) + radius[j] + fabs(heard[j]) + loose[j];
            middle[j] += heard[j], radius[j] += loose[j] + layer->sum_error * both;
        }
        synapse(layer, layer->feedback.filter, before + HEARD * lanes, after + HEARD * lanes, middle, radius);
    }
    fire(walk, layer, layer->scale ? layer->scale[t] : 1.0, before, after, middle, radius, low, high);
    *mark = say(layer, *mark, end, t, l, after, low, high);
}

/* The first step at which two rows that follow each other differ. */
static long parting(const Walk *walk, long row) {
    const Sizes *sizes = walk->sizes;
    long inputs = walk->layers[0].inputs, entering = sizes->entering, t = 0;
    const double *own = walk->in.inputs + row * entering * inputs, *other = own - entering * inputs;
    while (t < entering && !memcmp(own + t * inputs, other + t * inputs, sizeof(double) * (size_t)inputs)) t++;
    long found = t == entering ? sizes->steps : t;
    const long *mark = walk->in.marks + row * sizes->marks * 4, *before = mark - sizes->marks * 4;
    for (long k = 0; k < sizes->marks; k++, mark += 4, before += 4)
        if (memcmp(mark, before, 4 * sizeof(long))) {
            long first = mark[0] < before[0] ? mark[0] : before[0];
            return first < found ? first : found;
        }
    return found;
}

static void note(long *opened, long t, long l, long j) {
    if (opened[0] < 0) opened[0] = t, opened[1] = l, opened[2] = j;
}

static void walk_row(Walk *walk, long row, int first) {
    const Sizes *sizes = walk->sizes;
    long last = sizes->layers - 1, size = walk->layers[last].size, start = first ? 0 : parting(walk, row);
    const long *mark = walk->in.marks + row * sizes->marks * 4, *end = mark + sizes->marks * 4;
    while (mark < end && mark[0] < start) mark += 4;
    double *certain = walk->out.certain + row * sizes->steps * size;
    double *possible = walk->out.possible + row * sizes->steps * size;
    long *opened = walk->out.opened + row * 3;
    opened[0] = opened[1] = opened[2] = -1;
    if (!first) {
        size_t prefix = sizeof(double) * (size_t)(start * size);
        memcpy(certain, certain - sizes->steps * size, prefix);
        memcpy(possible, possible - sizes->steps * size, prefix);
        if (opened[-3] >= 0 && opened[-3] < start) memcpy(opened, opened - 3, 3 * sizeof(long));
    }
    double *state = walk->trail + start * walk->width;
    for (long l = 0, at = 0; l <= last; at += STATES * walk->layers[l++].lanes)
        listen(walk->layers + l, state + at, &walk->spikes[l]);
    for (long t = start; t < sizes->steps; t++, state += walk->width) {
        const Source *from = &walk->entering;
        enter(walk, row, t);
        double *after = state + walk->width;
        for (long l = 0, at = 0; l <= last; at += STATES * walk->layers[l++].lanes) {
            step(walk, l, t, from, state + at, after + at, &mark, end);
            long open = listen(walk->layers + l, after + at, &walk->spikes[l]);
            if (open >= 0) note(opened, t, l, open);
            from = &walk->spikes[l];
        }
        const double *ends = after + walk->width - STATES * walk->layers[last].lanes;
        memcpy(certain + t * size, ends + MUST * walk->layers[last].lanes, sizeof(double) * (size_t)size);
        memcpy(possible + t * size, ends + MAY * walk->layers[last].lanes, sizeof(double) * (size_t)size);
    }
}

static long lay_source(long size, char *memory, Source *source) {
    char *next = memory;
    source->count = 0, source->place = take(&next, size, sizeof(long));
    source->middle = take(&next, size, sizeof(double)), source->radius = take(&next, size, sizeof(double));
    source->size = take(&next, size, sizeof(double));
    return next - memory;
}

static long lay_out(char *memory, Walk *walk) {
    char *next = memory;
    const Layer *layers = walk->layers;
    long real = sizeof(double);
    walk->width = walk->lanes = 0, walk->spikes = take(&next, walk->sizes->layers, sizeof(Source));
    for (long l = 0; l < walk->sizes->layers; l++) {
        Source counted;
        walk->width += STATES * layers[l].lanes, walk->lanes = most(walk->lanes, layers[l].lanes);
        next += lay_source(layers[l].size, next, memory ? walk->spikes + l : &counted);
    }
    next += lay_source(layers[0].inputs, next, &walk->entering);
    walk->trail = take(&next, (walk->sizes->steps + 1) * walk->width, real);
    walk->scratch = take(&next, 6 * walk->lanes, real), walk->wild = take(&next, walk->lanes, real);
    return next - memory;
}

static int walk_part(const Item *item) {
    Walk walk = *(const Walk *)item->given;
    int failed = 0;
    lay_out(item->room, &walk);
    memset(walk.trail, 0, sizeof(double) * (size_t)walk.width), memset(walk.wild, 0, sizeof(double) * (size_t)walk.lanes);
    for (long row = item->start; row < item->start + item->n; row++) walk_row(&walk, row, row == item->start);
    for (long j = 0; j < walk.lanes; j++) failed |= walk.wild[j] > 0.0 ? 2 : 0;
    return failed;
}

/* Returns 0; 1 where there is no memory, 2 where a number was not tame. */
int walk(const Sizes *sizes, const Layer *layers, const Given *in, const Found *out) {
    Walk walk = {.sizes = sizes, .layers = layers, .in = *in, .out = *out};
    long each = most(1, blocks_of(sizes->rows, sizes->threads));
    return for_each(sizes->rows, each, sizes->threads, lay_out(0, &walk), walk_part, &walk);
}
