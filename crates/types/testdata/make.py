#!/usr/bin/env python3
"""Picks the vectors of recorded.txt.gz out of the reference's recordings of a real cluster.

Usage: make.py REFERENCE. A line is a type of Ceph's, its bytes in hex, and where the same run printed it,
its JSON. The output is the same for the same reference."""
import glob
import gzip
import json
import lzma
import sys

ref = sys.argv[1]
out = []


def lines(name):
    with lzma.open(f"{ref}/{name}", "rt") as f:
        return [json.loads(l) for l in f]


def add(kind, hexa, shown=None):
    line = f"{kind} {hexa}" + (" " + json.dumps(shown, separators=(",", ":")) if shown is not None else "")
    if line not in out:
        out.append(line)


for o in lines("store/osd-objects.jsonl.xz"):
    add("object_info_t", o["attrs"]["_"], o["dump"]["info"])
    if "snapset" in o["attrs"]:
        add("SnapSet", o["attrs"]["snapset"], o["dump"]["SnapSet"])

for o in lines("store/osd-pgmeta.jsonl.xz"):
    if o["name"] == "_info":
        add("pg_info_t", o["hex"])
    elif o["name"][:1] == "0":
        add("pg_log_entry_t", o["hex"][8:-8])  # without length and checksum

add("OSDSuperblock", json.load(open(f"{ref}/store/osd-super.json"))["hex"])

for path in sorted(glob.glob(f"{ref}/maps/osdmap.*.bin.gz")):
    raw = gzip.open(path).read()
    shown = {p["pool"]: p for p in json.load(gzip.open(path.replace(".bin.", ".json.")))["pools"]}
    at = 0
    while (at := raw.find(b"\x1d\x05", at + 1)) >= 0:
        size = int.from_bytes(raw[at + 2:at + 6], "little")
        pool = int.from_bytes(raw[at - 8:at], "little")
        if 300 < size < 600 and pool in shown:
            p = {k: v for k, v in shown.pop(pool).items() if k not in ("pool", "pool_name")}
            add("pg_pool_t", raw[at:at + 6 + size].hex(), p)

for path in sorted(glob.glob(f"{ref}/wire/*.jsonl.xz")):
    for frame in lines(path[len(ref) + 1:]):
        front = bytes.fromhex((frame.get("msg") or {}).get("front") or "")
        if frame.get("type") not in (87, 1794, 130, 131):  # MPGStats, and peering's notifications
            continue
        for kind, head in (("osd_stat_t", b"\x0e\x02"), ("pg_stat_t", b"\x1a\x16"), ("pg_info_t", b"\x20\x1a")):
            at = front.find(head)
            size = int.from_bytes(front[at + 2:at + 6], "little")
            if at >= 0 and 200 < size < 2000 and size <= len(front) - at - 6 and sum(l.startswith(kind) for l in out) < 8:
                add(kind, front[at:at + 6 + size].hex())

with open("recorded.txt.gz", "wb") as f, gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
    z.write("\n".join(out).encode() + b"\n")
print(len(out), "vectors")
