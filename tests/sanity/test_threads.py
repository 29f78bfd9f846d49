"""Threads: results in the order of the arguments, one thread of linear algebra each, and limits given back."""

import threading

import joblib
import numpy as np
import pytest
from threadpoolctl import threadpool_info

from sanity.threads import in_threads


def limits():
    return [pool["num_threads"] for pool in threadpool_info()]


def test_results_come_in_order_from_threads_of_one_core_each():
    np.ones((2, 2)) @ np.ones((2, 2))
    before = limits()
    assert in_threads(lambda number: (number, set(limits())), range(5)) == [(number, {1}) for number in range(5)]
    assert limits() == before


@pytest.mark.skipif(joblib.cpu_count() < 2, reason="there is one core")
def test_several_arguments_are_under_way_at_once():
    both = threading.Barrier(2, timeout=20)
    assert sorted(in_threads(lambda _: both.wait(), range(2))) == [0, 1]


def test_a_fault_is_that_of_the_function():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda number: 1 / number, [1, 0])
    assert in_threads(str, []) == []
