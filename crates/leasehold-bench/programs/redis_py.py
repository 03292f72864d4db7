"""redis-py's Lock, as the benchmark measures it.

    redis_py.py HOST:PORT
"""

import sys

import redis

from contest import Contest

host, port = sys.argv[1].rsplit(":", 1)


def lock(_contender, name):
    # With what it waits by default: 0.1 s.
    return redis.Redis(host=host, port=int(port)).lock(f"redis-py: {name}", timeout=15)


def prepare(_contenders):
    # Each connects when it first asks for its lock.
    redis.Redis(host=host, port=int(port)).ping()


Contest(lock, prepare).serve("")
