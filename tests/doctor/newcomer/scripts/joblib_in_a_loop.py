"""joblib over very small tasks, for each row of a table.

:headline: PW002
:also: PW001
:first: serial
:needs: joblib
"""

import math

from joblib import Parallel, delayed

ITEMS = 100


def distance(lat1, lon1, lat2, lon2):
    p1, p2 = math.radians(lat1), math.radians(lat2)
    dphi, dlon = p2 - p1, math.radians(lon2 - lon1)
    a = math.sin(dphi / 2) ** 2 + math.cos(p1) * math.cos(p2) * math.sin(dlon / 2) ** 2
    return 12742.0 * math.asin(math.sqrt(a))


def main():
    towns = [((i * 37) % 180 - 90, (i * 91) % 360 - 180) for i in range(ITEMS)]
    nearest = {}
    for i, (lat, lon) in enumerate(towns):
        row = Parallel(n_jobs=2)(delayed(distance)(lat, lon, a, b) for a, b in towns)
        row[i] = float("inf")
        nearest[i] = min(range(len(row)), key=row.__getitem__)
    print(sum(nearest.values()))


if __name__ == "__main__":
    main()
