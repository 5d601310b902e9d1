/* The multipliers of certify/branching/ranges.py: Adam on what slabs say of currents, LANES aims at a time. In REAL.

   Any multipliers give a valid range, which torch computes from them. Compiled on demand. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LANES (64 / (int)sizeof(REAL)) /* aims that go together, one vector register or two */
#define TOGETHER 4 /* inputs that go together; m is a multiple of it */
#define EACH _Pragma("omp simd") for (int l = 0; l < LANES; l++)
#define ROOT(x) (sizeof(REAL) == 4 ? (REAL)__builtin_sqrtf((float)(x)) : (REAL)__builtin_sqrt((double)(x)))

typedef struct {
    double rate, momentum, momentum_squares;
    long iterations, nodes, aims, slabs, inputs; /* N, A, K, m */
    int threads;
} Slabs;

typedef REAL Vector __attribute__((vector_size(64), aligned(64), may_alias));

typedef struct {
    REAL v[LANES];
} __attribute__((aligned(64))) Row;

/* What LANES aims need: m of `aim`, K of each of the others. */
typedef struct {
    Row *aim, *prices, *first, *second, *best, *reached;
} State;

/* Find each slab's position at the minimiser, with its sign turned; return the values of the prices. */
static Row look(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const State *state) {
    long K = slabs->slabs, m = slabs->inputs;
    Row value = {0};
    for (long k = 0; k < K; k++) {
        Row price = state->prices[k];
        EACH value.v[l] += price.v[l] * (price.v[l] > 0 ? least[k] : most[k]);
    }
    memset(state->reached, 0, sizeof(Row) * (size_t)K);
    Vector sizes = {0};
    for (long x = 0; x < m; x += TOGETHER) {
        Vector slope[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) slope[i] = *(const Vector *)state->aim[x + i].v;
        for (long k = 0; k < K; k++) {
            Vector price = *(const Vector *)state->prices[k].v;
            for (int i = 0; i < TOGETHER; i++) slope[i] -= price * rows[k * m + x + i];
        }
        for (int i = 0; i < TOGETHER; i++) {
            Vector sign = __builtin_convertvector((slope[i] < 0) - (slope[i] > 0), Vector);
            sizes += slope[i] * sign;
            slope[i] = sign;
        }
        for (long k = 0; k < K; k++) {
            Vector *reached = (Vector *)state->reached[k].v, sum = *reached;
            for (int i = 0; i < TOGETHER; i++) sum += slope[i] * rows[k * m + x + i];
            *reached = sum;
        }
    }
    EACH value.v[l] -= sizes[l];
    return value;
}

/* An Adam step; a multiplier that would change its sign stops at 0. */
static void step(const Slabs *slabs, const REAL *least, const REAL *most, REAL rate, const State *state) {
    REAL keep = (REAL)(1 - slabs->momentum), keep_squares = (REAL)slabs->momentum_squares;
    for (long k = 0; k < slabs->slabs; k++) {
        REAL *price = state->prices[k].v, *first = state->first[k].v, *second = state->second[k].v;
        EACH {
            REAL below = least[k] + state->reached[k].v[l], above = most[k] + state->reached[k].v[l];
            REAL neither = (below > 0 ? below : 0) + (above < 0 ? above : 0);
            REAL gradient = price[l] == 0 ? neither : price[l] > 0 ? below : above;
            first[l] += (gradient - first[l]) * keep;
            second[l] = second[l] * keep_squares + gradient * gradient * (1 - keep_squares);
            REAL moved = price[l] + rate * first[l] / (ROOT(second[l]) + (REAL)1e-8);
            price[l] = price[l] * moved < 0 ? 0 : moved;
        }
    }
}

/* The best prices of some aims. */
static void search(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const State *state) {
    size_t size = sizeof(Row) * (size_t)slabs->slabs;
    Row record = {0};
    memset(state->prices, 0, size), memset(state->first, 0, size), memset(state->second, 0, size);
    memset(state->best, 0, size);
    for (long count = 1; count <= slabs->iterations; count++) {
        Row value = look(slabs, rows, least, most, state);
        if (count == 1) record = value;
        for (long k = 0; k < slabs->slabs; k++)
            EACH state->best[k].v[l] = value.v[l] > record.v[l] ? state->prices[k].v[l] : state->best[k].v[l];
        EACH record.v[l] = value.v[l] > record.v[l] ? value.v[l] : record.v[l];
        if (count == slabs->iterations) break;
        double powers = sqrt(1 - pow(slabs->momentum_squares, (double)count)) / (1 - pow(slabs->momentum, (double)count));
        double rate = slabs->rate * (1 - 0.9 * (double)count / (double)slabs->iterations) * powers;
        step(slabs, least, most, (REAL)rate, state);
    }
}

/* Rows (N, K, m), their ends (N, K), aims (N, A, m) → multipliers (N, A, K); inputs of 0 make m a multiple of TOGETHER.
   Returns whether memory failed. */
int multipliers(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const REAL *aims, REAL *best) {
    long K = slabs->slabs, A = slabs->aims, m = slabs->inputs;
    int failed = 0;
#pragma omp parallel num_threads(slabs->threads) reduction(| : failed) if (slabs->threads > 1)
    {
        Row *memory = aligned_alloc(64, sizeof(Row) * (size_t)(5 * K + m));
        State state = {memory, memory + m, memory + m + K, memory + m + 2 * K, memory + m + 3 * K, memory + m + 4 * K};
        failed |= !memory;
#pragma omp for schedule(dynamic)
        for (long n = 0; n < slabs->nodes; n++)
            for (long a = 0; memory && a < A; a += LANES) {
                const REAL *from = aims + (n * A + a) * m;
                for (long x = 0; x < m; x++)
                    for (int l = 0; l < LANES; l++) state.aim[x].v[l] = a + l < A ? from[l * m + x] : 0;
                search(slabs, rows + n * K * m, least + n * K, most + n * K, &state);
                for (int l = 0; l < LANES && a + l < A; l++)
                    for (long k = 0; k < K; k++) best[(n * A + a + l) * K + k] = state.best[k].v[l];
            }
        free(memory);
    }
    return failed;
}
