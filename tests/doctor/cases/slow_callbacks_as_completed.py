"""The program takes 6 ms over each result of 4 ms as it arrives, in the main thread.

:verdict: serial-parent
:also: slow-callbacks
"""

from concurrent.futures import ProcessPoolExecutor, as_completed

from effort import compute


def render(frame):
    return frame + compute(4)


def main():
    video = []
    with ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(render, frame) for frame in range(150)]
        for future in as_completed(futures):
            video.append(future.result() + compute(6))
    print(len(video))


if __name__ == "__main__":
    main()
