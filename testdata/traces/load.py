#!/usr/bin/env python3
"""The jobs that ran while the traces in this folder were recorded.

usage: load.py --for SECONDS [--peer ADDRESS:PORT] [--seed N]      (and `load.py --sink PORT` at the peer)

Five jobs, each in a cycle of its own (10 to 30 minutes) with some jitter in time and size, as scheduled work
on a server has: a report (processor), a cache that fills and is dropped (memory), a backup (disk, then network),
an ingest (network, then disk) and short requests all the time. They use what a shared machine leaves them.
"""
import argparse, os, random, socket, tempfile, threading, time

A = argparse.ArgumentParser()
A.add_argument("--for", dest="seconds", type=float, default=7200)
A.add_argument("--peer")
A.add_argument("--sink", type=int)
A.add_argument("--seed", type=int, default=1)
a = A.parse_args()
END = time.monotonic() + a.seconds
CHUNK = os.urandom(1 << 16)
FOLDER = tempfile.mkdtemp(prefix="load-")


def running(until):
    return time.monotonic() < min(until, END)


def compute(seconds, duty):
    """Keeps one core busy for a share `duty` of the time."""
    until = time.monotonic() + seconds
    while running(until):
        t = time.monotonic()
        while time.monotonic() - t < 0.05 * duty:
            sum(i * i for i in range(500))
        time.sleep(0.05 * (1 - duty) + 1e-4)


def write(seconds, rate):
    """Writes `rate` bytes a second to disk and reads a part of it back."""
    until, path = time.monotonic() + seconds, os.path.join(FOLDER, f"{random.random()}")
    with open(path, "wb") as f:
        while running(until):
            t = time.monotonic()
            for _ in range(max(1, int(rate / len(CHUNK) / 2))):
                f.write(CHUNK)
            f.flush(); os.fsync(f.fileno())
            if f.tell() > 1 << 28: f.seek(0)
            time.sleep(max(0, 0.5 - (time.monotonic() - t)))
    os.unlink(path)


def send(seconds, rate):
    """Sends `rate` bytes a second to the peer, which sends a tenth back."""
    if not a.peer: return
    host, port = a.peer.rsplit(":", 1)
    until = time.monotonic() + seconds
    with socket.create_connection((host, int(port)), 5) as s:
        while running(until):
            t = time.monotonic()
            for _ in range(max(1, int(rate / len(CHUNK) / 5))):
                s.sendall(CHUNK); s.recv(len(CHUNK) // 10, socket.MSG_WAITALL)
            time.sleep(max(0, 0.2 - (time.monotonic() - t)))


def cache(seconds, size):
    """Fills `size` bytes of memory over `seconds`, keeps them a quarter of that time longer."""
    held, until = [], time.monotonic() + seconds
    step = size / max(1, seconds)
    while running(until):
        held.append(bytearray(int(step))); held[-1][::4096] = b"x" * len(held[-1][::4096])
        time.sleep(1)
    while running(until + seconds / 4): time.sleep(1)


def backup(seconds, rate):
    write(seconds * .6, rate); send(seconds * .4, rate)


def ingest(seconds, rate):
    send(seconds * .5, rate); write(seconds * .5, rate / 2)


def cycle(seed, job, period, seconds, size, offset):
    r = random.Random(seed)
    time.sleep(offset)
    start = time.monotonic()
    while time.monotonic() < END:
        job(seconds * r.uniform(.9, 1.15), size * r.uniform(.8, 1.1))
        start += period * r.uniform(.98, 1.02)
        time.sleep(max(0, min(start, END) - time.monotonic()))


def requests():
    r = random.Random(a.seed + 99)
    while time.monotonic() < END:
        compute(r.uniform(.05, .4), .5); time.sleep(r.expovariate(1 / 3))


def sink(port):
    with socket.create_server(("", port)) as server:
        def serve(c):
            got = 0
            while data := c.recv(1 << 16):
                got += len(data)
                while got >= len(CHUNK): c.sendall(CHUNK[: len(CHUNK) // 10]); got -= len(CHUNK)
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


if a.sink: sink(a.sink)
M = 1 << 20
JOBS = [(compute, 720, 210, .8, 40), (cache, 1500, 420, 3000 * M, 100), (backup, 900, 200, 12 * M, 200),
        (ingest, 600, 120, 8 * M, 20), (compute, 1800, 300, .6, 500)]
threads = [threading.Thread(target=cycle, args=(a.seed + i, *j), daemon=True) for i, j in enumerate(JOBS)]
threads.append(threading.Thread(target=requests, daemon=True))
for t in threads: t.start()
for t in threads: t.join(max(0, END - time.monotonic()) + 5)
os.rmdir(FOLDER) if not os.listdir(FOLDER) else None
