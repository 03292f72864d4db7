"""redis-py's Lock, as the benchmark measures it: a line in, a line out.

    redis_py.py PORT

`uncontended ROUNDS` answers the nanoseconds and the wake-ups; `contend CONTENDERS SECONDS` answers the nanoseconds, the owner changes, all
acquisitions, the wake-ups, and then how often each contender got the lock. Contenders are threads with a connection each.
"""

import resource
import sys
import threading
import time

import redis

port = int(sys.argv[1])


def lock(name):
    # With what it waits by default: 0.1 s.
    return redis.Redis(host="127.0.0.1", port=port).lock(name, timeout=15)


def wake_ups():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


alone = lock("redis-py: alone")


def uncontended(rounds):
    before = wake_ups()
    began = time.perf_counter_ns()
    for _ in range(int(rounds)):
        alone.acquire()
        alone.release()
    return [time.perf_counter_ns() - began, wake_ups() - before]


def contend(contenders, seconds):
    contenders = int(contenders)
    start = threading.Barrier(contenders + 1)
    state = {"counts": False, "stop": False, "last": None, "changes": 0, "acquisitions": 0}
    grants = [0] * contenders

    # What is written under the lock needs no other.
    def enter(number):
        state["acquisitions"] += 1
        if state["counts"]:
            grants[number] += 1
            if state["last"] not in (None, number):
                state["changes"] += 1
            state["last"] = number

    def work(number):
        own = lock(f"redis-py: of {contenders}")
        with own:
            enter(number)
        start.wait()
        while not state["stop"]:
            with own:
                enter(number)

    before = wake_ups()
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(contenders)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter_ns()
    state["counts"] = True
    time.sleep(float(seconds))
    state["counts"] = False
    took = time.perf_counter_ns() - began
    state["stop"] = True
    for thread in threads:
        thread.join()
    return [took, state["changes"], state["acquisitions"], wake_ups() - before, *grants]


commands = {"uncontended": uncontended, "contend": contend}

redis.Redis(host="127.0.0.1", port=port).ping()
print("ready", flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    print("done", *commands[name](*arguments), flush=True)
