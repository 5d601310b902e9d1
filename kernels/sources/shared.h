/* What the sources share: numbers, vectors of them, memory, and threads. REAL is float or double. */

#ifndef SHARED
#define SHARED

#if __FAST_MATH__ || __FINITE_MATH_ONLY__ || __ASSOCIATIVE_MATH__ || __RECIPROCAL_MATH__
#error "got -ffast-math or the like, expected IEEE arithmetic: what is proven depends on it"
#endif

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <malloc.h>
#include <windows.h>
#undef INFINITE
#define long long long /* of 64 bits everywhere, as torch's integers */
#define ENTRY DWORD WINAPI
#define end_thread(thread) (WaitForSingleObject(thread, (DWORD)-1), CloseHandle(thread))
#define aligned_alloc(to, size) _aligned_malloc(size, to)
#define free_aligned _aligned_free
typedef HANDLE Thread;
#else
#include <pthread.h>
#define ENTRY void *
#define end_thread(thread) pthread_join(thread, 0)
#define free_aligned free
typedef pthread_t Thread;
#endif

#define INLINE static inline __attribute__((always_inline))
#define INFINITE ((REAL)__builtin_inf())
#define LANES (64 / (int)sizeof(REAL)) /* numbers that go together, in one vector register or two */
#define WIDE 8                         /* vectors, or numbers, that stay in registers */
#define EACH _Pragma("omp simd") for (int l = 0; l < LANES; l++)
#define OVER(j, n) _Pragma("omp simd") for (long j = 0; j < (n); j++)
#define ROOT(x) (sizeof(REAL) == 4 ? (REAL)__builtin_sqrtf((float)(x)) : (REAL)__builtin_sqrt((double)(x)))

/* One rounding for a·b + c where FUSED, as torch's own kernels have on such a machine, which models/running/membrane.py checks. */
#if FUSED
#define MULTIPLY_ADD(a, b, c) (sizeof(REAL) == 4 ? __builtin_fmaf(a, b, c) : __builtin_fma(a, b, c))
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

enum { ZERO, SUBTRACT, NONE }; /* resets */

typedef REAL Vector __attribute__((vector_size(64), aligned(64), may_alias));

typedef struct {
    REAL v[LANES];
} __attribute__((aligned(64))) Row;

/* `b` where one is NaN. */
INLINE REAL lesser(REAL a, REAL b) { return a < b ? a : b; }
INLINE REAL greater(REAL a, REAL b) { return a > b ? a : b; }
INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE long most(long a, long b) { return a > b ? a : b; }
INLINE long blocks_of(long n, long size) { return (n + size - 1) / size; }
INLINE long rounded(long n, long to) { return blocks_of(n, to) * to; }

/* Where part p of the parts of n starts, in whole blocks. */
INLINE long part_start(long n, long block, long p, long parts) { return least(n, blocks_of(n, block) * p / parts * block); }

/* out[i][j] = Σ_k in[places[k]][i]·w[listed[k]][j] for i < rows; w is (…, P) and `in` (…, C), multiples of LANES and of
   WIDE. Without lists each k stands for itself. */
static inline void product(const REAL *restrict w, const long *listed, const REAL *restrict in, const long *places,
                           long count, long C, long P, long rows, REAL *restrict out) {
    for (long j = 0; j < P; j += LANES)
        for (long i = 0; i < C; i += WIDE) {
            Vector sum[WIDE] = {0};
            for (long k = 0; k < count; k++) {
                Vector weight = *(const Vector *)(w + (listed ? listed[k] : k) * P + j);
                const REAL *over = in + (places ? places[k] : k) * C + i;
                for (int l = 0; l < WIDE; l++) sum[l] += over[l] * weight;
            }
            for (int l = 0; l < WIDE && i + l < rows; l++) *(Vector *)(out + (i + l) * P + j) = sum[l];
        }
}

/* Wᵀ and its moduli, (m, P), of W, (n, m); numbers behind n are left as they are. */
static inline void turn(const REAL *from, long n, long m, long P, REAL *weights, REAL *moduli) {
    for (long j = 0; j < n; j++)
        for (long k = 0; k < m; k++) weights[k * P + j] = from[j * m + k], moduli[k * P + j] = (REAL)fabs((double)from[j * m + k]);
}

/* The next `count` things of a size, on lines of cache of their own; `next` of 0 counts how many bytes all take. */
INLINE void *take(char **next, long count, long size) {
    char *found = *next;
    *next += rounded(count * size, 64);
    return found;
}

/* Memory that starts with a line of cache; 0 where there is none. */
INLINE void *aligned(long size) { return aligned_alloc(64, (size_t)rounded(size, 64) + 64); }

/* Some of the things that are worked on: n of them from `start` on, with memory of the thread's own. */
typedef struct {
    const void *given;
    void *room;
    long start, n;
} Item;

typedef int Work_on(const Item *item); /* what it returns is or'ed */

typedef struct {
    Work_on *work;
    long count, size, *next;
    Item item;
    int found, begun;
    Thread thread;
} Worker;

/* Take the next of what is worked on; returns whether there was any. */
static inline int run_next(Worker *own) {
    Item *item = &own->item;
    item->start = __atomic_fetch_add(own->next, own->size, __ATOMIC_RELAXED);
    item->n = least(own->size, own->count - item->start);
    if (item->n > 0) own->found |= own->work(item);
    return item->n > 0;
}

static inline ENTRY run_worker(void *given) {
    while (run_next(given)) {}
    return 0;
}

static inline double microseconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

/* Work alone for as long as threads cost more to make than they would take off what is left. */
static inline void begin_alone(Worker *own, long blocks) {
    double start = microseconds(), spent = 0;
    for (long done = 0; spent < 50 || spent * (double)(blocks - done) < 200 * (double)done; done++) {
        if (!run_next(own)) return;
        spent = microseconds() - start;
    }
}

#define STACK (16 << 20)

/* Returns whether a thread of a worker's own has begun. */
static inline int begin_worker(Worker *worker) {
#ifdef _WIN32
    worker->thread = CreateThread(0, STACK, run_worker, worker, STACK_SIZE_PARAM_IS_A_RESERVATION, 0);
    return worker->thread != 0;
#else
    pthread_attr_t wide;
    if (pthread_attr_init(&wide)) return 0;
    int failed = pthread_attr_setstacksize(&wide, STACK) || pthread_create(&worker->thread, &wide, run_worker, worker);
    pthread_attr_destroy(&wide);
    return !failed;
#endif
}

/* Work on `count` things, `size` at once, in any order, by this thread and by others that end within this call, so
   that a process may fork behind it; where one cannot be made the rest do its work. Each has `room` bytes of its own.
   Returns what any of the work returns, or 1 where there is no memory. */
static inline int for_each(long count, long size, long threads, long room, Work_on *work, const void *given) {
    long blocks = blocks_of(count, size), all = most(1, least(blocks, threads)), each = rounded(room, 64), next = 0;
    char *rooms = room ? aligned(all * each) : 0;
    Worker workers[all];
    int found = 0;
    if (room && !rooms) return 1;
    for (long k = 0; k < all; k++) {
        workers[k] = (Worker){.work = work, .count = count, .size = size, .next = &next};
        workers[k].item = (Item){.given = given, .room = rooms + k * each};
    }
    if (all > 1 && blocks > threads) begin_alone(workers, blocks);
    for (long k = 1; k < all && __atomic_load_n(&next, __ATOMIC_RELAXED) < count; k++) workers[k].begun = begin_worker(workers + k);
    run_worker(workers);
    for (long k = 0; k < all; k++) {
        if (workers[k].begun) end_thread(workers[k].thread);
        found |= workers[k].found;
    }
    free_aligned(rooms);
    return found;
}

#endif
