"""Steps that a thread takes behind its giver."""

from __future__ import annotations

import threading

import pytest

from genoci.layer.behind import Behind


def test_steps_are_taken_in_order_and_all_of_them_by_the_end() -> None:
    taken: list[int] = []
    with Behind(3) as behind:
        for number in range(100):
            behind.do(lambda number=number: taken.append(number))  # type: ignore[misc]
    assert taken == list(range(100))


def test_to_wait_is_to_have_all_done_and_more_may_follow() -> None:
    taken: list[int] = []
    with Behind(8) as behind:
        behind.do(lambda: taken.append(1))
        behind.wait()
        assert taken == [1]
        behind.do(lambda: taken.append(2))
    assert taken == [1, 2]


def test_no_more_than_so_many_steps_wait() -> None:
    began, go_on, given = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        began.set()
        go_on.wait()

    def give() -> None:
        with Behind(2) as behind:
            behind.do(first)
            began.wait()
            for _ in range(2):
                behind.do(lambda: None)
            given.set()
            behind.do(lambda: None)
            given.clear()

    giver = threading.Thread(target=give)
    giver.start()
    given.wait()
    assert given.is_set(), "it waits with the third while the first is not done"
    go_on.set()
    giver.join()
    assert not given.is_set()


def test_what_a_step_raises_comes_out_and_no_later_step_is_taken() -> None:
    taken: list[int] = []
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), Behind(8) as behind:
        behind.do(fail)
        failed.wait()
        behind.do(lambda: taken.append(1))
    assert taken == []


def test_what_the_last_step_raises_comes_out_at_the_end() -> None:
    with pytest.raises(ZeroDivisionError), Behind(8) as behind:
        behind.do(lambda: 1 // 0)


def test_after_an_exception_the_thread_has_ended_and_takes_nothing_more() -> None:
    taken: list[int] = []
    threads: list[threading.Thread] = []

    def until_it_ends() -> None:
        threads.append(threading.current_thread())
        while behind._error is None:
            pass

    with pytest.raises(KeyboardInterrupt), Behind(8) as behind:
        behind.do(until_it_ends)
        behind.do(lambda: taken.append(1))
        raise KeyboardInterrupt
    assert taken == []
    assert not any(thread.is_alive() for thread in threads)
