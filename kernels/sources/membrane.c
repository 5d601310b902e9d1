/* The membrane recursion of models/running/eager.py in one pass over memory.

   REAL is float or double. The forward pass rounds exactly as eager.py does: one rounding for a[t]·I[t], one
   for λ·u + that (FUSED: as torch's own kernels on this machine, which models/running/membrane.py checks), and resets that are
   exact or one rounding. So spikes and potentials are bitwise those of eager.py. Compile with
   -ffp-contract=off, so that no compiler fuses anything else. */

#include "shared.h"

#define BLOCK 1024 /* neurons that one block holds in the fastest cache, with all their steps */
#define PARTS 16   /* partial sums of one vector register's width */

enum { TRIANGLE, ARCTAN };        /* surrogates */
enum { AT_LEAST, ABOVE };         /* firing rules */

typedef struct {
    double decay, threshold, drop, width;
    int reset, fires, surrogate, threads;
    long steps, size, current_stride; /* a stride of 0 is a constant current */
} Layer;

typedef struct {
    const REAL *current, *scale, *initial;
} Input;

typedef struct { /* what is asked for of the run; each may be missing */
    REAL *potentials, *spikes, *counts, *final; /* of all neurons */
} Asked;

typedef struct {
    const REAL *potentials, *spikes, *final; /* gradients that come in; each may be missing */
    long potential_stride, spike_stride;     /* 0 for one that is the same at each step */
    REAL *current, *initial;                 /* gradients that go out; `initial` may be missing */
} Gradients;

/* What is done with each block of neurons; a part's memory begins with its sums, `per` numbers a step. */
typedef struct Call {
    const Layer *layer;
    Input in;
    Asked asked;
    Gradients grad;
    void (*block)(const struct Call *call, const Item *item); /* whose room is the part's memory */
    long width, per, own; /* of a block; of sums a step; of a part's memory */
    long parts;
    REAL *memory;
    const void *given, *found; /* what else there is */
} Call;

/* What a part has of memory behind its sums. */
INLINE REAL *potentials_of(const Call *call, const Item *item) {
    return (REAL *)item->room + call->per * call->layer->steps;
}

static int run_part(const Item *item) {
    const Call *call = item->given;
    long p = item->start, end = part_start(call->layer->size, call->width, p + 1, call->parts);
    for (long start = part_start(call->layer->size, call->width, p, call->parts); start < end; start += call->width) {
        Item own = {call, call->memory + p * call->own, start, least(call->width, end - start)};
        call->block(call, &own);
    }
    return 0;
}

/* Run all blocks, each part with so many numbers behind its sums, which are added to grad_scale in an order that
   depends on the number of threads alone. Returns 0, or 1 where there is no memory. */
static int run_blocks(Call *call, long width, long numbers, REAL *grad_scale) {
    long T = call->layer->steps, sums = T * call->per;
    call->width = width, call->own = rounded(sums + numbers, LANES);
    call->parts = most(1, least(call->layer->threads, blocks_of(call->layer->size, width)));
    call->memory = call->own ? aligned(call->parts * call->own * (long)sizeof(REAL)) : 0;
    if (call->own && !call->memory) return 1;
    for (long p = 0; sums && p < call->parts; p++) memset(call->memory + p * call->own, 0, (size_t)sums * sizeof(REAL));
    /* a thread takes as long to make as 2^18 numbers */
    for_each(call->parts, 1, least(call->parts, T * call->layer->size >> 18), 0, run_part, call);
    for (long p = 0; grad_scale && p < call->parts; p++)
        for (long t = 0; t < T; t++)
            for (long k = 0; k < call->per; k++) grad_scale[t] += call->memory[p * call->own + t * call->per + k];
    free_aligned(call->memory);
    return 0;
}

/* Let CALL(RESET) know as a constant which reset it is for. */
#define RESETS(CALL)                                        \
    do {                                                    \
        if (layer->reset == ZERO) CALL(ZERO);               \
        else if (layer->reset == SUBTRACT) CALL(SUBTRACT);  \
        else CALL(NONE);                                    \
    } while (0)

/* The least potential that fires: above the threshold is what is at least the next number. */
INLINE REAL level_of(const Layer *layer) {
    REAL threshold = (REAL)layer->threshold;
    if (layer->fires == AT_LEAST) return threshold;
    return sizeof(REAL) == 4 ? (REAL)nextafterf((float)threshold, INFINITY) : (REAL)nextafter((double)threshold, INFINITY);
}

INLINE REAL after_reset(REAL v, REAL s, REAL drop, int reset) {
    if (reset == ZERO) return MULTIPLY_ADD(-v, s, v);
    if (reset == SUBTRACT) return MULTIPLY_ADD(s, -drop, v);
    return v;
}

INLINE REAL slope(REAL x, REAL width, REAL inverse, int surrogate) {
    if (surrogate == TRIANGLE) {
        REAL high = width - (x < 0 ? -x : x);
        return (high > 0 ? high : 0) * inverse * inverse;
    }
    REAL scaled = (REAL)3.14159265358979323846 * x * inverse;
    return inverse / (1 + scaled * scaled);
}

/* One step; rows that are 0 are not asked for. */
INLINE void step_row(const Layer *layer, long n, const REAL *current, REAL scale, REAL *residue, REAL *counts,
                     REAL *v_row, REAL *s_row, int reset) {
    REAL decay = (REAL)layer->decay, level = level_of(layer), drop = (REAL)layer->drop;
    OVER(j, n) {
        REAL v = MULTIPLY_ADD(residue[j], decay, current[j] * scale);
        REAL s = (REAL)(v >= level);
        residue[j] = after_reset(v, s, drop, reset);
        counts[j] += s;
        if (v_row) v_row[j] = v;
        if (s_row) s_row[j] = s;
    }
}

/* One block through all steps; `stride` is that of `potentials`, from the block's first neuron on. */
INLINE void run_block(const Layer *layer, Input in, long start, long n, REAL *potentials, long stride, Asked out,
                      int reset) {
    REAL residue[BLOCK], counts[BLOCK];
    for (long j = 0; j < n; j++) residue[j] = in.initial ? in.initial[start + j] : 0;
    for (long j = 0; j < n; j++) counts[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        const REAL *current = in.current + t * layer->current_stride + start;
        REAL scale = in.scale ? in.scale[t] : 1;
        REAL *v_row = potentials ? potentials + t * stride : 0, *s_row = out.spikes ? out.spikes + t * layer->size + start : 0;
        if (v_row && s_row) step_row(layer, n, current, scale, residue, counts, v_row, s_row, reset);
        else if (v_row) step_row(layer, n, current, scale, residue, counts, v_row, 0, reset);
        else if (s_row) step_row(layer, n, current, scale, residue, counts, 0, s_row, reset);
        else step_row(layer, n, current, scale, residue, counts, 0, 0, reset);
    }
    if (out.counts) memcpy(out.counts + start, counts, (size_t)n * sizeof(REAL));
    if (out.final) memcpy(out.final + start, residue, (size_t)n * sizeof(REAL));
}

static void forward_block(const Call *call, const Item *item) {
    const Layer *layer = call->layer;
    REAL *potentials = call->asked.potentials ? call->asked.potentials + item->start : 0;
#define CALL(RESET) run_block(layer, call->in, item->start, item->n, potentials, layer->size, call->asked, RESET)
    RESETS(CALL);
#undef CALL
}

void forward(const Layer *layer, const REAL *current, const REAL *scale, const REAL *initial, REAL *potentials,
             REAL *spikes, REAL *counts, REAL *final) {
    Asked asked = {potentials, spikes, counts, final};
    run_blocks(&(Call){.layer = layer, .in = {current, scale, initial}, .asked = asked, .block = forward_block}, BLOCK, 0, 0);
}

/* The reverse recursion on one block whose potentials are known; sums, T·PARTS, collect Σ q·I. */
INLINE void back_block(const Call *call, const Item *item, const REAL *potentials, int reset, int surrogate) {
    const Layer *layer = call->layer;
    Input in = call->in;
    Gradients grad = call->grad;
    long start = item->start, n = item->n;
    REAL *sums = item->room, level = level_of(layer);
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL width = (REAL)layer->width, inverse = 1 / width, following[BLOCK], adjoint[BLOCK];
    int constant = layer->current_stride == 0;
    for (long j = 0; j < n; j++) following[j] = grad.final ? grad.final[start + j] : 0;
    for (long t = layer->steps - 1; t >= 0; t--) {
        const REAL *v_row = potentials + t * BLOCK;
        const REAL *direct = grad.spikes ? grad.spikes + t * grad.spike_stride + start : 0;
        const REAL *extra = grad.potentials ? grad.potentials + t * grad.potential_stride + start : 0;
        const REAL *current = in.current + t * layer->current_stride + start;
        REAL *out = grad.current + t * layer->current_stride + start;
        REAL scale = in.scale ? in.scale[t] : 1;
        OVER(j, n) {
            REAL v = v_row[j], next = following[j], kept = next, into = direct ? direct[j] : 0;
            if (reset == ZERO) {
                into = MULTIPLY_ADD(-v, next, into);
                kept = v >= level ? 0 : next;
            }
            if (reset == SUBTRACT) into = MULTIPLY_ADD(-drop, next, into);
            REAL q = MULTIPLY_ADD(slope(v - threshold, width, inverse, surrogate), into, kept);
            q = extra ? q + extra[j] : q;
            adjoint[j] = q;
            following[j] = decay * q;
        }
        if (constant && t < layer->steps - 1)
            for (long j = 0; j < n; j++) out[j] = MULTIPLY_ADD(adjoint[j], scale, out[j]);
        else
            for (long j = 0; j < n; j++) out[j] = adjoint[j] * scale;
        if (in.scale) {
            REAL all[PARTS];
            long j = 0;
            memcpy(all, sums + t * PARTS, sizeof all);
            for (; j + PARTS <= n; j += PARTS) OVER(k, PARTS) all[k] += adjoint[j + k] * current[j + k];
            for (; j < n; j++) *all += adjoint[j] * current[j];
            memcpy(sums + t * PARTS, all, sizeof all);
        }
    }
    if (grad.initial)
        for (long j = 0; j < n; j++) grad.initial[start + j] = following[j];
}

static void backward_block(const Call *call, const Item *item) {
    const Layer *layer = call->layer;
    REAL *potentials = potentials_of(call, item);
#define CALL(RESET) run_block(layer, call->in, item->start, item->n, potentials, BLOCK, (Asked){0}, RESET)
    RESETS(CALL);
#undef CALL
#define CALL(RESET) \
    if (layer->surrogate == TRIANGLE) back_block(call, item, potentials, RESET, TRIANGLE); \
    else back_block(call, item, potentials, RESET, ARCTAN)
    RESETS(CALL);
#undef CALL
}

/* Returns 0, or 1 where there is no memory. */
int backward(const Layer *layer, const REAL *current, const REAL *scale, const REAL *initial,
             const Gradients *gradients, REAL *grad_scale) {
    Input in = {current, scale, initial};
    Call call = {.layer = layer, .in = in, .grad = *gradients, .block = backward_block, .per = PARTS};
    return run_blocks(&call, BLOCK, layer->steps * BLOCK, grad_scale);
}

#include "membrane/ends.c"
#include "membrane/coupled.c"
#include "membrane/windows.c"
