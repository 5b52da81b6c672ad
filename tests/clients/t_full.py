"""Disks that fill: clients wait, nobody ends, nothing that was acknowledged is lost, and deleting opens it again."""
import hashlib
import os
import signal
import threading
import time

from cluster import Cluster

TESTS = []
SIZE = 4 << 20


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


def body(name):
    seed = hashlib.sha256(name.encode()).digest()
    return seed * (SIZE // len(seed))


class Load:
    """Writes objects, several at a time, until told to stop; remembers what was acknowledged."""

    def __init__(self, c, pool, prefix, threads=12):
        import rados
        self.cluster = rados.Rados(conffile=c.conf)
        self.cluster.connect(timeout=30)
        self.io = self.cluster.open_ioctx(pool)
        self.prefix, self.acked, self.last, self.failed, self.ended = prefix, [], time.time(), [], False
        for n in range(threads):
            threading.Thread(target=self.write, args=(n, threads), daemon=True).start()

    def write(self, n, step):
        while not self.ended:
            name = '%s%d' % (self.prefix, n)
            try:
                self.io.write_full(name, body(name))
                self.acked.append(name)
            except Exception as e:
                self.failed.append((name, e))
                return
            self.last = time.time()
            n += step

    def until_it_waits(self, patience=6, limit=150):
        give_up = time.time() + limit
        while time.time() - self.last < patience:
            assert time.time() < give_up, 'still not full after %d s: %d objects' % (limit, len(self.acked))
            time.sleep(0.2)
        assert not self.failed, self.failed
        return list(self.acked)


def verify(c, pool, names):
    import rados
    cluster = rados.Rados(conffile=c.conf)
    cluster.connect(timeout=30)
    io = cluster.open_ioctx(pool)
    wrong = [n for n in names if io.read(n, SIZE) != body(n)]
    assert not wrong, 'acknowledged and lost: %s' % wrong[:10]


def set_size(c, size):
    """For OSDs that are added from now on."""
    text = open(c.conf).read()
    lines = ['bluestore_block_size = %d' % size if l.startswith('bluestore_block_size') else l for l in text.split('\n')]
    open(c.conf, 'w').write('\n'.join(lines))


def all_run(c, osds=3):
    assert len(c.pids()) == osds + 1, 'a daemon has ended: %s' % c.pids()


@test
def a_cluster_that_fills_waits_and_goes_on_when_objects_are_deleted(t):
    with Cluster(t.binary, options=['--osd-size', '1G']) as c:
        c.pool('p')
        load = Load(c, 'p', 'a')
        acked = load.until_it_waits()
        load.ended = True
        all_run(c)
        c.wait('OSD_FULL', lambda: 'OSD_FULL' in c.ceph('health', 'detail').text, 30)
        verify(c, 'p', acked)
        for name in acked[:40]:
            c.rados('-p', 'p', 'rm', name, '--force-full')
        c.wait('what waited to be written', lambda: len(load.acked) > len(acked) and not load.failed, 60)
        c.wait('no OSD to be full', lambda: 'OSD_FULL' not in c.ceph('health').text, 60)
        verify(c, 'p', acked[40:])
        all_run(c)


@test
def a_replica_that_is_smaller_than_its_primaries_does_not_end_though_no_monitor_says_that_it_is_full(t):
    with Cluster(t.binary, options=['--osds', '2', '--osd-size', '1G']) as c:
        set_size(c, 384 << 20)
        c.spirula('add-osd')
        c.pool('p')
        load = Load(c, 'p', 'b')
        c.wait('some writes', lambda: len(load.acked) > 10, 60)
        mon = c.pids()['mon.a']
        os.kill(mon, signal.SIGSTOP)
        try:
            acked = load.until_it_waits()
        finally:
            os.kill(mon, signal.SIGCONT)
        load.ended = True
        all_run(c)
        verify(c, 'p', acked)
        c.wait('OSD_FULL', lambda: 'OSD_FULL' in c.ceph('health', 'detail').text, 60)
        for name in acked[:40]:
            c.rados('-p', 'p', 'rm', name, '--force-full')
        c.wait('what waited to be written', lambda: len(load.acked) > len(acked) and not load.failed, 60)
        verify(c, 'p', acked[40:])
        all_run(c)


@test
def recovery_to_an_osd_without_room_stops_and_says_so(t):
    with Cluster(t.binary, options=['--osd-size', '1G']) as c:
        c.pool('p')
        load = Load(c, 'p', 'c')
        c.wait('more data than the small OSD takes', lambda: len(load.acked) > 110, 150)
        load.ended = True
        set_size(c, 384 << 20)
        new = c.spirula('add-osd').text.strip().split()[-1]
        c.ceph('osd', 'out', '0')
        c.wait('a PG to be toofull', lambda: any('toofull' in s for s in c.pg_states()), 150)
        all_run(c, 4)
        # What the full one leads and has no copy of waits until it need not.
        c.ceph('osd', 'in', '0')
        c.ceph('osd', 'out', new)
        c.wait('every PG active+clean', lambda: set(c.pg_states()) == {'active+clean'}, 150)
        verify(c, 'p', list(load.acked))
        all_run(c, 4)
