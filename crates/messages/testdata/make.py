#!/usr/bin/env python3
"""Picks recorded messages for recorded.txt.gz: of each type and shape a few, whole ones only.

usage: make.py WIRE_FOLDER    (the folder with the captures, *.jsonl.xz, taken from Ceph 16.2.15)

A line is: capture sender type version compat priority data_off front middle data, the last three in
hex or "-".
"""
import collections, glob, gzip, json, lzma, os, sys

EACH, BYTES = 8, 25_000
OTHERS = {46, 47, 60, 65, 66, 67, 140, 1545}  # between monitors, where Spirula has its own
kept = collections.defaultdict(list)
for path in sorted(glob.glob(sys.argv[1] + "/*.jsonl.xz")):
    servers = {}
    for line in lzma.open(path):
        frame = json.loads(line)
        if "server" in frame:
            servers[frame["conn"]] = frame["server"].split()[0]
        if frame.get("tagname") != "MESSAGE":
            continue
        parts = [frame["msg"][k] for k in ("front", "middle", "data")]
        if frame["type"] in OTHERS or sum(map(len, parts)) != 2 * sum(frame["segs"][1:]):
            continue  # and long data was not recorded whole
        sender = "client" if frame["from"] == "c" else servers.get(frame["conn"], "server")
        name = os.path.basename(path).split(".")[0]
        head = [name, sender] + [str(frame[k]) for k in ("type", "ver", "compat", "prio", "data_off")]
        kept[frame["type"], frame["ver"]].append(head + [p or "-" for p in parts])

with gzip.GzipFile("recorded.txt.gz", "wb", mtime=0) as out:
    for key in sorted(kept):
        # One of each length, spread evenly from the shortest to the longest.
        by_length = sorted({tuple(map(len, m[7:])): m for m in kept[key]}.items())
        step = max(1, len(by_length) / EACH)
        picked = {int(i * step): None for i in range(EACH) if int(i * step) < len(by_length)}
        for i in picked:
            message = by_length[i][1]
            if sum(map(len, message[7:])) <= 2 * BYTES:
                out.write((" ".join(message) + "\n").encode())
