"""All objects of a data set, in one process or several; each writes a line when it is done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.synchronize import Event
from pathlib import Path
from time import perf_counter

import cv2

from ..errors import ImageError, Inter2FormerError
from ..progress import progress
from . import results
from .methods import Method, MethodSettings
from .protocol import evaluate_object
from .results import Line
from .summary import Running
from .targets import Picture, problem
from .upright import read_picture

Task = tuple[int, Picture, frozenset[int]]  # number, picture, objects that are done


def run(
    pictures: Sequence[Picture], method: MethodSettings, folder: Path, clicks: int, processes: int, threads: int
) -> None:
    """Evaluate what `folder/objects.jsonl` does not hold yet. The folder is claimed (`results.claim`).

    Args:
        pictures: the data set.
        method: opened once in each process.
        clicks: of the protocol.
        processes: work on pictures side by side.
        threads: of each process.

    Raises:
        Inter2FormerError: the method cannot be opened, or a worker process died. What is done stays done.
    """
    done, stream = results.resume(folder)
    with stream:
        tasks = _tasks(pictures, done)
        running = Running(done)
        batches = (
            _in_this_process(tasks, method, clicks, threads)
            if processes == 1
            else _in_processes(tasks, method, clicks, processes, threads)
        )
        with progress(range(len(tasks)), label="evaluate") as bar:
            for number, lines in batches:
                results.append(stream, lines)
                running.add(lines)
                bar.set_postfix_str(running.text(), refresh=False)
                bar.update(number)


def _tasks(pictures: Sequence[Picture], done: Iterable[Line]) -> list[Task]:
    objects: dict[int, set[int]] = {}
    expected: Counter[int] = Counter()
    for line in done:
        objects.setdefault(line["picture"], set()).add(line["object"])
        expected[line["picture"]] = line["objects"]
    return [
        (number, picture, frozenset(objects.get(number, ())))
        for number, picture in enumerate(pictures)
        if number not in objects or len(objects[number]) < expected[number]
    ]


def _in_this_process(
    tasks: Sequence[Task], method: MethodSettings, clicks: int, threads: int
) -> Iterator[tuple[int, list[Line]]]:
    """Work a line at a time; yield how many pictures are finished with it, and the line."""
    opened = None
    for task in tasks:
        opened = opened or _open(method, threads)
        for line in evaluate_picture(opened, task, clicks):
            yield 0, [line]
        yield 1, []


def _in_processes(
    tasks: Sequence[Task], method: MethodSettings, clicks: int, processes: int, threads: int
) -> Iterator[tuple[int, list[Line]]]:
    """Work on pictures side by side, and yield the same a picture at a time.

    Processes are started anew: a fork would copy locked threads.
    """
    context = multiprocessing.get_context("spawn")
    waiting, stop = iter(tasks), context.Event()
    with ProcessPoolExecutor(processes, context, _start_worker, (method, clicks, threads, stop)) as pool:
        futures = {pool.submit(_work, task) for task in islice(waiting, 2 * processes)}
        try:
            while futures:
                finished, futures = wait(futures, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield 1, future.result()
                    futures.update(pool.submit(_work, task) for task in islice(waiting, 1))
        except BrokenProcessPool:
            raise Inter2FormerError(
                "a worker process ended unexpectedly (out of memory?); the same command goes on where it stopped"
            ) from None
        finally:
            stop.set()  # after Ctrl-C or an error, what is under way is of no use any more
            pool.shutdown(wait=False, cancel_futures=True)


_worker: tuple[Method | Inter2FormerError, int, Event] | None = None


def _start_worker(method: MethodSettings, clicks: int, threads: int, stop: Event) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _worker = (_open(method, threads), clicks, stop)
    except Inter2FormerError as error:
        _worker = (error, clicks, stop)  # raised with the first task: an initialiser's error would not reach the parent


def _end_with_parent() -> None:
    """End this process with its parent: one that was killed cannot tell its workers to."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(task: Task) -> list[Line]:
    assert _worker is not None, "_start_worker runs first"
    method, clicks, stop = _worker
    if isinstance(method, Inter2FormerError):
        raise method
    lines: list[Line] = []
    if not stop.is_set():
        for line in evaluate_picture(method, task, clicks):
            lines.append(line)
            if stop.is_set():
                break
    return lines


def _open(method: MethodSettings, threads: int) -> Method:
    cv2.setNumThreads(threads)
    return method.open(threads)


def evaluate_picture(method: Method, task: Task, clicks: int) -> Iterator[Line]:
    """Evaluate a picture's objects that are not done.

    Args:
        method: opened.
        task: the picture, its number, and which objects are done.
        clicks: of the protocol.

    Yields:
        A line an object (see `results`), with an error for what is broken.
    """
    number, picture, done = task
    try:
        image, targets, note = read_picture(picture)
        if not targets:
            raise ImageError(f"{picture.image}: no object is marked in it")
    except ImageError as error:
        yield {"picture": number, "name": picture.name, "error": " ".join(str(error).split())}
        return
    encoded, encode_seconds = None, 0.0
    for index, target in enumerate(targets):
        if index in done:
            continue
        name = target.name if len(targets) > 1 else picture.name
        line = {"picture": number, "object": index, "objects": len(targets), "name": name}
        if note:
            line["note"] = note
        if (wrong := problem(target, image.shape)) is not None:
            yield {**line, "error": wrong}
            continue
        if encoded is None:
            start = perf_counter()
            encoded = method.encode(image)
            encode_seconds = perf_counter() - start
        result = evaluate_object(encoded, target, clicks)
        yield {
            **line,
            "ious": result.ious,
            "boundary_ious": result.boundary_ious,
            "clicks": [[click.x, click.y, int(click.positive)] for click in result.clicks],
            "click_seconds": result.seconds,
            "encode_seconds": encode_seconds,
        }
