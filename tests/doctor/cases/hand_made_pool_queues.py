"""Processes, a queue of work and a queue of results, written by hand.

:verdict: hand-made-pool
"""

from multiprocessing import Process, Queue

from effort import compute

WORKERS = 2


def serve(requests, answers):
    for job in iter(requests.get, None):
        answers.put((job, compute(4)))


def main():
    requests, answers = Queue(), Queue()
    workers = [Process(target=serve, args=(requests, answers)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for job in range(300):
        requests.put(job)
    for _ in workers:
        requests.put(None)
    done = dict(answers.get() for _ in range(300))
    for worker in workers:
        worker.join()
    print(len(done))


if __name__ == "__main__":
    main()
