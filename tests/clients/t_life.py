"""Clusters that are made, killed, taken down and brought back. Each test makes its own."""
import hashlib
import os
import socket
import subprocess
import tempfile
import threading
import time

from cluster import ROOT, Cluster, run

TESTS = []


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


def readme_commands():
    """The README's ten lines of first use: the commands of its block marked `first use`."""
    text = open(os.path.join(ROOT, 'README.md')).read()
    block = text.split('<!-- first use -->')[1].split('```')[1]
    lines = [line.split('  #')[0].strip() for line in block.splitlines()[1:]]
    return [line for line in lines if line and not line.startswith('#')]


@test
def first_use_as_the_readme_tells_it(t):
    with tempfile.TemporaryDirectory() as d:
        os.symlink(t.binary, os.path.join(d, 'spirula'))
        env = dict(os.environ, PATH=d + ':' + os.environ['PATH'])
        script = 'set -e\ncd %s\n%s\n' % (d, '\n'.join(readme_commands()))
        done = run(['bash', '-c', script], timeout=120, env=env)
        subprocess.run([t.binary, 'down', '--dir', os.path.join(d, 'spirula-data')], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        assert done.rc == 0, done
        assert 'HEALTH_OK' in done.text and 'hello' in done.text, done


@test
def up_again_says_so_and_changes_nothing(t):
    with Cluster(t.binary) as c:
        epoch = c.json('osd', 'dump')['epoch']
        pids = c.pids()
        again = c.up()
        assert 'runs already' in again.text and c.pids() == pids, again
        assert c.json('osd', 'dump')['epoch'] == epoch


@test
def from_nothing_to_health_ok_in_three_seconds(t):
    c = Cluster(t.binary)
    try:
        started = time.time()
        c.up()
        took = time.time() - started
        assert c.ceph('health').text.strip() == 'HEALTH_OK'
        # A benchmark, not a timed test: what fails here is a cluster that waits for a timeout somewhere.
        print('up took %.2f s' % took, flush=True)
        assert took < 20, took
    finally:
        c.__exit__(None, None, None)


@test
def down_and_up_keep_everything(t):
    with Cluster(t.binary) as c:
        c.pool('p')
        c.rados('-p', 'p', 'put', 'o', '-', data=b'kept' * 1000)
        c.rados('-p', 'p', 'setomapval', 'o', 'k', 'v')
        fsid = c.ceph('fsid').text
        c.down()
        assert c.pids() == {}
        c.up()
        assert c.ceph('fsid').text == fsid and c.rados('-p', 'p', 'get', 'o', '-').out == b'kept' * 1000
        assert 'v' in c.rados('-p', 'p', 'getomapval', 'o', 'k').text


@test
def kill_of_everything_keeps_everything(t):
    with Cluster(t.binary) as c:
        c.pool('p')
        ids = set()
        for i in range(3):
            import capi
            client = capi.Client(c.conf)
            assert client.id() not in ids, 'the id %d was given twice' % client.id()
            ids.add(client.id())
            assert client.ioctx('p').write().write_full(b'%d' % i).run('o%d' % i) == 0
            client.shutdown()
            c.kill_all()
            c.up()
        c.wait_clean()
        for i in range(3):
            assert c.rados('-p', 'p', 'get', 'o%d' % i, '-').out == b'%d' % i


class Load(threading.Thread):
    """Writes objects one after the other until told to stop; remembers what was acknowledged."""

    def __init__(self, conf, pool, count=60):
        super().__init__(daemon=True)
        import rados
        r = rados.Rados(conffile=conf)
        r.connect(timeout=30)
        self.io, self.count, self.stopping, self.acked, self.error, self.slowest = r.open_ioctx(pool), count, False, {}, None, 0
        self.start()

    def run(self):
        i = 0
        while not self.stopping:
            name, data = 'load%d' % (i % self.count), os.urandom(3000 + i % 5000)
            started = time.time()
            try:
                self.io.write_full(name, data)
                assert self.io.read(name, 10000) == data
            except Exception as e:
                self.error = e
                return
            self.acked[name] = data
            self.slowest = max(self.slowest, time.time() - started)
            i += 1
            time.sleep(0.002)

    def finish(self):
        self.stopping = True
        self.join(60)
        assert not self.is_alive(), 'the load hangs'
        assert self.error is None, 'the load failed: %r' % self.error
        return self.acked


def contents(c, pool):
    """Every object of a pool with a digest of its data, omap and attributes, as served now."""
    import rados
    r = rados.Rados(conffile=c.conf, conf=dict(rados_osd_op_timeout='30'))
    r.connect(timeout=30)
    io = r.open_ioctx(pool)
    found = {}
    for o in io.list_objects():
        h = hashlib.sha256(io.read(o.key, 1 << 20))
        h.update(repr(sorted(io.get_xattrs(o.key))).encode())
        found[o.key] = h.hexdigest()
    r.shutdown()
    return found


@test
def an_osd_dies_under_load_and_comes_back_identical(t):
    with Cluster(t.binary) as c:
        c.ceph('osd', 'set', 'noout')
        c.pool('p', pgs=8)
        load = Load(c.conf, 'p')
        c.wait('some writes', lambda: len(load.acked) > 20)
        c.kill('osd.1')
        c.wait('all PGs active+undersized+degraded', lambda: list(c.pg_states()) == ['active+undersized+degraded'], 30)
        assert 'OSD_DOWN' in c.ceph('health', 'detail').text
        before = len(load.acked)
        c.wait('writes to go on', lambda: load.error or len(load.acked) >= min(before + 20, 60), 20)
        c.start('osd.1')
        c.wait_clean(60)
        acked = load.finish()
        want = contents(c, 'p')
        assert set(acked) <= set(want)
        c.ceph('osd', 'pool', 'set', 'p', 'min_size', 1)
        for keep in range(3):
            others = [o for o in range(3) if o != keep]
            for o in others:
                c.stop('osd.%d' % o)
            c.wait('osd.%d to serve alone' % keep, lambda: all(
                s.startswith('active') for s in c.pg_states()) and c.json('osd', 'stat')['num_up_osds'] == 1, 30)
            alone = contents(c, 'p')
            assert alone == want, 'osd.%d alone serves %d objects, %d differ' % (
                keep, len(alone), sum(want[k] != alone.get(k) for k in want))
            for o in others:
                c.start('osd.%d' % o)
            c.wait_clean(60)


@test
def a_stopped_osd_is_told_of_and_noticed_at_once(t):
    with Cluster(t.binary) as c:
        c.stop('osd.2')
        c.wait('osd.2 down', lambda: c.json('osd', 'stat')['num_up_osds'] == 2, 5)
        assert 'was not running' in c.kill('osd.2').text
        c.start('osd.2')
        c.wait('osd.2 up', lambda: c.json('osd', 'stat')['num_up_osds'] == 3, 15)
        assert 'runs already' in c.start('osd.2').text


def one_line(done, *says):
    assert done.rc not in (0, None), done
    lines = [x for x in done.errors.strip().splitlines() if x.strip()]
    assert len(lines) == 1 and all(s in lines[0] for s in says), done


@test
def each_mistake_is_told_in_one_line(t):
    d = tempfile.mkdtemp(prefix='spirula-mistakes-')
    at = lambda name: ['--dir', os.path.join(d, name)]
    go = lambda *args: run([t.binary, *args], timeout=30)
    os.makedirs(os.path.join(d, 'foreign'))
    open(os.path.join(d, 'foreign', 'letter.txt'), 'w').write('dear')
    one_line(go('up', *at('foreign')), 'not empty')
    one_line(go('down', *at('absent')), 'no cluster')
    one_line(go('up', *at('new'), '--set', 'osd_colour=red'), 'osd_colour')
    one_line(go('up', *at('new'), '--set', 'osd_heartbeat_grace=soon'), 'osd_heartbeat_grace')
    one_line(go('up', *at('new'), '--mons', '2'), '--mons')
    one_line(go('up', *at('new'), '--osds', '0'), 'osds')
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen()
    one_line(go('up', *at('new'), '--port', str(s.getsockname()[1])), str(s.getsockname()[1]), 'in use')
    assert not os.path.exists(os.path.join(d, 'new')), 'a refused up left a folder'
    one_line(go('start', 'osd.0', *at('absent')), 'no cluster')


@test
def a_second_process_on_a_store_is_refused(t):
    with Cluster(t.binary, options=['--osds', '1', '--set', 'osd_pool_default_size=1']) as c:
        # Another cluster's folder, with ports of its own, that has the same store in it.
        other = os.path.join(c.folder, 'other')
        os.makedirs(os.path.join(other, 'run'))
        os.makedirs(os.path.join(other, 'log'))
        for name in ('osd.0', 'spirula', 'ceph.client.admin.keyring'):
            os.symlink(os.path.join(c.dir, name), os.path.join(other, name))
        conf = open(c.conf).read()
        port = conf.split('v2:127.0.0.1:')[1].split('/')[0]
        open(os.path.join(other, 'ceph.conf'), 'w').write(conf.replace(port, str(int(port) + 60)))
        done = run([c.binary, 'run-daemon', 'osd.0', '--dir', other], timeout=20)
        assert done.rc not in (0, None), done
        told = done.errors.strip().splitlines()[-1]
        assert 'in use' in told or 'another process' in told, done
        assert 'osd.0' in c.pids() and c.json('osd', 'stat')['num_up_osds'] == 1


@test
def a_folder_of_another_version_is_refused(t):
    with Cluster(t.binary, options=['--osds', '1', '--set', 'osd_pool_default_size=1']) as c:
        c.down()
        mark = os.path.join(c.dir, 'spirula')
        old = open(mark).read()
        open(mark, 'w').write('99\n')
        one_line(c.up(rc=None), '99')
        open(mark, 'w').write(old)
        c.up()


@test
def the_store_is_checked_without_changing_it(t):
    with Cluster(t.binary) as c:
        c.pool('p')
        for i in range(10):
            c.rados('-p', 'p', 'put', 'o%d' % i, '-', data=os.urandom(10000))
        c.kill_all()
        for osd in c.osds():
            path = os.path.join(c.dir, osd)
            done = run([c.binary, 'store', 'fsck', '--dir', path], timeout=60)
            assert done.rc == 0, done
        c.up()


@test
def our_own_ceph_and_rados_do_the_same(t):
    with Cluster(t.binary) as c:
        d = c.folder
        for name in ('ceph', 'rados'):
            os.symlink(c.binary, os.path.join(d, name))
        ceph = lambda *a, **k: c.run(os.path.join(d, 'ceph'), *a, **k)
        rados = lambda *a, **k: c.run(os.path.join(d, 'rados'), *a, **k)
        for words in (['status'], ['-s'], ['health'], ['osd', 'tree'], ['osd', 'pool', 'create', 'p'], ['osd', 'pool', 'ls']):
            assert ceph(*words).text.strip() or words[1:2] == ['pool'], words
        assert 'p' in c.ceph('osd', 'pool', 'ls').text.split()
        rados('-p', 'p', 'put', 'o', '/etc/hostname')
        assert c.rados('-p', 'p', 'get', 'o', '-').out == open('/etc/hostname', 'rb').read()
        assert rados('-p', 'p', 'ls').text.split() == ['o'] and 'size' in rados('-p', 'p', 'stat', 'o').text
        out = os.path.join(d, 'got')
        rados('-p', 'p', 'get', 'o', out)
        assert open(out, 'rb').read() == open('/etc/hostname', 'rb').read()
        assert rados('-p', 'p', 'bench', 1, 'write', '-b', 4096, '-t', 4).text
        rados('-p', 'p', 'rm', 'o')
        assert rados('-p', 'p', 'stat', 'o', rc=None).rc != 0


@test
def more_osds_can_be_added(t):
    with Cluster(t.binary) as c:
        added = c.spirula('add-osd').text.split()[-1]
        assert added == '3', added
        c.wait('four OSDs', lambda: c.json('osd', 'stat')['num_up_osds'] == 4, 20)

