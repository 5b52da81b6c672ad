#!/usr/bin/python3
"""How well the monitors do, beside docs/PERFORMANCE.md: memory and restart after many map changes, the idle
cluster, and how soon a dead leader is replaced and a dead or frozen OSD marked down.

    bench_mons.py [--spirula BINARY] [--changes 20000]

Makes clusters of its own, uses python3-rados, takes a few minutes. Prints a table in Markdown.
"""
import argparse
import json
import os
import signal
import statistics
import sys
import time

from cluster import Cluster, default_binary

TICKS = os.sysconf('SC_CLK_TCK')


def resident_mib(pid):
    for line in open('/proc/%d/status' % pid):
        if line.startswith('VmRSS'):
            return int(line.split()[1]) / 1024
    return 0


def cpu_secs(pid):
    fields = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def connect(c, **conf):
    import rados
    r = rados.Rados(conffile=c.conf, conf=conf)
    r.connect(timeout=30)
    return r


def ask(r, **command):
    code, out, why = r.mon_command(json.dumps(dict(command, format='json')), b'')
    if code != 0:
        raise AssertionError('%s: %d %s' % (command, code, why))
    return json.loads(out) if out.strip() else None


def until(holds, limit=60):
    """Seconds until `holds()`, looked at every 10 ms."""
    started = time.time()
    while not holds():
        if time.time() - started > limit:
            raise AssertionError('waited %d s in vain' % limit)
        time.sleep(0.01)
    return time.time() - started


def changes(binary, count, row):
    """Every change is a map of its own, as one is asked for after the other has been answered."""
    with Cluster(binary, ['--osds', '3'], fast=False) as c:
        r = connect(c)
        ask(r, prefix='osd pool create', pool='p', pg_num=8)
        ask(r, prefix='osd pool application enable', pool='p', app='rados')
        first = ask(r, prefix='osd stat')['epoch']
        started = time.time()
        for i in range(count):
            ask(r, prefix='osd pool application set', pool='p', app='rados', key='k', value=str(i))
        took = time.time() - started
        epochs = ask(r, prefix='osd stat')['epoch'] - first
        assert epochs >= count, (epochs, count)
        pid = c.pids()['mon.a']
        row('map changes, one after the other', '%d in %.0f s' % (epochs, took), '')
        row('monitor after them, resident', '%.0f MiB' % resident_mib(pid), '≤ 100 MiB')
        store = sum(os.stat(os.path.join(d, f)).st_blocks * 512
                    for d, _, files in os.walk(os.path.join(c.dir, 'mon.a')) for f in files) / 2**20
        row('its folder', '%.0f MiB' % store, '')
        r.shutdown()
        times = []
        for _ in range(3):
            c.kill('mon.a')
            started = time.time()
            c.start('mon.a')
            r = connect(c)
            ask(r, prefix='osd stat')
            times.append(time.time() - started)
            r.shutdown()
        row('killed with -9, started, first answer', '%.2f s' % statistics.median(times), '≤ 1 s')
        row('monitor after that, resident', '%.0f MiB' % resident_mib(c.pids()['mon.a']), '≤ 100 MiB')


def quorum(binary, row):
    with Cluster(binary, ['--mons', '3', '--osds', '3'], fast=False) as c:
        r = connect(c, mon_client_hunt_interval='0.5')
        ask(r, prefix='osd pool create', pool='p', pg_num=32)
        ask(r, prefix='osd pool application enable', pool='p', app='rados')
        time.sleep(10)
        pids = c.pids().values()
        before, started = sum(map(cpu_secs, pids)), time.time()
        time.sleep(20)
        row('idle, three monitors and three OSDs', '%.2f %% of a core' % (
            100 * (sum(map(cpu_secs, pids)) - before) / (time.time() - started)), '< 2 %')
        row('the same, resident', '%.0f MiB' % sum(map(resident_mib, pids)), '≤ 300 MiB')

        osds = lambda: {o['osd']: o['up'] for o in ask(r, prefix='osd dump')['osds']}
        times = []
        for osd in (0, 1, 2):
            c.kill('osd.%d' % osd)
            times.append(until(lambda: not osds()[osd]))
            c.start('osd.%d' % osd)
            until(lambda: all(osds().values()))
            c.wait_clean()
        row('killed OSD marked down', '%.2f s' % max(times), '≤ 1.5 s')
        grace, times = 20, []
        for osd in (0,):
            pid = c.pids()['osd.%d' % osd]
            os.kill(pid, signal.SIGSTOP)
            times.append(until(lambda: not osds()[osd]))
            os.kill(pid, signal.SIGCONT)
            until(lambda: all(osds().values()))
            c.wait_clean()
        row('frozen OSD marked down, grace %d s' % grace, '%.2f s' % max(times), '≤ %d s' % (grace + 2))

        for what, end, back in (
                ('killed', lambda n, pid: c.kill(n), lambda n, pid: c.start(n)),
                ('frozen', lambda n, pid: os.kill(pid, signal.SIGSTOP), lambda n, pid: os.kill(pid, signal.SIGCONT))):
            times = []
            for i in range(3):
                leader = 'mon.' + ask(r, prefix='quorum_status')['quorum_leader_name']
                pid = c.pids()[leader]
                # One who asks a monitor that is not to die: what is measured is the quorum, not the client.
                others = [m for m in ('a', 'b', 'c') if 'mon.' + m != leader]
                addrs = {m['name']: m['public_addrs']['addrvec'][0]['addr'] for m in ask(r, prefix='mon dump')['mons']}
                s = connect(c, mon_host='v2:' + addrs[others[0]])
                ask(s, prefix='osd stat')
                started = time.time()
                end(leader, pid)
                ask(s, prefix='osd pool application set', pool='p', app='rados', key='k', value='%s%d' % (what, i))
                times.append(time.time() - started)
                back(leader, pid)
                s.shutdown()
                until(lambda: len(ask(r, prefix='quorum_status')['quorum']) == 3)
                c.wait_clean()
            row('leader %s, a command that changes something answered' % what, '%.2f s' % max(times), '≤ 3 s')
        r.shutdown()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--spirula', default=default_binary())
    p.add_argument('--changes', type=int, default=20000)
    p.add_argument('--only', choices=('changes', 'quorum'))
    args = p.parse_args()
    print('| figure | measured | to reach |\n|---|---:|---|')

    def row(*cells):
        print('| %s | %s | %s |' % cells)
        sys.stdout.flush()
    if args.only != 'quorum':
        changes(args.spirula, args.changes, row)
    if args.only != 'changes':
        quorum(args.spirula, row)


if __name__ == '__main__':
    main()
