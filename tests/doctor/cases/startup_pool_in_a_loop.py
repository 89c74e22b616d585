"""A new pool for every generation, eight tasks of 1 ms each.

:verdict: startup
:also: not-worth-a-pool
"""

from multiprocessing import Pool

from effort import compute


def fitness(individual):
    return individual + compute(1)


def breed(population):
    with Pool(4) as pool:
        return pool.map(fitness, population)


def main():
    population = list(range(8))
    for _ in range(25):
        population = sorted(breed(population))
    print(population[-1])


if __name__ == "__main__":
    main()
