#!/usr/bin/python3
"""Acceptance tests with Debian's unmodified clients: `ceph`, `rados`, python3-rados, librados' C API.

    run.py [--spirula BINARY] [--only WORD,…] [--list] [--conf CEPH.CONF] [--timeout 120]

Most tests share one cluster that `spirula up` makes; those that kill or take down make their own. With --conf the
sharing ones run against any cluster (real Ceph, to check the tests) and the others are left out.
Each test is a process: one that crashes or hangs fails alone. Prints `N passed, N failed, N skipped`.
"""
import argparse
import importlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from cluster import Clients, Cluster, default_binary

MODULES = (
    't_commands', 't_answers', 't_rados', 't_native', 't_librados', 't_cluster', 't_hostile', 't_life', 't_full', 't_mons',
    't_manners', 't_drill', 't_store', 't_explain')


class Skip(Exception):
    """What a test needs is not here; the text says what."""


class Context:
    """What a test gets: clients of the shared cluster, and a pool of its own on request."""

    def __init__(self, conf, binary, cluster=None):
        self.clients, self.binary, self.cluster, self.pools = Clients(conf) if conf else None, binary, cluster, []

    def pool(self, **k):
        name = 'test_%d_%d' % (os.getpid(), len(self.pools))
        self.pools.append(name)
        self.clients.pool(name, **k)
        return name

    def rados(self, **conf):
        import rados
        r = rados.Rados(conffile=self.clients.conf, conf=conf)
        r.connect(timeout=30)
        return r

    def io(self, **k):
        return self.rados().open_ioctx(self.pool(**k))

    def capi(self, pool=None, **k):
        import capi
        return capi.Client(self.clients.conf).ioctx(pool or self.pool(), **k)


def tests():
    for name in MODULES:
        module = importlib.import_module(name)
        for f in module.TESTS:
            yield name[2:] + '.' + f.__name__, f


def child(name, conf, binary, folder, own, pipe):
    tempfile.tempdir = own
    f = dict(tests())[name]
    cluster = None
    if folder:
        cluster = Cluster(binary, folder=folder)
    context = Context(conf, binary, cluster)
    try:
        f(context)
        result = ('passed', '')
    except Skip as e:
        result = ('skipped', str(e))
    except BaseException as e:
        result = ('failed', '%s\n%s' % (e if isinstance(e, AssertionError) else repr(e), traceback.format_exc()))
    pipe.send(result)
    for pool in context.pools:
        context.clients.remove_pool(pool)
    # No shutdown of librados handles that a failed test left in use.
    os._exit(0)


def run_one(name, conf, binary, folder, timeout):
    mine, other = multiprocessing.Pipe(False)
    own = tempfile.mkdtemp(prefix='spirula-run-')
    p = multiprocessing.Process(target=child, args=(name, conf, binary, folder, own, other))
    p.start()
    other.close()
    try:
        if not mine.poll(timeout):
            return 'failed', 'no end after %d s' % timeout
        return mine.recv()
    except EOFError:
        p.join(5)
        return 'failed', 'the process died with %s' % p.exitcode
    finally:
        p.join(15)
        if p.is_alive():
            p.kill()
            p.join()
        sweep_up(own)


def sweep_up(folder):
    """What a test that hung or died left behind in its folder: daemons, and data."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if any(w.startswith(os.fsencode(folder + '/')) for w in open('/proc/%s/cmdline' % pid, 'rb').read().split(b'\0')):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
    shutil.rmtree(folder, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('--spirula', type=os.path.abspath, default=default_binary())
    ap.add_argument('--conf', default='')
    ap.add_argument('--only', default='')
    ap.add_argument('--timeout', type=float, default=150)
    ap.add_argument('--list', action='store_true')
    a = ap.parse_args()
    words = [w for w in a.only.split(',') if w]
    chosen = [(n, f) for n, f in tests() if not words or any(w in n for w in words)]
    if a.list:
        print('\n'.join('%-50s %s' % (n, (f.__doc__ or '').strip().split('\n')[0]) for n, f in chosen))
        return 0
    shared = [n for n, f in chosen if not getattr(f, 'own_cluster', False)]
    own = [n for n, f in chosen if getattr(f, 'own_cluster', False)]
    count = dict(passed=0, failed=0, skipped=0)

    def go(names, conf, folder=None):
        for name in names:
            started = time.time()
            outcome, why = run_one(name, conf, a.spirula, folder, a.timeout)
            if outcome == 'failed':
                # Real processes on a busy machine run into time limits. Both outcomes are printed.
                print('failed once: %s\n    %s' % (name, why.replace('\n', '\n    ')), flush=True)
                outcome, why = run_one(name, conf, a.spirula, folder, a.timeout)
            count[outcome] += 1
            note = '' if outcome == 'passed' else ': ' + why if outcome == 'skipped' else '\n    ' + why.replace('\n', '\n    ')
            print('%-8s %5.1f s  %s%s' % (outcome, time.time() - started, name, note), flush=True)

    if a.conf:
        go(shared, a.conf)
        count['skipped'] += len(own)
    else:
        if shared:
            with Cluster(a.spirula) as cluster:
                go(shared, cluster.conf, cluster.folder)
                if count['failed']:
                    cluster.show_logs()
        go(own, None)
    print('%d passed, %d failed, %d skipped' % (count['passed'], count['failed'], count['skipped']))
    return 1 if count['failed'] else 0


if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.modules['run'] = sys.modules['__main__']
    sys.exit(main())
