#!/usr/bin/python3
"""The crash loop: a load, kill -9 in the middle of it, a restart, and every acknowledged operation counted.

    crash.py [--spirula BINARY] [--rounds 5] [--seconds 4] [--tornfs [--lie] [--no-direct] [--tornfs-bin PATH]] [--seed N] [--dir DIR]

The load is made of what shows a lost or a doubled operation, by several client processes with many operations in
flight each:
  append    a tagged record at the end of a log object; the record must be there exactly once, in order
  count     cmpxattr n, setxattr n+1, omap tag and append, as one compound operation: a read-modify-write
  full      write_full with a version; what is read is the last acknowledged version or a later one, whole
  delete    and writes again, so that an object that comes back from the dead is seen

Each operation has one of three outcomes, written down by the process that issued it: acked, failed (an error came
back), unknown (no answer when the client itself was killed). An acked one must be there once, a failed one never,
an unknown one at most once.

Each round kills every daemon at once (or, two times in five, some of them; sometimes clients too), starts them again
and checks. kill -9 alone tests no sync, since the page cache survives it. With --tornfs the daemons' folders lie on
a file system that keeps in memory what was not synced; after the kill the power is cut: each unsynced write is
dropped, kept or torn. With --lie that file system says yes to every sync and does nothing: then the loop must fail
(and exits 0 only if it does), which checks the checker. With --no-direct it refuses O_DIRECT, so that the stores
write their logs through the page cache.
"""
import argparse
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from cluster import ROOT, Cluster, default_binary

POOL = 'crash'
WORKERS = 3
LOGS, COUNTERS, FULLS = 4, 3, 4
DEPTH = 24
#: Tags of one worker's round.
ROUND = 1_000_000


# ---------------------------------------------------------------------------------------------- the load

def record(tag, size):
    """One record of a log: its tag, its size, its bytes (known from the tag) and their checksum."""
    body = filler(tag, size)
    head = struct.pack('<4sQI', b'REC:', tag, size)
    return head + body + struct.pack('<I', zlib.crc32(head + body))


def filler(tag, size):
    return random.Random(tag).randbytes(size)


def version_of(tag, size):
    return struct.pack('<QI', tag, size) + filler(tag, size)


class Journal:
    """What a worker did, a line an operation: issued, acked, failed. Written before and after, never buffered."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, *words):
        os.write(self.fd, (' '.join(map(str, words)) + '\n').encode())


def worker(conf, number, start_tag, folder):
    """One client process. Runs until its file `stop` appears; then waits for what is in flight."""
    import capi
    journal = Journal(os.path.join(folder, 'journal.%d.%d' % (number, start_tag)))
    io = capi.Client(conf).ioctx(POOL)
    rng = random.Random(start_tag)
    tag = start_tag
    flying = []
    busy = set()
    stop = os.path.join(folder, 'stop')
    counts = {}
    # Objects of this round's own, so that they stay small however long the loop runs.
    mine = '%d.%d' % (number, start_tag // ROUND)

    def reap(block):
        while flying and (flying[0][0].done() or block):
            done, kind, obj, t = flying.pop(0)
            rc = done.wait()
            journal.note('A' if rc >= 0 else 'F', t, rc)
            busy.discard(obj)
            if kind == 'count':
                # A guard that does not hold: an earlier operation is there twice, or is there though it failed.
                counts[obj] = counts[obj] + 1 if rc >= 0 else None

    while not os.path.exists(stop):
        kind = rng.choices(['append', 'count', 'full', 'delete'], [6, 3, 3, 1])[0]
        size = rng.choice([40, 200, 900, 4096, 20000]) + rng.randrange(64)
        if kind == 'append':
            obj, w = 'log.%s.%d' % (mine, rng.randrange(LOGS)), io.write().append(record(tag, size))
        elif kind == 'count':
            obj = 'count.%s.%d' % (mine, rng.randrange(COUNTERS))
            if obj in busy:
                reap(False)
                time.sleep(0.001)
                continue
            if counts.get(obj) is None:
                counts[obj] = read_count(io, obj)
            n = counts[obj]
            w = io.write()
            if n == 0:
                w = w.create(exclusive=False)
            else:
                w = w.cmpxattr('n', capi.EQ, b'%d' % n)
            w = w.setxattr('n', b'%d' % (n + 1)).omap_set({'tag.%d' % tag: b'%d' % n}).append(record(tag, size % 500))
            size = size % 500
        else:
            obj = 'full.%s.%d' % (mine, rng.randrange(FULLS))
            if rng.random() < 0.1:
                # Large data goes to its place before the log knows of it.
                size += rng.choice([100000, 700000, 3000000])
            w = io.write().write_full(version_of(tag, size)) if kind == 'full' else io.write().remove()
        busy.add(obj)
        journal.note('I', tag, kind, obj, size)
        flying.append((w.aio(obj), kind, obj, tag))
        tag += 1
        reap(len(flying) > DEPTH)
    reap(True)
    journal.note('END')
    os._exit(0)


def read_count(io, obj):
    import ctypes as C
    buf = C.create_string_buffer(32)
    io_getxattr = __import__('capi').L.rados_getxattr
    io_getxattr.argtypes = [C.c_void_p, C.c_char_p, C.c_char_p, C.c_void_p, C.c_size_t]
    rc = io_getxattr(io.h, obj.encode(), b'n', buf, 32)
    return int(buf.raw[:rc]) if rc > 0 else 0


# ---------------------------------------------------------------------------------------------- the check

def outcomes(folder):
    """Every operation ever issued: {tag: [kind, object, size, outcome]}; the order of tags is that of issue."""
    ops = {}
    for name in sorted(os.listdir(folder)):
        if not name.startswith('journal.'):
            continue
        for line in open(os.path.join(folder, name), errors='replace').read().split('\n'):
            words = line.split()
            if len(words) == 5 and words[0] == 'I':
                ops[int(words[1])] = [words[2], words[3], int(words[4]), 'unknown', None]
            elif len(words) == 3 and words[0] in 'AF':
                ops[int(words[1])][3:] = ['acked' if words[0] == 'A' else 'failed', int(words[2])]
    return ops


def parse_log(data, wrong, obj):
    """The tags of a log's records in their order; anything that is no whole record is wrong."""
    tags, at = [], 0
    while at < len(data):
        if len(data) - at < 20 or data[at:at + 4] != b'REC:':
            wrong.append('%s: no record at %d of %d: %r' % (obj, at, len(data), data[at:at + 16]))
            return tags
        _, tag, size = struct.unpack_from('<4sQI', data, at)
        if data[at:at + 20 + size] != record(tag, size):
            wrong.append('%s: record %d at %d is damaged' % (obj, tag, at))
            return tags
        tags.append(tag)
        at += 20 + size
    return tags


def check_records(obj, tags, ops, wrong):
    """Acked once, failed never, unknown at most once, in the order of issue."""
    seen = {}
    for t in tags:
        seen[t] = seen.get(t, 0) + 1
    for t, (kind, o, _, outcome, rc) in ops.items():
        n = seen.pop(t, 0)
        if outcome == 'acked' and n != 1:
            wrong.append('%s: acked %s %d is there %d times' % (obj, kind, t, n))
        elif outcome == 'failed' and n:
            wrong.append('%s: %s %d failed with %s and is there' % (obj, kind, t, rc))
        elif n > 1:
            wrong.append('%s: %s %d of unknown outcome is there %d times' % (obj, kind, t, n))
    wrong += ['%s: has %d, which nobody wrote' % (obj, t) for t in seen]
    if tags != sorted(tags):
        wrong.append('%s: records are out of order' % obj)


def check_full(obj, data, ops, wrong):
    """What is there is the last acked version, or one whose outcome is unknown and that came later."""
    order = sorted(ops)
    settled = [t for t in order if ops[t][3] == 'acked']
    last = settled[-1] if settled else None
    later = [t for t in order if (last is None or t > last) and ops[t][3] == 'unknown']
    # A delete of nothing fails with ENOENT: it changes nothing.
    allowed = ([last] if last is not None else []) + later
    if data is None:
        if last is not None and ops[last][0] != 'delete' and not any(ops[t][0] == 'delete' for t in later):
            wrong.append('%s: acked version %d is gone' % (obj, last))
        return
    if len(data) < 12:
        wrong.append('%s: %d bytes are no version' % (obj, len(data)))
        return
    tag, size = struct.unpack_from('<QI', data)
    if data != version_of(tag, size):
        wrong.append('%s: version %d is damaged' % (obj, tag))
    elif tag not in allowed or ops[tag][0] != 'full':
        wrong.append('%s: holds version %d; last acked is %s, a %s' % (obj, tag, last, last and ops[last][0]))


def check(conf, ops, since):
    """Reads back what was begun with the tag `since` or later; gives what is wrong, a line each."""
    import rados
    r = rados.Rados(conffile=conf, conf=dict(rados_osd_op_timeout='60', client_mount_timeout='60'))
    r.connect(timeout=60)
    io = r.open_ioctx(POOL)
    by_object, wrong = {}, []
    for t, op in ops.items():
        by_object.setdefault(op[1], {})[t] = op
    there = {o.key for o in io.list_objects()}
    wrong += ['%s: is there, and nobody wrote it' % o for o in there - set(by_object)]
    for obj, mine in sorted(by_object.items()):
        if max(mine) < since:
            continue
        try:
            data = io.read(obj, io.stat(obj)[0] + 1)
        except rados.ObjectNotFound:
            data = None
        if (data is not None) != (obj in there):
            wrong.append('%s: reading and listing do not agree' % obj)
        if obj.startswith('full'):
            check_full(obj, data, mine, wrong)
            continue
        tags = parse_log(data or b'', wrong, obj)
        check_records(obj, tags, mine, wrong)
        if obj.startswith('count') and data is not None:
            n = int(io.get_xattr(obj, 'n'))
            with rados.ReadOpCtx() as op:
                it, _ = io.get_omap_vals(op, '', '', 1 << 20)
                io.operate_read_op(op, obj)
                omap = {int(k[4:]): int(v) for k, v in it}
            if n != len(tags) or sorted(omap) != sorted(tags):
                wrong.append('%s: counts %d, has %d records and %d keys' % (obj, n, len(tags), len(omap)))
            elif [omap[t] for t in tags] != list(range(n)):
                wrong.append('%s: the steps are not 0..%d' % (obj, n))
    r.shutdown()
    return wrong


# ---------------------------------------------------------------------------------------------- the crashes

class Torn:
    """Every daemon's folder on a file system that forgets what was not synced."""

    def __init__(self, cluster, program, how, seed):
        self.cluster, self.program, self.how, self.seed = cluster, program, how, seed
        self.mounts = []
        self.told = []

    def adopt(self):
        """Moves the folders of a cluster that is down behind mounts."""
        self.daemons = sorted(d for d in os.listdir(self.cluster.dir) if d.startswith(('osd.', 'mon.')))
        for d in self.daemons:
            os.rename(os.path.join(self.cluster.dir, d), os.path.join(self.cluster.folder, 'backing.' + d))
            os.mkdir(os.path.join(self.cluster.dir, d))
        self.mount()

    def mount(self):
        for d in self.daemons:
            self.seed += 1
            args = [self.program, os.path.join(self.cluster.folder, 'backing.' + d),
                    os.path.join(self.cluster.dir, d), '--seed', str(self.seed)] + self.how
            p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            said = p.stdout.readline()
            if said.strip() != 'mounted':
                raise RuntimeError('%s: %s' % (' '.join(args), said))
            self.mounts.append((d, p))

    def cut(self):
        """The power goes: what was not synced is dropped or torn. The daemons are dead already."""
        for d, p in self.mounts:
            p.stdin.write('cut\n')
            p.stdin.flush()
        for d, p in self.mounts:
            self.told.append('%s: %s' % (d, p.stdout.readline().strip()))
            p.stdin.close()
            p.wait(30)
        self.mounts = []

    def unmount(self):
        for d, p in self.mounts:
            p.stdin.close()
            p.wait(30)
        self.mounts = []


def spawn_workers(cluster, folder, tags):
    program = os.path.abspath(__file__)
    children = []
    for n in range(WORKERS):
        tags[0] += ROUND
        args = ['/usr/bin/python3', program, '--worker', str(n), '--tag', str(tags[0]), '--journals', folder, '--conf', cluster.conf]
        children.append(subprocess.Popen(args, env=cluster.env))
    return children


def crash_round(cluster, torn, rng, folder, tags, seconds):
    """One load with a crash in it; returns when the cluster is whole again and the load has ended."""
    stop = os.path.join(folder, 'stop')
    if os.path.exists(stop):
        os.unlink(stop)
    children = spawn_workers(cluster, folder, tags)
    try:
        return crash_under(children, cluster, torn, rng, stop, seconds)
    finally:
        # A cluster that does not come back leaves clients that wait for it.
        for child in children:
            child.kill()
            child.wait()


def crash_under(children, cluster, torn, rng, stop, seconds):
    time.sleep(1.0 + rng.random() * seconds)
    with_power = torn is not None
    if with_power or rng.random() < 0.6:
        victims = None
    else:
        victims = set(rng.sample(sorted(cluster.pids()), rng.randint(1, len(cluster.pids()) - 1)))
    if rng.random() < 0.4:
        # A client that dies with operations in flight leaves unknown outcomes.
        child = rng.choice(children)
        child.send_signal(signal.SIGKILL)
    killed = cluster.kill_all(victims)
    if with_power:
        torn.cut()
        torn.mount()
    restarted = time.time()
    cluster.up(timeout=150)
    healthy = time.time() - restarted
    time.sleep(0.3 + rng.random() * 0.5)
    open(stop, 'w').close()
    hung = []
    for n, child in enumerate(children):
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            hung.append('client %d has operations without an answer 60 s after the restart' % n)
            child.kill()
            child.wait()
    done = time.time() - restarted
    cluster.wait_clean(90)
    print('  healthy after %.1f s, clients done after %.1f s, clean after %.1f s' % (
        healthy, done, time.time() - restarted), flush=True)
    return killed, hung


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--spirula', default=default_binary())
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--seconds', type=float, default=3)
    ap.add_argument('--seed', type=int, default=0)
    ap.add_argument('--dir', default=None)
    ap.add_argument('--tornfs', action='store_true')
    ap.add_argument('--lie', action='store_true')
    ap.add_argument('--no-direct', action='store_true')
    ap.add_argument('--tornfs-bin', default=os.path.join(
        os.environ.get('CARGO_TARGET_DIR') or os.path.join(ROOT, 'target'), 'release', 'spirula-tornfs'))
    ap.add_argument('--worker', type=int)
    ap.add_argument('--tag', type=int)
    ap.add_argument('--journals')
    ap.add_argument('--conf')
    a = ap.parse_args()
    if a.worker is not None:
        return worker(a.conf, a.worker, a.tag, a.journals)
    if a.tornfs and not (os.access('/dev/fuse', os.R_OK | os.W_OK) and os.geteuid() == 0):
        print('skipped: the power-cut loop needs /dev/fuse and root')
        return 0
    if a.tornfs and not os.access(a.tornfs_bin, os.X_OK):
        # Or a cluster that does not start for want of it would pass for a lie found out.
        sys.exit('%s is not there: build it with `cargo build --release -p tornfs`' % a.tornfs_bin)
    seed = a.seed or int.from_bytes(os.urandom(4), 'little')
    rng = random.Random(seed)
    print('seed %d' % seed, flush=True)
    folder = tempfile.mkdtemp(prefix='spirula-crash-', dir=a.dir)
    journals = os.path.join(folder, 'journals')
    os.mkdir(journals)
    # Nothing is marked out meanwhile: what is tested is the return.
    cluster = Cluster(a.spirula, folder=folder, options=['--set', 'mon_osd_down_out_interval=600'])
    torn, wrong, tags, done = None, [], [0], 0
    try:
        cluster.up(*cluster.options)
        if a.tornfs:
            cluster.down()
            how = ['--lie'] * a.lie + ['--no-direct'] * a.no_direct
            torn = Torn(cluster, a.tornfs_bin, how, seed % 1_000_000)
            torn.adopt()
            cluster.up()
        cluster.pool(POOL, pgs=8)
        cluster.wait_clean()
        for n in range(a.rounds):
            started = time.time()
            killed, hung = crash_round(cluster, torn, rng, journals, tags, a.seconds)
            ops = outcomes(journals)
            last = n == a.rounds - 1
            # The last three rounds each time, everything at the end.
            wrong = hung + check(cluster.conf, ops, 0 if last else tags[0] - 3 * WORKERS * ROUND)
            done += 1
            count = {k: sum(o[3] == k for o in ops.values()) for k in ('acked', 'failed', 'unknown')}
            print('round %d: killed %s%s; so far %d acked, %d failed, %d unknown; %d wrong; %.0f s' % (
                n + 1, ' '.join(killed), ', power cut' if torn else '', count['acked'], count['failed'],
                count['unknown'], len(wrong), time.time() - started), flush=True)
            if torn:
                print('\n'.join('  ' + line for line in torn.told[-len(torn.daemons):]), flush=True)
            if wrong:
                break
    except Exception as e:
        wrong = wrong or ['the cluster did not come back: %s' % e]
    finally:
        if wrong:
            for line in wrong[:30]:
                print('  WRONG ' + line)
            if not a.lie:
                cluster.show_logs()
        cluster.kill_all()
        if torn:
            torn.unmount()
    ops = outcomes(journals)
    print('%d rounds, %d operations: %d wrong' % (done, len(ops), len(wrong)))
    if not wrong or a.lie:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print('kept for a look: %s' % folder)
    if a.lie:
        print('the lying disk was %s' % ('found out' if wrong else 'NOT found out: this checker checks nothing'))
        return 0 if wrong else 1
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
