"""How fast a cluster heals after a kill -9 and wipe of one OSD, and what its clients keep meanwhile.

Used by bench.py. A side is a cluster with `kill_osd`, `wipe_osd` and `start_osd`; both sides fill in the same way
(python3-rados, whole objects, a known amount) and are timed from the start of the wiped OSD until every PG is
active+clean, as the cluster tells an unmodified librados.
"""
import collections
import os
import re
import statistics
import subprocess
import time

POOL, VICTIM = 'heal', 0
TUNED = dict(osd_recovery_sleep_hdd=0, osd_recovery_sleep_ssd=0, osd_max_backfills=4, osd_recovery_max_active=8)
#: (name, MB, object size, tuned, how many times faster than real Ceph)
ROWS = (('recovery, 4 MiB objects, defaults', 2000, 4 << 20, False, 5), ('recovery, 4 MiB objects, tuned', 2000, 4 << 20, True, 2),
        ('recovery, 64 KiB objects, tuned', 250, 1 << 16, True, 5))
KEPT = '4 KiB writes kept beside a tuned recovery'

FILL = '''
import collections, os, rados, sys
conf, pool, first, last, size = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
cluster = rados.Rados(conffile=conf)
cluster.connect()
io, data, queue = cluster.open_ioctx(pool), os.urandom(size), collections.deque()
for i in range(first, last):
    queue.append(io.aio_write_full('r%d' % i, data))
    if len(queue) > 8:
        queue.popleft().wait_for_complete()
while queue:
    queue.popleft().wait_for_complete()
'''

# One connection that asks ten times a second: a `ceph` started anew for each question takes a core of its own.
WATCH = '''
import json, rados, sys, time
conf, victim = sys.argv[1], int(sys.argv[2])
cluster = rados.Rados(conffile=conf)
cluster.connect()

def ask(send, **command):
    code, out, why = send(json.dumps(dict(command, format='json')), b'')
    return json.loads(out) if code == 0 else None

def healed():
    osds = (ask(cluster.mon_command, prefix='osd dump') or {}).get('osds', [])
    if not osds or not all(o['up'] for o in osds):
        return False
    up_from = next(o['up_from'] for o in osds if o['osd'] == victim)
    pgs = (ask(cluster.mgr_command, prefix='pg ls') or {}).get('pg_stats')
    # What was reported before the OSD came back says nothing.
    return pgs and all(p['state'] == 'active+clean' and int(p['reported_epoch']) >= up_from for p in pgs)

give_up = time.time() + 600
while not healed():
    if time.time() > give_up:
        sys.exit(1)
    time.sleep(0.1)
'''


def fill(cluster, mb, size):
    """Writes so much, by several clients at once; gives the number of objects."""
    count, clients = mb * 1000000 // size, 4
    bounds = [count * k // clients for k in range(clients + 1)]
    running = [subprocess.Popen(['/usr/bin/python3', '-c', FILL, cluster.conf, POOL, str(a), str(b), str(size)], env=cluster.env)
               for a, b in zip(bounds, bounds[1:])]
    for p in running:
        if p.wait() != 0:
            raise AssertionError('filling the pool failed')
    return count


def tune(cluster, on):
    for name, value in TUNED.items():
        if on:
            cluster.ceph('config', 'set', 'osd', name, value)
        else:
            cluster.ceph('config', 'rm', 'osd', name, rc=None)


def lose(cluster):
    """The victim is killed, noticed, and wiped."""
    cluster.kill_osd(VICTIM)
    cluster.wait('osd.%d to be down' % VICTIM, lambda: cluster.json('osd', 'stat')['num_up_osds'] == 2, 90)
    cluster.wipe_osd(VICTIM)


def heal(cluster):
    """Starts the victim; seconds until all is clean."""
    began = time.time()
    cluster.start_osd(VICTIM)
    args = ['/usr/bin/python3', '-c', WATCH, cluster.conf, str(VICTIM)]
    if subprocess.run(args, env=cluster.env, timeout=700).returncode != 0:
        raise AssertionError('not every PG became active+clean')
    return time.time() - began


def small_writes(cluster, seconds):
    """A client with sixteen 4 KiB writes in flight, that tells each second's IOPS."""
    args = ['rados', '-p', POOL, 'bench', str(seconds), 'write', '-b', '4096', '-t', '16']
    return subprocess.Popen(args, stdout=subprocess.PIPE, text=True, env=cluster.env)


def iops(text, since, until):
    """The mean of the seconds of a run of `rados bench` between two moments of it."""
    made = collections.OrderedDict()
    for line in text.splitlines():
        words = line.split()
        if len(words) == 8 and re.fullmatch(r'\d+', words[0]):
            made[int(words[0])] = int(words[3])
    seconds = [s for s in made if since < s <= max(until, since + 2)]
    rates = [made[s] - made.get(s - 1, 0) for s in seconds if s - 1 in made or s == 1]
    return statistics.mean(rates) if rates else None


def kept(cluster):
    """The share of its IOPS that a small client keeps while a tuned recovery goes on."""
    quiet = small_writes(cluster, 10).communicate()[0]
    before = iops(quiet, 2, 10)
    fill(cluster, 1000, 4 << 20)
    lose(cluster)
    client = small_writes(cluster, 90)
    time.sleep(3)
    took = heal(cluster)
    client.terminate()
    during = iops(client.communicate()[0], 4, 3 + int(took))
    return during / before if during is not None and before else None


def measure(cluster, label):
    """MB/s of each row, and the share of IOPS kept."""
    out = {}
    cluster.ceph('osd', 'set', 'noout')
    for name, mb, size, tuned, _ in ROWS:
        cluster.pool(POOL, pgs=32)
        cluster.wait_clean()
        tune(cluster, tuned)
        fill(cluster, mb, size)
        cluster.wait_clean()
        lose(cluster)
        out[name] = mb / heal(cluster)
        print('%-5s %-36s %7.1f MB/s' % (label, name, out[name]), flush=True)
        cluster.remove_pool(POOL)
        time.sleep(5)
    cluster.pool(POOL, pgs=32)
    cluster.wait_clean()
    tune(cluster, True)
    out[KEPT] = kept(cluster)
    print('%-5s %-36s %s' % (label, KEPT, '?' if out[KEPT] is None else '%.0f %%' % (100 * out[KEPT])), flush=True)
    tune(cluster, False)
    cluster.remove_pool(POOL)
    cluster.ceph('osd', 'unset', 'noout')
    return out


def wipe(folder, keep):
    """Empties an OSD's folder, but for what makes it that OSD."""
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            if root != folder or name not in keep:
                os.remove(os.path.join(root, name))
        for name in folders:
            path = os.path.join(root, name)
            os.remove(path) if os.path.islink(path) else os.rmdir(path)
