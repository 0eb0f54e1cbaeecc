/* A few threads that share out numbered pieces of work with the caller, and wait for the next work in between.
 *
 * Pieces are taken one by one from a common counter. The caller takes them too, so it never waits for a thread that has
 * not woken yet: work is done by whoever is there. After work a thread spins for some microseconds, since the next step
 * often follows at once, then sleeps.
 *
 * What sharing gains depends on the work and on who else wants the cores: a thread that loses its core in the middle of
 * a piece holds up the caller for milliseconds. So both ways are timed, the better one is taken, and the other is tried
 * again now and then, ever more rarely while it stays worse.
 */
#ifndef STREAMLSTM_WORKER_POOL_H
#define STREAMLSTM_WORKER_POOL_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

typedef void (*pool_piece)(void *context, ptrdiff_t piece, ptrdiff_t worker);

enum { POOL_SPINS = 2000 }; /* pauses: some 20-80 us */

#define POOL_FIRST_WAIT_S 0.05 /* until the way not taken is tried again; doubled with every trial that fails */
#define POOL_LONGEST_WAIT_S 30.0

/* How fast one kind of work goes: alone [0] and shared [1], in the work's own units a second; 0 = not yet tried. */
typedef struct {
    double rate[2], tried_at, wait;
} pool_choice;

typedef struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint round;          /* counts the works; odd and even alike */
    atomic_int sleeping, inside; /* threads asleep; threads that may still touch the work at hand */
    atomic_ptrdiff_t next;      /* piece to be taken */
    ptrdiff_t pieces;
    pool_piece run;
    void *context;
    atomic_int is_open, is_closing, is_taken; /* taken: by a caller, others work alone meanwhile */
    int threads;
    pthread_t *ids;
} worker_pool;

typedef struct {
    worker_pool *pool;
    ptrdiff_t worker;
} pool_start;

static inline void pool_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void pool_take(worker_pool *pool, ptrdiff_t worker)
{
    for (;;) {
        const ptrdiff_t piece = atomic_fetch_add(&pool->next, 1);
        if (piece >= pool->pieces)
            return;
        pool->run(pool->context, piece, worker);
    }
}

static void *pool_thread(void *argument)
{
    pool_start start = *(pool_start *)argument;
    worker_pool *pool = start.pool;
    unsigned int seen = 0;
    free(argument);
    for (;;) {
        for (int spin = 0; spin < POOL_SPINS && atomic_load(&pool->round) == seen; spin++)
            pool_pause();
        if (atomic_load(&pool->round) == seen) {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->sleeping, 1);
            while (atomic_load(&pool->round) == seen && !atomic_load(&pool->is_closing))
                pthread_cond_wait(&pool->wake, &pool->lock);
            atomic_fetch_sub(&pool->sleeping, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        if (atomic_load(&pool->is_closing))
            return NULL;
        seen = atomic_load(&pool->round);
        /* First inside, then the look whether the work is open: the caller closes it, then waits for `inside`. */
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->is_open))
            pool_take(pool, start.worker);
        atomic_fetch_sub(&pool->inside, 1);
    }
}

/* Start threads - 1 threads beside the caller; return how many there are in all, fewer when the system gives no more. */
static inline int pool_begin(worker_pool *pool, int threads)
{
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->ids = (pthread_t *)calloc(threads, sizeof(pthread_t));
    pool->threads = 1;
    while (pool->ids && pool->threads < threads) {
        pool_start *start = (pool_start *)malloc(sizeof *start);
        if (!start)
            break;
        *start = (pool_start){pool, pool->threads};
        if (pthread_create(&pool->ids[pool->threads], NULL, pool_thread, start)) {
            free(start);
            break;
        }
        pool->threads++;
    }
    return pool->threads;
}

static inline double pool_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void pool_alone(pool_piece run, void *context, ptrdiff_t pieces)
{
    for (ptrdiff_t piece = 0; piece < pieces; piece++)
        run(context, piece, 0);
}

static void pool_shared(worker_pool *pool, pool_piece run, void *context, ptrdiff_t pieces)
{
    pool->run = run;
    pool->context = context;
    pool->pieces = pieces;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->is_open, 1);
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->sleeping)) {
        pthread_mutex_lock(&pool->lock);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->lock);
    }
    pool_take(pool, 0);
    atomic_store(&pool->is_open, 0);
    for (int spin = 0; atomic_load(&pool->inside); spin++) {
        if (spin < POOL_SPINS)
            pool_pause();
        else
            sched_yield(); /* the thread that is still at work may want this core */
    }
}

/* Run pieces 0 .. pieces - 1, each once, the caller as worker 0; return when all are done. `work` is their size. */
static inline void pool_run(worker_pool *pool, pool_choice *choice, pool_piece run, void *context, ptrdiff_t pieces,
                     double work)
{
    if (pool->threads < 2 || pieces < 2 || atomic_exchange(&pool->is_taken, 1)) {
        pool_alone(run, context, pieces);
        return;
    }
    const double began = pool_now();
    const int better = choice->rate[1] > choice->rate[0];
    const int is_trial = !choice->rate[!better] || began - choice->tried_at > choice->wait;
    const int way = is_trial ? !better : better;
    if (way)
        pool_shared(pool, run, context, pieces);
    else
        pool_alone(run, context, pieces);
    atomic_store(&pool->is_taken, 0);
    const double ended = pool_now(), rate = work / (ended - began + 1e-9);
    choice->rate[way] += is_trial ? rate - choice->rate[way] : (rate - choice->rate[way]) / 4; /* a trial forgets */
    if (is_trial) {
        const int is_good = choice->rate[way] > choice->rate[better];
        choice->wait = is_good || choice->wait == 0 ? POOL_FIRST_WAIT_S : 2 * choice->wait;
        choice->wait = choice->wait < POOL_LONGEST_WAIT_S ? choice->wait : POOL_LONGEST_WAIT_S;
        choice->tried_at = ended;
    }
}

static inline void pool_end(worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->is_closing, 1);
    atomic_fetch_add(&pool->round, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 1; i < pool->threads; i++)
        pthread_join(pool->ids[i], NULL);
    free(pool->ids);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
}

#endif
