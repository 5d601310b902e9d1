/* The membrane recursion of models/eager.py in one pass over memory, compiled on demand by loading.py.

   REAL is float or double. The forward pass rounds exactly as eager.py does: one rounding for a[t]·I[t], one
   for λ·u + that (FUSED: as torch's own kernels on this machine, which the loader checks), and resets that are
   exact or one rounding. So spikes and potentials are bitwise those of eager.py. Compile with
   -ffp-contract=off, so that no compiler fuses anything else. */

#include <stdlib.h>
#include <string.h>

#define LANES 1024 /* neurons that one block holds in the fastest cache, with all their steps */
#define PARTS 16  /* partial sums of one vector register's width */

#if FUSED
#define MULTIPLY_ADD(a, b, c) (sizeof(REAL) == 4 ? __builtin_fmaf(a, b, c) : __builtin_fma(a, b, c))
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { ZERO, SUBTRACT, NONE };    /* resets */
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

#define INLINE static inline __attribute__((always_inline))

INLINE long least(long a, long b) { return a < b ? a : b; }

INLINE REAL fire(REAL v, REAL threshold, int fires) {
    return fires == AT_LEAST ? (REAL)(v >= threshold) : (REAL)(v > threshold);
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

typedef struct { /* what is asked for of the run; each may be missing */
    REAL *potentials; /* rows of the given stride, from the block's first neuron on */
    long stride;
    REAL *spikes, *counts, *final; /* of all neurons */
} Asked;

/* One block of at most LANES neurons through all steps. */
INLINE void run_block(const Layer *layer, Input in, long start, long n, Asked out, int reset, int fires) {
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL residue[LANES], counts[LANES];
    for (long j = 0; j < n; j++) residue[j] = in.initial ? in.initial[start + j] : 0;
    for (long j = 0; j < n; j++) counts[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        const REAL *current = in.current + t * layer->current_stride + start;
        REAL scale = in.scale ? in.scale[t] : 1;
        REAL *v_row = out.potentials ? out.potentials + t * out.stride : 0;
        REAL *s_row = out.spikes ? out.spikes + t * layer->size + start : 0;
        for (long j = 0; j < n; j++) {
            REAL v = MULTIPLY_ADD(residue[j], decay, current[j] * scale);
            REAL s = fire(v, threshold, fires);
            residue[j] = after_reset(v, s, drop, reset);
            if (v_row) v_row[j] = v;
            if (s_row) s_row[j] = s;
            counts[j] += s;
        }
    }
    if (out.counts) memcpy(out.counts + start, counts, (size_t)n * sizeof(REAL));
    if (out.final) memcpy(out.final + start, residue, (size_t)n * sizeof(REAL));
}

static void run_any_block(const Layer *layer, Input in, long start, long n, Asked out) {
#define CASE(RESET, FIRES)                                \
    if (layer->reset == RESET && layer->fires == FIRES) { \
        run_block(layer, in, start, n, out, RESET, FIRES); \
        return;                                           \
    }
    CASE(ZERO, AT_LEAST) CASE(ZERO, ABOVE) CASE(SUBTRACT, AT_LEAST)
    CASE(SUBTRACT, ABOVE) CASE(NONE, AT_LEAST) CASE(NONE, ABOVE)
#undef CASE
}

/* Which neurons part p of all the threads' parts works on: whole blocks. */
INLINE long part_start(const Layer *layer, int p) {
    long blocks = (layer->size + LANES - 1) / LANES;
    return least(layer->size, blocks * p / layer->threads * LANES);
}

void forward(const Layer *layer, const REAL *current, const REAL *scale, const REAL *initial, REAL *potentials,
             REAL *spikes, REAL *counts, REAL *final) {
    Input in = {current, scale, initial};
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
    for (int p = 0; p < layer->threads; p++)
        for (long start = part_start(layer, p), end = part_start(layer, p + 1); start < end; start += LANES)
            run_any_block(layer, in, start, least(LANES, end - start),
                          (Asked){potentials ? potentials + start : 0, layer->size, spikes, counts, final});
}

typedef struct {
    const REAL *potentials, *spikes, *final; /* gradients that come in; each may be missing */
    long potential_stride, spike_stride;     /* 0 for one that is the same at each step */
    REAL *current, *initial;                 /* gradients that go out; `initial` may be missing */
} Gradients;

/* The reverse recursion on one block whose potentials are known; `sums`, T·PARTS, collects Σ q·I. */
INLINE void back_block(const Layer *layer, Input in, Gradients grad, long start, long n, const REAL *potentials,
                       REAL *sums, int reset, int surrogate) {
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL width = (REAL)layer->width, inverse = 1 / width, following[LANES], adjoint[LANES];
    int constant = layer->current_stride == 0;
    for (long j = 0; j < n; j++) following[j] = grad.final ? grad.final[start + j] : 0;
    for (long t = layer->steps - 1; t >= 0; t--) {
        const REAL *v_row = potentials + t * LANES;
        const REAL *direct = grad.spikes ? grad.spikes + t * grad.spike_stride + start : 0;
        const REAL *extra = grad.potentials ? grad.potentials + t * grad.potential_stride + start : 0;
        const REAL *current = in.current + t * layer->current_stride + start;
        REAL *out = grad.current + t * layer->current_stride + start;
        REAL scale = in.scale ? in.scale[t] : 1;
        for (long j = 0; j < n; j++) {
            REAL v = v_row[j], next = following[j], kept = next, into = direct ? direct[j] : 0;
            if (reset == ZERO) {
                into = MULTIPLY_ADD(-v, next, into);
                kept = fire(v, threshold, layer->fires) != 0 ? 0 : next;
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
            long j = 0;
            for (; j + PARTS <= n; j += PARTS)
                for (long k = 0; k < PARTS; k++) sums[t * PARTS + k] += adjoint[j + k] * current[j + k];
            for (; j < n; j++) sums[t * PARTS] += adjoint[j] * current[j];
        }
    }
    if (grad.initial)
        for (long j = 0; j < n; j++) grad.initial[start + j] = following[j];
}

static void back_any_block(const Layer *layer, Input in, Gradients grad, long start, long n, REAL *potentials,
                           REAL *sums) {
    run_any_block(layer, in, start, n, (Asked){potentials, LANES, 0, 0, 0});
#define CASE(RESET, SURROGATE)                                                                            \
    if (layer->reset == RESET && layer->surrogate == SURROGATE) {                                         \
        back_block(layer, in, grad, start, n, potentials, sums, RESET, SURROGATE);                        \
        return;                                                                                           \
    }
    CASE(ZERO, TRIANGLE) CASE(ZERO, ARCTAN) CASE(SUBTRACT, TRIANGLE)
    CASE(SUBTRACT, ARCTAN) CASE(NONE, TRIANGLE) CASE(NONE, ARCTAN)
#undef CASE
}

/* Returns 0, or 1 where there is no memory. The sums over neurons are added in an order that depends on the number
   of threads alone. */
int backward(const Layer *layer, const REAL *current, const REAL *scale, const REAL *initial,
             const Gradients *gradients, REAL *grad_scale) {
    Input in = {current, scale, initial};
    long sums = layer->steps * PARTS, own = layer->steps * LANES + sums;
    REAL *memory = calloc((size_t)(layer->threads * own), sizeof(REAL));
    if (!memory) return 1;
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
    for (int p = 0; p < layer->threads; p++)
        for (long start = part_start(layer, p), end = part_start(layer, p + 1); start < end; start += LANES)
            back_any_block(layer, in, *gradients, start, least(LANES, end - start), memory + p * own + sums,
                           memory + p * own);
    for (int p = 0; grad_scale && p < layer->threads; p++)
        for (long t = 0; t < layer->steps; t++)
            for (long k = 0; k < PARTS; k++) grad_scale[t] += memory[p * own + t * PARTS + k];
    free(memory);
    return 0;
}

#include "membrane/ends.c"
#include "membrane/coupled.c"
#include "membrane/windows.c"
