#!/usr/bin/python3
"""Real Ceph and Spirula under the same unmodified `rados bench`, taking turns, on the same disk, both durable.

    bench.py [--spirula BINARY] [--seconds 10] [--reps 3] [--dir DIR] [--only real,ours] [--rows load,recovery,scrub]
             [--write docs/PERFORMANCE.md]

Three OSDs, size 3, 32 PGs, 16 operations in flight. Real Ceph is made here from the programs of Debian's ceph-mon,
ceph-mgr and ceph-osd packages (BlueStore in a file); without them only ours runs. Each repetition has a pool of its
own. CPU is user and system time of the daemons from /proc; syncs are counted by the kernel (perf stat on the
daemons' system calls), or told as unknown where perf is not there.
"""
import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import bench_recovery
import bench_scrub
from cluster import ROOT, Clients, Cluster, default_binary, run

HZ = os.sysconf('SC_CLK_TCK')
POOL = 'bench'
#: (name, rados bench's mode, object size)
LOADS = (('4 KiB write', 'write', 4096), ('4 KiB random read', 'rand', 4096), ('4 MiB write', 'write', 4 << 20),
         ('4 MiB read', 'seq', 4 << 20))


class RealCeph(Clients):
    """A cluster of Debian's Ceph on loopback: one monitor, one manager, three OSDs on BlueStore in files."""

    def __init__(self, folder):
        self.dir, self.idents = folder, {}
        super().__init__(os.path.join(folder, 'ceph.conf'))

    @staticmethod
    def missing():
        return [p for p in ('ceph-mon', 'ceph-mgr', 'ceph-osd', 'monmaptool', 'ceph-authtool') if not shutil.which(p)]

    def tool(self, *args):
        return self.run(*args, timeout=120)

    def __enter__(self):
        d, fsid = self.dir, str(uuid.uuid4())
        for sub in ('run', 'log', 'mon.a', 'mgr.x'):
            os.makedirs(os.path.join(d, sub))
        probe = socket.socket()
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
        probe.close()
        addr = '[v2:127.0.0.1:%d]' % port
        conf = dict(
            fsid=fsid, mon_host=addr, public_addr='127.0.0.1', cluster_addr='127.0.0.1', auth_cluster_required='none',
            auth_service_required='none', auth_client_required='none', run_dir=d + '/run', crash_dir=d + '/log',
            auth_allow_insecure_global_id_reclaim='false', admin_socket=d + '/run/$name.asok',
            log_file=d + '/log/$name.log', mon_cluster_log_file=d + '/log/cluster.log',
            osd_pool_default_pg_autoscale_mode='off', osd_crush_chooseleaf_type=0, mon_allow_pool_delete='true',
            mon_data_avail_warn=3, mon_data_avail_crit=1, mgr_initial_modules='iostat',
            mon_warn_on_pool_no_redundancy='false')
        text = '[global]\n' + ''.join('%s = %s\n' % kv for kv in conf.items())
        text += '[client]\nkeyring = %s/admin.keyring\nadmin_socket =\nlog_file =\n' % d
        text += '[mon]\nmon_data = %s/mon.$id\n[mgr]\nmgr_data = %s/mgr.$id\n' % (d, d)
        text += '[osd]\nosd_data = %s/osd.$id\nosd_objectstore = bluestore\nbluestore_block_size = %d\n' % (d, 10 << 30)
        text += 'osd_memory_target = %d\n' % (2 << 30)
        with open(self.conf, 'w') as f:
            f.write(text)
        admin, mon, monmap = (os.path.join(d, n) for n in ('admin.keyring', 'mon.keyring', 'monmap'))
        everything = [w for s in ('mon', 'osd', 'mgr', 'mds') for w in ('--cap', s, 'allow *')]
        self.tool('ceph-authtool', '--create-keyring', mon, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *')
        self.tool('ceph-authtool', '--create-keyring', admin, '--gen-key', '-n', 'client.admin', *everything)
        self.tool('ceph-authtool', mon, '--import-keyring', admin)
        self.tool('monmaptool', '--create', '--fsid', fsid, '--enable-all-features', '--set-min-mon-release', 'pacific',
                  '--addv', 'a', addr, monmap)
        self.tool('ceph-mon', '-i', 'a', '-c', self.conf, '--mkfs', '--monmap', monmap, '--keyring', mon)
        self.daemon('mon', 'a')
        self.ceph('mon', 'stat')
        self.ceph('config', 'set', '--force', 'mgr', 'mgr/devicehealth/enable_monitoring', 'false')
        self.ceph('auth', 'get-or-create', 'mgr.x', 'mon', 'allow profile mgr', 'osd', 'allow *', 'mds', 'allow *',
                  '-o', os.path.join(d, 'mgr.x', 'keyring'))
        self.daemon('mgr', 'x')
        for i in range(3):
            ident = str(uuid.uuid4())
            secret = self.tool('ceph-authtool', '--gen-print-key').text.strip()
            number = self.ceph('osd', 'new', ident, '-i', '-',
                               data=json.dumps(dict(cephx_secret=secret)).encode()).text.strip()
            data = os.path.join(d, 'osd.' + number)
            os.makedirs(data)
            with open(os.path.join(data, 'keyring'), 'w') as f:
                f.write('[osd.%s]\n\tkey = %s\n' % (number, secret))
            self.idents[number] = ident
            self.tool('ceph-osd', '-i', number, '-c', self.conf, '--mkfs', '--osd-uuid', ident)
            self.daemon('osd', number)
        self.wait('three OSDs', lambda: self.json('osd', 'stat')['num_up_osds'] == 3, 60)
        return self

    def daemon(self, kind, name):
        pid_file = os.path.join(self.dir, 'run', '%s.%s.pid' % (kind, name))
        self.tool('ceph-' + kind, '-i', name, '-c', self.conf, '--pid-file', pid_file)

    def kill_osd(self, n):
        name = 'osd.%d' % n
        os.kill(self.pids()[name], signal.SIGKILL)
        self.wait('%s to be gone' % name, lambda: name not in self.pids(), 20, 0.05)

    def wipe_osd(self, n):
        bench_recovery.wipe(os.path.join(self.dir, 'osd.%d' % n), keep=('keyring',))
        self.tool('ceph-osd', '-i', str(n), '-c', self.conf, '--mkfs', '--osd-uuid', self.idents[str(n)])

    def start_osd(self, n):
        self.daemon('osd', str(n))

    def pids(self):
        found = {}
        for name in sorted(os.listdir(os.path.join(self.dir, 'run'))):
            if name.endswith('.pid'):
                pid = int(open(os.path.join(self.dir, 'run', name)).read().strip() or 0)
                kind = b'ceph-' + name.split('.')[0].encode()
                try:
                    if kind in open('/proc/%d/cmdline' % pid, 'rb').read():
                        found[name[:-4]] = pid
                except OSError:
                    pass
        return found

    def __exit__(self, *_):
        for pid in self.pids().values():
            os.kill(pid, signal.SIGKILL)
        give_up = time.time() + 10
        while self.pids() and time.time() < give_up:
            time.sleep(0.1)
        shutil.rmtree(self.dir, ignore_errors=True)


class Ours(Cluster):
    """A cluster of ours that can lose an OSD."""

    def kill_osd(self, n):
        self.kill('osd.%d' % n)

    def wipe_osd(self, n):
        bench_recovery.wipe(os.path.join(self.dir, 'osd.%d' % n), keep=('uuid',))

    def start_osd(self, n):
        self.start('osd.%d' % n)


def cpu_of(cluster, kind='osd'):
    """CPU seconds, user and system, of the daemons of a kind so far."""
    total = 0.0
    for name, pid in cluster.pids().items():
        if name.startswith(kind):
            words = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
            total += (int(words[11]) + int(words[12])) / HZ
    return total


def rss_of(cluster):
    """MiB of each OSD."""
    sizes = []
    for name, pid in cluster.pids().items():
        if name.startswith('osd'):
            line = next(x for x in open('/proc/%d/status' % pid) if x.startswith('VmRSS'))
            sizes.append(int(line.split()[1]) / 1024)
    return sizes


class Syncs:
    """Counts the OSDs' fdatasync and fsync calls while `with` holds, by perf; `count` is None without it."""

    def __init__(self, cluster):
        self.pids, self.count, self.p = [p for n, p in cluster.pids().items() if n.startswith('osd')], None, None

    def __enter__(self):
        if shutil.which('perf') and os.geteuid() == 0:
            args = ['perf', 'stat', '-x,', '-e', 'syscalls:sys_enter_fdatasync,syscalls:sys_enter_fsync', '-p',
                    ','.join(map(str, self.pids))]
            self.p = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            time.sleep(0.3)
        return self

    def __exit__(self, *_):
        if self.p:
            self.p.send_signal(signal.SIGINT)
            lines = self.p.communicate(timeout=20)[1].splitlines()
            counts = [int(x.split(',')[0]) for x in lines if 'sys_enter' in x and x.split(',')[0].isdigit()]
            self.count = sum(counts) if counts else None


def grab(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise AssertionError('rados bench did not print %s:\n%s' % (pattern, text[-1500:]))
    return float(found.group(1))


def one(cluster, mode, size, seconds):
    """One run of rados bench."""
    args = ['-p', POOL, 'bench', seconds, mode, '-t', 16, '--run-name', 'b%d' % size]
    if mode == 'write':
        args += ['-b', size, '--no-cleanup']
    subprocess.run(['sync'])
    time.sleep(0.5)
    before = cpu_of(cluster)
    with Syncs(cluster) as syncs:
        middle = resource.getrusage(resource.RUSAGE_CHILDREN)
        text = cluster.rados(*args, timeout=seconds * 6 + 60).text
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = cpu_of(cluster) - before
    ops = grab(r'Total (?:writes|reads) made:\s+(\d+)', text)
    took = grab(r'Total time run:\s+([\d.]+)', text)
    client = after.ru_utime + after.ru_stime - middle.ru_utime - middle.ru_stime
    return dict(ops=ops, rate=ops / took if size == 4096 else ops * size / took / (1 << 20), cpu=1e6 * used / ops,
                client=1e6 * client / ops, syncs=syncs.count / ops if syncs.count is not None else None,
                latency=1e3 * grab(r'Average Latency\(s\):\s+([\d.]+)', text),
                worst=1e3 * grab(r'Max latency\(s\):\s+([\d.]+)', text))


def rest(clusters, patience=60):
    """Until what the last load left behind (deleting its pool, compaction) is done: neither side shall pay for the other."""
    give_up = time.time() + patience
    used = [cpu_of(c, '') for c in clusters]
    while time.time() < give_up:
        time.sleep(2)
        before, used = used, [cpu_of(c, '') for c in clusters]
        if all(now - then < 0.05 * 2 for now, then in zip(used, before)):
            return


def measure_load(sides, seconds, reps):
    """Medians of every figure of each side. Both clusters are up, and take turns: whoever measured first in one repetition
    is second in the next, so that a disk which is fast for a while after a rest favours nobody."""
    rows = {label: {} for label in sides}
    for rep in range(reps):
        for size in (4096, 4 << 20):
            for label, cluster in sorted(sides.items(), reverse=rep % 2 == 0):
                rest(sides.values())
                cluster.pool(POOL, pgs=32)
                cluster.wait_clean()
                for name, mode in ((name, mode) for name, mode, bytes_ in LOADS if bytes_ == size):
                    r = one(cluster, mode, size, seconds)
                    rows[label].setdefault(name, []).append(r)
                    print('%-5s %d  %-18s %9.0f %s, %6.0f us of OSD CPU an op, client %4.0f us, %s syncs an op, %.1f ms, worst %.0f ms' % (
                        label, rep + 1, name, r['rate'], 'IOPS' if size == 4096 else 'MiB/s', r['cpu'], r['client'],
                        '?' if r['syncs'] is None else '%.2f' % r['syncs'], r['latency'], r['worst']), flush=True)
                cluster.remove_pool(POOL)
    out = {label: {name: {k: median(x[k] for x in runs) for k in runs[0]} for name, runs in of.items()} for label, of in rows.items()}
    rest(sides.values())
    before = {label: cpu_of(c, '') for label, c in sides.items()}
    time.sleep(10)
    for label, cluster in sides.items():
        out[label].update(rss=max(rss_of(cluster)), idle=(cpu_of(cluster, '') - before[label]) / 10 * 100)
    return out


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def table(real, ours):
    """The issue's table, as lines of Markdown."""
    lines = ['| figure | real Ceph | Spirula | ratio | to reach | |', '|---|---:|---:|---:|---|---|']

    def row(figure, r, o, unit, want, met):
        ratio = '%.2f' % (o / r) if r and o is not None else '–'
        show = lambda v: '–' if v is None else '%s %s' % ('{:,.0f}'.format(v) if v >= 10 else '%.2f' % v, unit)
        verdict = '' if met is None else 'met' if met else '**not met**'
        lines.append('| %s | %s | %s | %s | %s | %s |' % (figure, show(r), show(o), ratio, want, verdict))

    def get(side, name, key):
        return side[name][key] if side else None
    targets = {'4 KiB write': (4, 1 / 5), '4 KiB random read': (1.4, 1 / 3), '4 MiB write': (1.5, None), '4 MiB read': (1.2, None)}
    for name, _, size in LOADS if 'rss' in ours else ():
        faster, cheaper = targets[name]
        r, o = get(real, name, 'rate'), get(ours, name, 'rate')
        row(name, r, o, 'IOPS' if size == 4096 else 'MiB/s', '≥ %s ×' % faster, r and o >= faster * r)
        r, o = get(real, name, 'cpu'), get(ours, name, 'cpu')
        want = '≤ 1/%d' % round(1 / cheaper) if cheaper else ''
        row(name + ': OSD CPU an op', r, o, 'µs', want, o <= cheaper * r if r and cheaper else None)
        row(name + ': client CPU an op', get(real, name, 'client'), get(ours, name, 'client'), 'µs', '', None)
        row(name + ': mean latency', get(real, name, 'latency'), get(ours, name, 'latency'), 'ms', '', None)
        row(name + ': worst latency', get(real, name, 'worst'), get(ours, name, 'worst'), 'ms', '', None)
        if 'write' in name:
            row(name + ': syncs an op, three OSDs', get(real, name, 'syncs'), get(ours, name, 'syncs'), '', '', None)
    if 'rss' in ours:
        row('largest OSD after it, resident', real and real['rss'], ours['rss'], 'MiB', '≤ 200 MiB', ours['rss'] <= 200)
        row('idle cluster, of a core', real and real['idle'], ours['idle'], '%', '< 1 %', ours['idle'] < 1)
    if 'recovery' in ours:
        for name, _, _, _, faster in bench_recovery.ROWS:
            r, o = get(real, 'recovery', name), get(ours, 'recovery', name)
            row(name, r, o, 'MB/s', '≥ %s ×' % faster, r and o >= faster * r)
        share = lambda side: (lambda v: v and 100 * v)(get(side, 'recovery', bench_recovery.KEPT))
        o = share(ours)
        row(bench_recovery.KEPT, share(real), o, '%', '≥ 60 %', o is not None and o >= 60)
    if 'scrub' in ours:
        percent = lambda side, name: (lambda v: v and 100 * v)(get(side, 'scrub', name))
        o = percent(ours, bench_scrub.SHARE)
        row(bench_scrub.SHARE, percent(real, bench_scrub.SHARE), o, '%', '≥ 70 %', o >= 70)
        o = percent(ours, bench_scrub.LOST)
        row(bench_scrub.LOST, percent(real, bench_scrub.LOST), o, '%', '≤ 10 %', o is not None and o <= 10)
    return lines


def describe_machine():
    cpu = next((x.split(':')[1].strip() for x in open('/proc/cpuinfo') if x.startswith('model name')), 'unknown')
    return '%d cores (%s), Linux %s' % (os.cpu_count(), cpu, os.uname().release)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--spirula', default=default_binary())
    ap.add_argument('--seconds', type=int, default=10)
    ap.add_argument('--reps', type=int, default=3)
    ap.add_argument('--dir', default=None)
    ap.add_argument('--only', default='real,ours')
    ap.add_argument('--rows', default='load,recovery,scrub')
    ap.add_argument('--write', default=None)
    a = ap.parse_args()
    sides = [label for label in ('real', 'ours') if label in a.only.split(',')]
    missing = RealCeph.missing()
    if 'real' in sides and missing:
        print('real Ceph is left out: %s not installed (apt-get install ceph-mon ceph-mgr ceph-osd)' % ', '.join(missing))
        sides.remove('real')
    figures, kinds = {label: {} for label in sides}, a.rows.split(',')
    with tempfile.TemporaryDirectory(prefix='spirula-bench-', dir=a.dir) as folder:
        def made(label, what):
            inside = os.path.join(folder, '%s-%s' % (label, what))
            os.mkdir(inside)
            return RealCeph(inside) if label == 'real' else Ours(a.spirula, folder=inside, fast=False)
        if 'load' in kinds:
            with contextlib.ExitStack() as stack:
                for label, of in measure_load({x: stack.enter_context(made(x, 'load')) for x in sides}, a.seconds, a.reps).items():
                    figures[label].update(of)
        for kind, rows in (('recovery', bench_recovery), ('scrub', bench_scrub)):
            for label in sides if kind in kinds else ():
                with made(label, kind) as cluster:
                    figures[label][kind] = rows.measure(cluster, label)
    real, ours = figures.get('real'), figures.get('ours')
    if not ours:
        return 0
    lines = table(real, ours)
    print('\n'.join(lines))
    commit = run(['git', '-C', ROOT, 'rev-parse', '--short=12', 'HEAD']).text.strip() or 'unknown'
    if a.write:
        write(a, lines, commit)
    return 0


def write(a, lines, commit):
    """Replaces the part of the document between its two marks."""
    begin, end = '<!-- begin: written by cargo xtask bench -->', '<!-- end -->'
    text = open(a.write).read()
    head, rest = text.split(begin)
    tail = rest.split(end, 1)[1]
    version = run(['ceph-osd', '--version']).text.split()
    said = 'Commit %s against %s, %s; %s.\n%d s a run, medians of %d, 3 OSDs, size 3, 32 PGs, 16 in flight.\n' % (
        commit, ' '.join(version[:3]) or 'no real Ceph', time.strftime('%Y-%m-%d'), describe_machine(), a.seconds, a.reps)
    with open(a.write, 'w') as f:
        f.write(head + begin + '\n' + said + '\n' + '\n'.join(lines) + '\n' + end + tail)


if __name__ == '__main__':
    sys.exit(main())
