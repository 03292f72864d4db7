"""A program that uses redis-py's Lock, and does what the lines of its standard input say: a line in, a line out.

    worker.py PORT DATABASE
"""

import sys
import time

import redis
from redis.exceptions import LockError, LockNotOwnedError, RedisError

client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), db=int(sys.argv[2]))
lock = None


def acquire(key, timeout, patience):
    """Locks for `timeout` seconds, waiting `patience` seconds at most."""
    global lock
    lock = client.lock(key, timeout=float(timeout), sleep=0.01)
    waits = float(patience) > 0
    got = lock.acquire(blocking=waits, blocking_timeout=float(patience) if waits else None)
    return "got" if got else "busy"


def increment(key, path, times):
    """Adds 1 to the number in a file, each time under the lock, by a read and a write apart."""
    shared = client.lock(key, timeout=10, sleep=0.001)
    for _ in range(int(times)):
        with shared:
            with open(path) as file:
                number = int(file.read())
            time.sleep(0.0005)
            with open(path, "w") as file:
                file.write(str(number + 1))
    return "incremented"


commands = {
    "acquire": acquire,
    "increment": increment,
    "release": lambda: lock.release() or "released",
    "owned": lambda: str(lock.owned()),
    "locked": lambda key: str(client.lock(key).locked()),
    "extend": lambda seconds: str(lock.extend(float(seconds))),
    "reacquire": lambda: str(lock.reacquire()),
}

print("ready", flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    try:
        print(commands[name](*arguments), flush=True)
    except LockNotOwnedError:
        print("not owned", flush=True)
    except (LockError, RedisError) as error:
        print(type(error).__name__, error, flush=True)
