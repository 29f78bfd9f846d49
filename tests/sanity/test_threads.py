"""Threads: results in the order of the arguments, one thread of linear algebra each, and limits given back."""

import functools
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_info, threadpool_limits

from sanity import comparison, threads
from sanity.similarity import PooledMap
from sanity.threads import in_threads


def limits():
    return [pool["num_threads"] for pool in threadpool_info()]


def test_results_come_in_order_from_threads_of_one_core_each():
    # Tests have one thread, of which nobody sees whether it was given back.
    with threadpool_limits(2):
        before = limits()
        assert in_threads(lambda number: (number, set(limits())), range(5)) == [(number, {1}) for number in range(5)]
        assert limits() == before and 2 in before


@pytest.mark.skipif(joblib.cpu_count() < 2, reason="there is one core")
def test_several_arguments_are_under_way_at_once():
    both = threading.Barrier(2, timeout=20)
    assert sorted(in_threads(lambda _: both.wait(), range(2))) == [0, 1]


def test_a_fault_is_that_of_the_function():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 / number, [1, 0])
    assert in_threads(str, []) == []


def test_the_others_end_before_a_fault_is_raised():
    """What goes on would give its limit of threads back after all limits were, and leave one thread to everything later."""
    ended = []

    def work(number):
        if number == 0:
            raise ZeroDivisionError
        time.sleep(0.3)
        ended.append(number)

    with threadpool_limits(2):
        before = limits()
        with pytest.raises(ZeroDivisionError):
            in_threads(work, [0, 1])
        assert ended == [1] and limits() == before and 2 in before


@pytest.fixture
def interruptible():
    """Ctrl-C as a terminal has it: a shell starts what runs in the background deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals go to a process as a whole")
def test_an_interrupt_begins_nothing_more(interruptible):
    begun = []
    interrupt = functools.partial(signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)

    def work(number):
        if number == 0:
            # Earlier, the interrupt may come while libraries are looked for, in a call from C that lets no exception out.
            threading.Timer(0.3, interrupt).start()
        begun.append(number)
        time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt):
        in_threads(work, range(100))
    assert len(begun) < 50
    count = len(begun)
    time.sleep(0.5)
    assert len(begun) == count


def test_of_several_faults_that_of_the_first_argument_is_raised():
    def work(number):
        time.sleep(0.2 * (number == 0))
        raise ValueError(number)

    for _ in range(3):
        with pytest.raises(ValueError, match="^0$"):
            in_threads(work, [0, 1])


def test_a_process_that_was_limited_has_no_more_threads(monkeypatch):
    monkeypatch.setattr(threads.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    names = threads.in_threads(lambda _: threading.current_thread().name, range(6))
    assert len(set(names)) == 1


@pytest.mark.parametrize("few", [0, 10**9])
def test_maps_are_compared_alike_in_threads_and_one_after_another(few, monkeypatch):
    rng = np.random.default_rng(0)
    first, second = ([PooledMap(values, abs(values)) for values in rng.normal(size=(4, 9, 9))] for _ in range(2))
    second[1] = None
    exact = [
        np.nan if b is None else stats.spearmanr(a.unsigned, b.unsigned, axis=None)[0] for a, b in zip(first, second)
    ]
    called = []
    monkeypatch.setattr(comparison, "FEW_POSITIONS", few)
    monkeypatch.setattr(
        comparison, "in_threads", lambda *args, **options: called.append(1) or in_threads(*args, **options)
    )
    np.testing.assert_allclose(comparison.similarities(first, second)["abs_spearman"], exact, rtol=1e-9)
    assert bool(called) == (few == 0)
