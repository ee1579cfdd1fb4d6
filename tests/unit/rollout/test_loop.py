"""The event loop by itself: what is called, in which order, and what is not called any more."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from provision.transport.loop import READ, Loop, Promise, Slots


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_timers_come_in_the_order_of_their_times(loop: Loop) -> None:
    seen: list[str] = []
    over: Promise[None] = Promise(loop)

    async def wait() -> None:
        loop.later(0.03, lambda: over.keep(None))
        loop.later(0.02, partial(seen.append, "second"))
        loop.later(0.01, partial(seen.append, "first"))
        loop.later(0.015, partial(seen.append, "cancelled")).cancel()
        await over

    loop.run([wait()])
    assert seen == ["first", "second"]


def test_all_who_wait_for_a_promise_go_on(loop: Loop) -> None:
    promise: Promise[int] = Promise(loop)
    seen: list[int] = []

    async def wait() -> None:
        seen.append(await promise)

    async def keep() -> None:
        promise.keep(7)

    loop.run([wait(), wait(), keep(), wait()])
    assert seen == [7, 7, 7]


def test_slots_are_given_to_the_first_who_waits(loop: Loop) -> None:
    slots = Slots(loop, 1)
    seen: list[str] = []

    async def work(name: str) -> None:
        await slots.acquire()
        seen.append(name)
        pause: Promise[None] = Promise(loop)
        loop.later(0.005, lambda: pause.keep(None))
        await pause
        seen.append(name)
        slots.release()

    loop.run(work(name) for name in "abc")
    assert seen == list("aabbcc")


def test_a_file_is_not_read_once_its_watch_has_ended(loop: Loop) -> None:
    """Although both were ready at the same time."""
    pipes = [os.pipe() for _ in range(2)]
    reads = [read for read, _ in pipes]
    seen: list[int] = []
    over: Promise[None] = Promise(loop)

    def take(fd: int) -> None:
        seen.append(fd)
        for each in reads:
            loop.forget(each)
        over.keep(None)

    async def wait() -> None:
        for read, write in pipes:
            loop.watch(read, READ, partial(take, read))
            os.write(write, b"x")
        await over

    loop.run([wait()])
    assert len(seen) == 1
    for pipe in pipes:
        for fd in pipe:
            os.close(fd)


def test_what_one_raises_ends_all(loop: Loop) -> None:
    async def fail() -> None:
        raise RuntimeError("a fault")

    async def wait() -> None:
        await Promise[None](loop)

    with pytest.raises(RuntimeError, match="a fault"):
        loop.run([wait(), fail()])


def test_signals_are_handled_inside_the_block_alone(loop: Loop) -> None:
    former = signal.getsignal(signal.SIGUSR1)
    over: Promise[str] = Promise(loop)
    seen: list[str] = []

    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        seen.append(await over)

    with loop.handling(lambda: over.keep("told"), signal.SIGUSR1):
        loop.run([wait()])
    assert seen == ["told"]
    assert signal.getsignal(signal.SIGUSR1) == former
