/* A team of threads that runs one function, each with its number. Without OpenMP, or with one thread,
   that is a call. */
#ifndef SKLEARN_MLP_TEAM_H
#define SKLEARN_MLP_TEAM_H

#if defined(_OPENMP) && !defined(__STDC_NO_ATOMICS__) && !defined(_MSC_VER)
#define TEAM_HAS_ATOMICS
#include <sched.h>
#include <stdatomic.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

typedef void (*team_function)(void *context, int thread, int n_threads);

/* Where the threads of a team wait for each other. Zeros to begin with. */
typedef struct {
#ifdef TEAM_HAS_ATOMICS
    atomic_int arrived, round;
#else
    int unused;
#endif
} team_meeting;

static inline int team_largest(void) /* as OMP_NUM_THREADS and threadpoolctl say */
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

static inline void team_run(team_function function, void *context, int n_threads)
{
#ifdef _OPENMP
    if (n_threads > 1) {
#pragma omp parallel num_threads(n_threads)
        function(context, omp_get_thread_num(), omp_get_num_threads());
        return;
    }
#endif
    function(context, 0, 1);
}

/* Wait for the whole team. Waiting is short where every thread has a processor: some turns of a loop
   are spent on that, and then the processor is offered to others. (OpenMP's own barrier turns for
   milliseconds, which costs an oversubscribed machine dearly.) */
static inline void team_meet(team_meeting *meeting, int n_threads)
{
#ifdef TEAM_HAS_ATOMICS
    if (n_threads > 1) {
        int round = atomic_load_explicit(&meeting->round, memory_order_acquire);
        if (atomic_fetch_add_explicit(&meeting->arrived, 1, memory_order_acq_rel) == n_threads - 1) {
            atomic_store_explicit(&meeting->arrived, 0, memory_order_relaxed);
            atomic_store_explicit(&meeting->round, round + 1, memory_order_release);
            return;
        }
        for (int turn = 0; atomic_load_explicit(&meeting->round, memory_order_acquire) == round; turn++)
            if (turn >= 4000) {
                sched_yield();
            } else {
#if defined(__x86_64__) || defined(__i386__)
                __builtin_ia32_pause();
#elif defined(__aarch64__)
                __asm__ volatile("yield");
#endif
            }
    }
#elif defined(_OPENMP)
    if (n_threads > 1) {
#pragma omp barrier
    }
#endif
    (void) meeting;
    (void) n_threads;
}

#endif
