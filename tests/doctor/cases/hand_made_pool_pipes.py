"""One pipe a worker, and the parent hands out work in turns: the slowest holds up the round.

:verdict: hand-made-pool
:also: imbalance-chunks, imbalance-item
"""

from multiprocessing import Pipe, Process

from effort import compute


def serve(connection):
    while (job := connection.recv()) is not None:
        connection.send(compute(1 + job % 8))


def play_round(ends, first):
    for offset, end in enumerate(ends):
        end.send(first + offset)
    return sum(end.recv() for end in ends)


def main():
    pairs = [Pipe() for _ in range(2)]
    workers = [Process(target=serve, args=(theirs,)) for _, theirs in pairs]
    for worker in workers:
        worker.start()
    ours = [mine for mine, _ in pairs]
    total = sum(play_round(ours, first) for first in range(0, 300, len(ours)))
    for end in ours:
        end.send(None)
    for worker in workers:
        worker.join()
    print(total)


if __name__ == "__main__":
    main()
