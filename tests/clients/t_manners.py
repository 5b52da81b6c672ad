"""`up`, `down` and the daemons' commands when people are impatient, hasty, or mistype."""
import os
import shutil
import signal
import subprocess
import time

from cluster import Cluster

TESTS = []


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


class Up:
    """An `up` under way."""

    def __init__(self, c):
        self.process = subprocess.Popen([c.binary, 'up', '--dir', c.dir, *c.options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def end(self, timeout=90):
        self.out, self.err = self.process.communicate(timeout=timeout)
        self.rc = self.process.returncode
        return self

    def __str__(self):
        return 'up ended with %s\n  out: %s\n  err: %s' % (self.rc, self.out, self.err)


def holds_cluster(c):
    return os.path.exists(os.path.join(c.dir, 'spirula'))


def is_healthy(c):
    return c.ceph('health').text.startswith('HEALTH_OK') and len(c.pids()) == 4


#: Moments of an `up`, in seconds: before it does anything, while it makes the folder, while daemons start.
MOMENTS = [0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.4, 0.8]


@test
def a_reader_that_leaves_is_no_error(t):
    """As with `spirula up | head -1`."""
    with Cluster(t.binary) as c:
        for words, rc in ((('up', '--dir', c.dir), 0), (('stop', 'osd.2', '--dir', c.dir), 0),
                          (('start', 'osd.2', '--dir', c.dir), 0), (('start', 'osd.77', '--dir', c.dir), 1)):
            reader, writer = os.pipe()
            os.close(reader)
            with os.fdopen(writer, 'w') as closed:
                errors = closed if rc else subprocess.PIPE
                p = subprocess.run([c.binary, *words], stdout=closed, stderr=errors, text=True, timeout=60)
            assert (p.returncode, p.stderr or '') == (rc, ''), (words, p.returncode, p.stderr)
        assert is_healthy(c) or c.wait('health', lambda: is_healthy(c))


@test
def ctrl_c_during_up_leaves_nothing_or_a_cluster_that_up_takes_over(t):
    with_nothing = with_cluster = 0
    for moment in MOMENTS:
        c = Cluster(t.binary)
        try:
            up = Up(c)
            time.sleep(moment)
            up.process.send_signal(signal.SIGINT)
            up.end()
            if up.rc in (0, -signal.SIGINT):
                # It had ended already, or had not begun to listen.
                assert up.rc == 0 or not os.path.exists(c.dir), up
                continue
            assert up.rc == 130, up
            if holds_cluster(c):
                with_cluster += 1
                assert 'goes on from there' in up.err and 'spirula down' in up.err, up
                c.up()
                assert is_healthy(c)
            else:
                with_nothing += 1
                assert 'nothing is left' in up.err and not os.path.exists(c.dir), up
        finally:
            c.__exit__(None, None, None)
    print('interrupted: %d times with nothing left, %d times with a cluster' % (with_nothing, with_cluster), flush=True)


@test
def a_killed_up_is_taken_over_by_the_next(t):
    for moment in MOMENTS:
        c = Cluster(t.binary)
        try:
            up = Up(c)
            time.sleep(moment)
            up.process.kill()
            up.end()
            again = c.up(*([] if holds_cluster(c) else c.options))
            assert 'HEALTH_OK' in again.text or 'runs already' in again.text, again
            assert is_healthy(c), again
        finally:
            c.__exit__(None, None, None)


@test
def of_two_ups_at_once_the_second_says_so_and_changes_nothing(t):
    for _ in range(3):
        c = Cluster(t.binary)
        try:
            both = [Up(c), Up(c)]
            [up.end() for up in both]
            made = [up for up in both if up.rc == 0 and 'HEALTH_OK' in up.out]
            other = [up for up in both if up not in made]
            assert len(made) == 1, '%s\n%s' % tuple(both)
            said = other[0].err + other[0].out
            assert 'nothing was changed' in said or 'exists: change its options' in said, other[0]
            assert is_healthy(c)
        finally:
            c.__exit__(None, None, None)


@test
def down_twice_is_no_error(t):
    with Cluster(t.binary) as c:
        assert 'stopped 4 daemons' in c.down().text
        assert 'nothing runs' in c.down().text
        c.up()
        assert is_healthy(c)


@test
def daemons_may_be_started_together(t):
    with Cluster(t.binary) as c:
        for n in range(3):
            c.kill('osd.%d' % n)
        starts = [subprocess.Popen([c.binary, 'start', 'osd.%d' % n, '--dir', c.dir]) for n in (0, 1, 2, 0, 1)]
        assert [p.wait(60) for p in starts] == [0] * 5
        assert is_healthy(c) or c.wait('health', lambda: is_healthy(c))


@test
def what_is_mistyped_is_refused_and_what_was_meant_is_named(t):
    c = Cluster(t.binary, fast=False)
    try:
        e = c.up('--set', 'osd_hartbeat_grace=6', rc=1).errors
        assert 'did you mean osd_heartbeat_grace?' in e and not os.path.exists(c.dir), e
        assert 'OPTION=VALUE' in c.up('--set', 'osd_heartbeat_grace', rc=1).errors
        e = c.up('--osd', '3', rc=2).errors
        assert '--osds' in e, e
        e = c.spirula('upp', rc=2).errors
        assert "'up'" in e, e
        e = c.down(rc=1).errors
        assert 'no cluster' in e and 'spirula up' in e, e
        c.up()
        e = c.start('osd.9', rc=1).errors
        assert 'there are mon.a, osd.0' in e, e
        e = c.kill('osd7', rc=1).errors
        assert 'osd.1' in e, e
    finally:
        c.__exit__(None, None, None)


@test
def a_folder_with_something_else_in_it_is_left_alone(t):
    c = Cluster(t.binary)
    try:
        os.makedirs(os.path.join(c.dir, 'log'))
        open(os.path.join(c.dir, 'log', 'diary'), 'w').write('mine')
        assert 'not empty' in c.up(rc=1).errors
        assert open(os.path.join(c.dir, 'log', 'diary')).read() == 'mine'
        shutil.rmtree(c.dir)
    finally:
        c.__exit__(None, None, None)


@test
def a_cluster_that_exists_is_not_made_larger_by_up(t):
    with Cluster(t.binary) as c:
        for options, what in ((['--osds', '5'], 'spirula add-osd'), (['--osds', '2'], 'ceph osd purge'),
                              (['--mons', '3'], 'spirula add-mon'), (['--osd-size', '5G'], 'bluestore_block_size')):
            done = c.spirula('up', *options, rc=1)
            assert what in done.errors and len(done.errors.strip().splitlines()) == 1, done
        assert 'runs already' in c.up('--osds', '3', '--mons', '1').text
