"""How many threads a fit may use, and BLAS held to one meanwhile.

A kernel cuts its work itself, so that the bits of a result do not depend on the number of threads.
BLAS, whose bits do, is held to one thread; two pools that take turns would also cost more than they
give.
"""

import os
from contextlib import contextmanager
from functools import cache
from threading import Lock

from joblib import cpu_count
from threadpoolctl import ThreadpoolController

from sklearn_mlp._blas import CALLS_BLAS
from sklearn_mlp._epoch import largest_team

# Multiplications of a batch, and of a whole prediction, from which a second thread pays; measured.
WORTH_A_TEAM = 1_000_000
PREDICTION_WORTH_A_TEAM = 10_000_000


@cache
def _blas_libraries():
    """Found once: the search takes 20 milliseconds."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set(library, n_threads):
    """Set a library's limit, in whatever thread. From 3.8 on, threadpoolctl lets nobody but the first
    thread that ever set one, unless it is made to forget which that was."""
    forget = getattr(library, "clear_controlling_thread", lambda force: None)
    forget(force=True)
    library.set_num_threads(n_threads)
    forget(force=True)


class _Limit:
    """BLAS at one thread while any fit runs; the last to end restores what the first one found."""

    def __init__(self):
        self.lock = Lock()
        self.found = []  # the limits, while BLAS is held
        self.holders = 0
        self.teams = 0  # fits that share the processors

    def blas(self):
        """The least of the limits that BLAS's libraries had when nobody held them."""
        with self.lock:
            found = self.found or [library.get_num_threads() for library in _blas_libraries()]
        return min(found, default=1)

    def hold(self):
        with self.lock:
            if self.holders == 0:
                self.found = [library.get_num_threads() for library in _blas_libraries()]
                for library in _blas_libraries():
                    _set(library, 1)
            self.holders += 1

    @contextmanager
    def sharing(self, is_team):
        """Count a team, if it is one, and yield how many there are."""
        with self.lock:
            self.teams += is_team
            n_teams = self.teams
        try:
            yield n_teams
        finally:
            with self.lock:
                self.teams -= is_team

    def release(self):
        with self.lock:
            self.holders -= 1
            if self.holders == 0:
                for library, n_threads in zip(_blas_libraries(), self.found, strict=True):
                    _set(library, n_threads)
                self.found = []


_limit = _Limit()
_forked = False


def _after_fork():
    """OpenMP's pool does not survive a fork, nor do the threads that were fitting."""
    global _limit, _forked
    held, _limit, _forked = _limit, _Limit(), True
    for library, n_threads in zip(_blas_libraries() if held.found else [], held.found, strict=True):
        _set(library, n_threads)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def n_threads_for(work):
    """The threads that a fit may use whose batches take `work` multiplications, if it were alone."""
    return _allowed() if work >= WORTH_A_TEAM else 1


def n_threads_to_predict(work):
    """The same of a prediction that takes `work` multiplications. BLAS shares it out itself."""
    return _allowed() if work >= PREDICTION_WORTH_A_TEAM and not CALLS_BLAS else 1


def _allowed():
    """The least of what OpenMP and BLAS are limited to and the processors there are; one in a forked
    process, where OpenMP would hang."""
    if _forked or largest_team() == 1:
        return 1
    return min(largest_team(), _limit.blas(), cpu_count())


def still_available(n_threads):
    """How many of the threads that were counted on earlier may still be used."""
    return 1 if _forked else min(n_threads, largest_team())


@contextmanager
def team(n_threads, *, calls_blas=CALLS_BLAS):
    """Hold BLAS, if it is called, and yield the threads to use: `n_threads` shared among such fits."""
    limit = _limit
    if calls_blas:
        limit.hold()
    try:
        with limit.sharing(n_threads > 1) as n_teams:
            yield max(1, n_threads // max(1, n_teams))
    finally:
        if calls_blas:
            limit.release()
