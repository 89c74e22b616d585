"""submit().result() in one breath: the executor never has two tasks.

:verdict: serial-submission
"""

from concurrent.futures import ProcessPoolExecutor

from effort import compute


def translate(sentence):
    return sentence + compute(6)


def main():
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(sum(executor.submit(translate, sentence).result() for sentence in range(120)))


if __name__ == "__main__":
    main()
