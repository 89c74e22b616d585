"""A bound method takes its object along: 200,000 weights with each of 80 samples.

:verdict: repeated-payload
"""

from concurrent.futures import ProcessPoolExecutor


class Network:
    def __init__(self, size):
        self.weights = [unit / size for unit in range(size)]

    def score(self, sample):
        size = len(self.weights)
        return sum(self.weights[sample * step % size] for step in range(3000))


def main():
    network = Network(200_000)
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(max(executor.map(network.score, range(80))))


if __name__ == "__main__":
    main()
