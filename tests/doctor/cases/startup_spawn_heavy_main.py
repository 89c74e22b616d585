"""Spawned workers import the main module again, with all that it imports for itself.

:verdict: startup
:also: imports-repeated, not-worth-a-pool
:needs: numpy
"""

import asyncio
import decimal
import email.mime.text
import http.server
import json
import multiprocessing
import unittest
import xml.dom.minidom

import numpy as np
from effort import compute

PARTS = (asyncio, decimal, email.mime.text, http.server, json, unittest, xml.dom.minidom, np)


def render(page):
    return page + compute(2)


def main():
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        print(len(PARTS), sum(pool.map(render, range(40))))


if __name__ == "__main__":
    main()
