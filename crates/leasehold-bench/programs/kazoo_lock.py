"""kazoo's Lock, as the benchmark measures it: each contender has a client of its own.

    kazoo_lock.py HOST:PORT
"""

import sys

import kazoo
from kazoo.client import KazooClient

from contest import Contest

clients = []


def prepare(contenders):
    while len(clients) < contenders:
        client = KazooClient(hosts=sys.argv[1], timeout=30)
        client.start(timeout=20)
        clients.append(client)


def lock(contender, name):
    return clients[contender].Lock(f"/kazoo/{name}", "kazoo")


Contest(lock, prepare).serve(kazoo.__version__)
