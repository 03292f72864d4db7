"""What the programs in Python share: a line in, a line out, as src/peers/program.rs says.

Contenders are threads. A lock is a context manager; `lock(contender, name)` makes one, `prepare(contenders)` connects what they need.
"""

import resource
import sys
import threading
import time


def wake_ups():
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


class Contest:
    def __init__(self, lock, prepare):
        self.lock = lock
        self.prepare = prepare

    def uncontended(self, rounds):
        alone = self.lock(0, "alone")
        before = wake_ups()
        began = time.perf_counter_ns()
        for _ in range(int(rounds)):
            with alone:
                pass
        return [time.perf_counter_ns() - began, wake_ups() - before]

    def contend(self, contenders, seconds):
        contenders = int(contenders)
        start = threading.Barrier(contenders + 1)
        state = {"counts": False, "stop": False, "last": None, "changes": 0, "acquisitions": 0}
        grants = [0] * contenders
        waits = []

        # What is written under the lock needs no other.
        def enter(number, asked):
            state["acquisitions"] += 1
            if state["counts"]:
                grants[number] += 1
                waits.append(time.perf_counter_ns() - asked)
                if state["last"] not in (None, number):
                    state["changes"] += 1
                state["last"] = number

        def work(number):
            own = self.lock(number, f"of-{contenders}")
            asked = time.perf_counter_ns()
            with own:
                enter(number, asked)
            start.wait()
            while not state["stop"]:
                asked = time.perf_counter_ns()
                with own:
                    enter(number, asked)

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
        waits = sorted(waits) or [0]
        ranks = [waits[len(waits) * hundredths // 100] for hundredths in (50, 99)]
        return [took, state["changes"], state["acquisitions"], wake_ups() - before, *ranks, *grants]

    def serve(self, version):
        self.prepare(1)
        commands = {
            "uncontended": self.uncontended,
            "prepare": lambda contenders: self.prepare(int(contenders)) or [],
            "contend": self.contend,
        }
        print("ready", version, flush=True)
        for line in sys.stdin:
            name, *arguments = line.split()
            print("done", *commands[name](*arguments), flush=True)
