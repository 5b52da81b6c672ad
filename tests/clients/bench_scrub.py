"""How fast a deep scrub reads the disk, and what clients lose meanwhile. Used by bench.py.

The share is of what one stream of direct reads of 4 MiB gets from the same disk, the mean of before and after: all
copies lie on it, so three times the pool's data are read. From the order for every PG to the last PG's new deep-scrub stamp.
What clients lose is measured against the mean of before and after: small writes slow down as a store fills, scrub or
no scrub.
"""
import mmap
import os
import subprocess
import time

from bench_recovery import POOL, fill, iops, small_writes

SHARE, LOST = 'deep scrub, of the disk\'s sequential read', '4 KiB writes lost beside deep scrubs'
MB = 600

# One connection, as in bench_recovery: orders a deep scrub of every PG of the pool, waits for the last.
SCRUB = '''
import json, rados, sys, time
conf, pool, until = sys.argv[1], sys.argv[2], float(sys.argv[3])
cluster = rados.Rados(conffile=conf)
cluster.connect()

def ask(send, **command):
    code, out, why = send(json.dumps(dict(command, format='json')), b'')
    return json.loads(out) if code == 0 and out else {}

def stamps():
    pgs = ask(cluster.mgr_command, prefix='pg ls').get('pg_stats', [])
    return {p['pgid']: p['last_deep_scrub_stamp'] for p in pgs}

began = time.time()
while True:
    before = stamps()
    # As `ceph osd pool deep-scrub` does.
    cluster.mgr_command(json.dumps(dict(prefix='osd pool deep-scrub', who=[pool])), b'')
    while any(s == before[p] for p, s in stamps().items() if p in before):
        time.sleep(0.05)
    if time.time() - began >= until:
        break
print(time.time() - began)
'''


def disk_speed(folder, mb=1500):
    """MB/s of one stream of direct reads of 4 MiB."""
    path, chunk = os.path.join(folder, 'sequential'), 4 << 20
    buf = mmap.mmap(-1, chunk)
    buf.write(os.urandom(chunk))
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    try:
        for i in range(mb * 1000000 // chunk):
            os.pwritev(fd, [buf], i * chunk)
        os.fsync(fd)
        began, read = time.time(), 0
        while (n := os.preadv(fd, [buf], read)) > 0:
            read += n
        return read / 1e6 / (time.time() - began)
    finally:
        os.close(fd)
        os.remove(path)


def scrub(cluster, until=0):
    args = ['/usr/bin/python3', '-c', SCRUB, cluster.conf, POOL, str(until)]
    return float(subprocess.run(args, env=cluster.env, timeout=300, capture_output=True, check=True, text=True).stdout)


def measure(cluster, label):
    out = {}
    cluster.pool(POOL, pgs=32)
    cluster.wait_clean()
    fill(cluster, MB, 4 << 20)
    time.sleep(3)
    disk = disk_speed(cluster.dir)
    took = scrub(cluster)
    # A disk that has rested is faster for a while.
    disk = (disk + disk_speed(cluster.dir)) / 2
    out[SHARE] = 3 * MB / took / disk
    print('%-5s %-42s %.0f of %.0f MB/s: %.0f %%' % (label, SHARE, 3 * MB / took, disk, 100 * out[SHARE]), flush=True)
    alone = lambda: iops(small_writes(cluster, 12).communicate()[0], 2, 12)
    before = alone()
    client = small_writes(cluster, 60)
    time.sleep(3)
    took = scrub(cluster, 10)
    client.terminate()
    during = iops(client.communicate()[0], 4, 3 + int(took))
    after = alone()
    out[LOST] = 1 - 2 * during / (before + after) if during and before and after else None
    print('%-5s %-42s %s' % (label, LOST, '?' if out[LOST] is None else '%.0f %% (%.0f, then %.0f, without again %.0f '
                             'IOPS)' % (100 * out[LOST], before, during, after)), flush=True)
    cluster.remove_pool(POOL)
    return out
