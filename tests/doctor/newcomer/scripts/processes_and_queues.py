"""A pool by hand: processes, a queue of tasks and one of results.

:headline: PW023
:first: poolwise
"""

from multiprocessing import Process, Queue

ITEMS = 400


def serve(tasks, results):
    while (number := tasks.get()) is not None:
        results.put(sum(number * step % 7 for step in range(5000)))


def main():
    tasks, results = Queue(), Queue()
    workers = [Process(target=serve, args=(tasks, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for number in range(ITEMS):
        tasks.put(number)
    for _ in workers:
        tasks.put(None)
    print(sum(results.get() for _ in range(ITEMS)))
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
