"""A program that uses kazoo's recipes, and does what the lines of its standard input say: a line in, a line out.

    kazoo_peer.py ENDPOINT SESSION-TIMEOUT-MS
"""

import os
import sys
import threading

import kazoo
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, LockTimeout

client = KazooClient(hosts=sys.argv[1], timeout=int(sys.argv[2]) / 1000)
client.start(timeout=20)
recipes = {"mutex": client.Lock, "read": client.ReadLock, "write": client.WriteLock}
locks = {}
election = None
leads = threading.Event()
resigns = threading.Event()


def lock(kind, path):
    """A lock's object has one UUID for all of its acquisitions, so each is one object."""
    return locks.setdefault((kind, path), recipes[kind](path, "kazoo"))


def acquire(kind, path, patience):
    waits = int(patience) > 0
    try:
        got = lock(kind, path).acquire(blocking=waits, timeout=int(patience) / 1000 if waits else None)
    except LockTimeout:
        got = False
    return "got" if got else "busy"


def increment(kind, path, file, times):
    """Adds 1 to the number in a file, each time under the lock, by a read and a write apart."""
    for _ in range(int(times)):
        with lock(kind, path):
            with open(file) as old:
                number = int(old.read())
            os.sched_yield()
            with open(file, "w") as new:
                new.write(str(number + 1))
    return "incremented"


def stand(path, identifier):
    """Runs for the leadership on a thread of its own, and leads until it is told to resign."""
    global election
    election = client.Election(path, identifier)
    leads.clear()
    resigns.clear()

    def leader():
        leads.set()
        resigns.wait()

    threading.Thread(target=election.run, args=(leader,), daemon=True).start()
    return "standing"


def resign():
    resigns.set()
    election.cancel()
    return "resigned"


commands = {
    "acquire": acquire,
    "release": lambda kind, path: "released" if lock(kind, path).release() else "not held",
    "contenders": lambda kind, path: " ".join(lock(kind, path).contenders()),
    "increment": increment,
    "stand": stand,
    "lead": lambda patience: "leading" if leads.wait(int(patience) / 1000) else "waiting",
    "participants": lambda: " ".join(election.contenders()),
    "resign": resign,
}

print("ready", kazoo.__version__, flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    try:
        print(commands[name](*arguments), flush=True)
    except KazooException as error:
        print(type(error).__name__, error, flush=True)
