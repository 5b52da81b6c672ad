"""A cluster under test: `spirula up` in a folder of its own, or any cluster that a ceph.conf names.

Everything goes through processes and files that a person has too: the `spirula` program, pid files, ceph.conf, and
Debian's unmodified `ceph` and `rados`. Processes are ended by the pid in their own file, never by name.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
#: Timers short enough that a lost OSD is noticed in a second and not in twenty.
FAST = dict(
    osd_heartbeat_interval=1, osd_heartbeat_grace=6, osd_mon_heartbeat_interval=3, mon_osd_down_out_interval=15,
    mon_osd_min_down_reporters=1, mon_osd_adjust_heartbeat_grace='false', mon_osd_adjust_down_out_interval='false',
    mon_osd_down_out_subtree_limit='root', mon_osd_min_in_ratio=0.3, mon_osd_report_timeout=30,
    osd_mon_report_interval=1, osd_beacon_report_interval=5, osd_max_markdown_count=1000, mgr_stats_period=1,
    mgr_tick_period=1, mon_mgr_beacon_grace=10, mon_tick_interval=1, mon_pg_stuck_threshold=20)


def fast_options():
    return [x for k, v in FAST.items() for x in ('--set', '%s=%s' % (k, v))]


def default_binary():
    target = os.environ.get('CARGO_TARGET_DIR') or os.path.join(ROOT, 'target')
    return os.environ.get('SPIRULA') or os.path.join(target, 'release', 'spirula')


class Ended:
    """How a program ended: exit status, output, errors. A program that was cut off has the status None."""

    def __init__(self, args, rc, out, err, secs):
        self.args, self.rc, self.out, self.err, self.secs = args, rc, out, err, secs

    @property
    def text(self):
        return self.out.decode(errors='replace')

    @property
    def errors(self):
        return self.err.decode(errors='replace')

    def __str__(self):
        how = 'was cut off' if self.rc is None else 'ended with %d' % self.rc
        return '`%s` %s after %.1f s\n  out: %s\n  err: %s' % (
            ' '.join(self.args), how, self.secs, self.text[-1500:], self.errors[-1500:])


def run(args, data=None, timeout=60, env=None):
    started = time.time()
    p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        out, err = p.communicate(data or b'', timeout=timeout)
        rc = p.returncode
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        rc = None
    return Ended(args, rc, out, err, time.time() - started)


class Clients:
    """Debian's programs against the cluster that a conf names."""

    def __init__(self, conf):
        self.conf = conf

    @property
    def env(self):
        return dict(os.environ, CEPH_CONF=self.conf, CEPH_ARGS='', LC_ALL='C.UTF-8')

    def run(self, *args, rc=0, timeout=60, data=None):
        """Runs a program; `rc=None` lets it end as it will."""
        done = run([str(a) for a in args], data, timeout, self.env)
        if rc is not None and done.rc != rc:
            raise AssertionError('want exit status %d: %s' % (rc, done))
        return done

    def ceph(self, *args, **k):
        return self.run('ceph', *args, **k)

    def rados(self, *args, **k):
        return self.run('rados', *args, **k)

    def json(self, *args, **k):
        return json.loads(self.ceph(*args, '-f', 'json', **k).out)

    def pg_states(self):
        """How many PGs are in which state."""
        found = {}
        for pg in self.json('pg', 'ls').get('pg_stats') or []:
            found[pg['state']] = found.get(pg['state'], 0) + 1
        return found

    def wait(self, what, holds, limit=60, poll=0.25):
        """Waits until `holds()` gives something true, and gives that."""
        give_up, last = time.time() + limit, None
        while time.time() < give_up:
            try:
                last = holds()
                if last:
                    return last
            except Exception as e:
                last = repr(e)[:300]
            time.sleep(poll)
        raise AssertionError('waited %d s in vain for %s; last: %s; pgs: %s' % (limit, what, last, self.states_or_why()))

    def states_or_why(self):
        try:
            return self.pg_states()
        except Exception as e:
            return repr(e)[:200]

    def wait_clean(self, limit=90):
        def clean():
            stat = self.json('osd', 'stat')
            states = self.pg_states()
            return stat['num_up_osds'] == stat['num_osds'] and states and all(s == 'active+clean' for s in states)
        self.wait('every OSD up and every PG active+clean', clean, limit)

    def pool(self, name, pgs=8, size=3, min_size=2, app='rados'):
        self.ceph('osd', 'pool', 'create', name, pgs, pgs)
        if size != 3:
            sure = ['--yes-i-really-mean-it'] if size == 1 else []
            self.ceph('osd', 'pool', 'set', name, 'size', size, *sure)
        self.ceph('osd', 'pool', 'set', name, 'min_size', min_size)
        self.ceph('osd', 'pool', 'application', 'enable', name, app)

    def remove_pool(self, name):
        self.ceph('osd', 'pool', 'rm', name, name, '--yes-i-really-really-mean-it', rc=None)


class Cluster(Clients):
    """A cluster that `spirula up` made; `with` takes it down and removes it."""

    def __init__(self, binary=None, options=(), folder=None, fast=True):
        self.binary = os.path.abspath(binary or default_binary())
        self.kept = folder is not None
        self.folder = folder or tempfile.mkdtemp(prefix='spirula-test-')
        self.dir = os.path.join(self.folder, 'cluster')
        self.options = (fast_options() if fast else []) + list(options)
        super().__init__(os.path.join(self.dir, 'ceph.conf'))

    def __enter__(self):
        self.up(*self.options)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.show_logs()
        self.down(rc=None)
        self.kill_all()
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def spirula(self, *args, rc=0, timeout=120):
        done = run([self.binary, *[str(a) for a in args], '--dir', self.dir], timeout=timeout)
        if rc is not None and done.rc != rc:
            raise AssertionError('want exit status %d: %s' % (rc, done))
        return done

    def up(self, *options, **k):
        return self.spirula('up', *options, **k)

    def down(self, **k):
        return self.spirula('down', **k)

    def start(self, daemon, **k):
        return self.spirula('start', daemon, **k)

    def kill(self, daemon, **k):
        return self.spirula('kill', daemon, **k)

    def stop(self, daemon, **k):
        return self.spirula('stop', daemon, **k)

    def pids(self):
        """Daemons that run, by their pid files."""
        found = {}
        run_dir = os.path.join(self.dir, 'run')
        for name in sorted(os.listdir(run_dir)) if os.path.isdir(run_dir) else []:
            if not name.endswith('.pid'):
                continue
            daemon = name[:-4]
            try:
                pid = int(open(os.path.join(run_dir, name)).read())
                words = open('/proc/%d/cmdline' % pid, 'rb').read().split(b'\0')
                state = open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0]
            except (OSError, ValueError):
                continue
            if b'run-daemon' in words and daemon.encode() in words and self.dir.encode() in words and state != 'Z':
                found[daemon] = pid
        return found

    def kill_all(self, only=None):
        """SIGKILL to every daemon (or those named) as close together as can be; returns when they are gone."""
        victims = {d: p for d, p in self.pids().items() if only is None or d in only}
        for pid in victims.values():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        give_up = time.time() + 10
        while set(self.pids()) & set(victims) and time.time() < give_up:
            time.sleep(0.005)
        return sorted(victims)

    def log(self, daemon):
        try:
            return open(os.path.join(self.dir, 'log', daemon + '.log'), errors='replace').read()
        except OSError:
            return ''

    def show_logs(self, lines=15):
        logs = os.path.join(self.dir, 'log')
        for name in sorted(os.listdir(logs)) if os.path.isdir(logs) else []:
            tail = open(os.path.join(logs, name), errors='replace').read().splitlines()[-lines:]
            print('--- end of %s\n%s' % (name, '\n'.join(line[:400] for line in tail)), flush=True)

    def osds(self):
        return sorted(d for d in os.listdir(self.dir) if d.startswith('osd.'))

    def asok(self, daemon, command):
        """A command to a daemon's admin socket, as `ceph daemon` sends it."""
        import socket
        import struct
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(os.path.join(self.dir, 'run', daemon + '.asok'))
        s.sendall(json.dumps(command).encode() + b'\0')
        f = s.makefile('rb')
        body = f.read(struct.unpack('>I', f.read(4))[0])
        s.close()
        return body
