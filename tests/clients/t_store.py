"""`spirula store`: what can be done with a stopped OSD's store."""
import json
import os
import tempfile

from cluster import Cluster, run

TESTS = []
#: So that a member that was replaced has to be backfilled.
SHORT_LOG = [x for name in ('osd_min_pg_log_entries', 'osd_max_pg_log_entries', 'osd_pg_log_trim_min')
             for x in ('--set', name + '=2')]


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


class Lab(Cluster):
    def store(self, verb, osd, *args, rc=0):
        done = run([self.binary, 'store', verb, '--dir', os.path.join(self.dir, 'osd.%d' % osd), *map(str, args)])
        assert rc is None or done.rc == rc, done
        return done

    def where(self, pool, name):
        found = self.json('osd', 'map', pool, name)
        return found['pgid'], found['acting']

    def pg_state(self, pgid):
        return {pg['pgid']: pg['state'] for pg in self.json('pg', 'ls')['pg_stats']}[pgid]

    def put(self, pool, name, data):
        self.rados('-p', pool, 'put', name, '-', data=data)

    def get(self, pool, name):
        return self.rados('-p', pool, 'get', name, '-', timeout=30).out


def one_line(done, *words):
    lines = done.errors.strip().splitlines()
    assert len(lines) == 1 and all(word in lines[0] for word in words), done


@test
def an_incomplete_pg_comes_back_from_a_copy_on_an_osd_that_does_not_start(t):
    with Lab(t.binary, ['--osds', '4', *SHORT_LOG]) as c, tempfile.TemporaryDirectory() as d:
        c.pool('p', pgs=1, size=2, min_size=1)
        for n in range(20):
            c.put('p', 'o%d' % n, b'first' * 1000)
        c.wait_clean()
        pgid, (dies, old) = c.where('p', 'o0')
        # One member is replaced, but the new one is not filled before the only whole copy is lost.
        c.ceph('osd', 'set', 'nobackfill')
        c.stop('osd.%d' % old)
        c.ceph('osd', 'out', old)
        c.wait('the PG to go on', lambda: 'backfill' in c.pg_state(pgid))
        up = [pg for pg in c.json('pg', 'ls')['pg_stats'] if pg['pgid'] == pgid][0]['up']
        spare, = {0, 1, 2, 3} - {dies, old} - set(up)
        for n in range(0, 20, 2):
            c.put('p', 'o%d' % n, b'second' * 1000)
        c.rados('-p', 'p', 'setomapval', 'o1', 'key', 'value')
        c.rados('-p', 'p', 'mksnap', 's')
        c.put('p', 'o3', b'after the snapshot')
        file = os.path.join(d, 'pg')
        one_line(c.store('export', dies, pgid, file, rc=1), 'must be stopped', 'lock')
        c.ceph('osd', 'set', 'noout')
        c.stop('osd.%d' % dies)
        for osd in (dies, old):
            c.ceph('osd', 'lost', osd, '--yes-i-really-mean-it')
        c.wait('the PG to be incomplete', lambda: 'incomplete' in c.pg_state(pgid))
        # The way out.
        out = c.store('export', dies, pgid, file)
        assert '20 objects' in out.text or '21 objects' in out.text, out
        one_line(c.store('export', dies, pgid, file, rc=1), 'exists already')
        one_line(c.store('import', spare, file, rc=1), 'must be stopped')
        c.stop('osd.%d' % spare)
        assert 'could come into osd.%d' % spare in c.store('import', spare, file, '--dry-run').text
        data = open(file, 'rb').read()
        open(file + '.bad', 'wb').write(data[:5000] + b'?' + data[5001:])
        one_line(c.store('import', spare, file + '.bad', rc=1), 'damaged', 'export again')
        c.store('import', spare, file)
        one_line(c.store('import', spare, file, rc=1), 'has the PG already', 'remove-pg')
        c.start('osd.%d' % spare)
        c.wait('the PG to be active', lambda: c.pg_state(pgid).startswith('active'))
        for n in range(20):
            want = b'after the snapshot' if n == 3 else (b'first', b'second')[n % 2 == 0] * 1000
            assert c.get('p', 'o%d' % n) == want, n
        assert 'value' in c.rados('-p', 'p', 'getomapval', 'o1', 'key').text
        old = c.rados('-p', 'p', '-s', 's', 'get', 'o3', '-')
        assert old.out.endswith(b'first' * 1000), old
        c.ceph('osd', 'unset', 'nobackfill')
        c.ceph('osd', 'out', dies)
        c.wait('the PG to be clean', lambda: c.pg_state(pgid) == 'active+clean')
        c.ceph('pg', 'deep-scrub', pgid)


@test
def what_does_not_fit_is_refused_in_one_line_that_says_what_to_do(t):
    with Lab(t.binary) as c, Lab(t.binary) as stranger, tempfile.TemporaryDirectory() as d:
        c.pool('p', pgs=1, size=2, min_size=1)
        c.put('p', 'o', b'data')
        pgid, (holder, second) = c.where('p', 'o')
        spare = 3 - holder - second
        c.stop('osd.%d' % holder)
        file = os.path.join(d, 'pg')
        c.store('export', holder, pgid, file)
        stranger.stop('osd.0')
        one_line(stranger.store('import', 0, file, rc=1), 'another cluster')
        c.start('osd.%d' % holder)
        c.wait_clean()
        c.ceph('osd', 'pool', 'set', 'p', 'pg_num', 2)
        c.wait('two PGs', lambda: len(c.json('pg', 'ls-by-pool', 'p')['pg_stats']) == 2)
        c.wait_clean()
        c.stop('osd.%d' % spare)
        one_line(c.store('import', spare, file, rc=1), 'had 1 PGs', 'has 2', 'pg_num 1')
        c.start('osd.%d' % spare)
        c.wait_clean()
        c.remove_pool('p')
        c.wait('the PGs to go', lambda: not c.json('pg', 'ls').get('pg_stats'))
        c.stop('osd.%d' % spare)
        one_line(c.store('import', spare, file, rc=1), 'exists no longer')


@test
def an_object_is_removed_only_when_told_twice_and_comes_back_by_repair(t):
    with Lab(t.binary) as c:
        c.pool('p', pgs=1)
        c.put('p', 'o', b'x' * 10000)
        pgid, acting = c.where('p', 'o')
        victim = acting[1]
        c.stop('osd.%d' % victim)
        said = c.store('remove-object', victim, pgid, 'o')
        assert '10000 bytes' in said.text and 'nothing was removed' in said.text and 'pg repair' in said.text, said
        assert 'head# 10000' in c.store('list', victim, pgid).text, c.store('list', victim, pgid)
        assert pgid in c.store('list', victim).text
        c.store('remove-object', victim, pgid, 'o', '--yes')
        one_line(c.store('remove-object', victim, pgid, 'o', rc=1), 'no object')
        assert 'no findings' in c.store('fsck', victim).text
        assert 'nothing to do' in c.store('repair', victim).text
        c.start('osd.%d' % victim)
        c.wait_clean()
        c.ceph('pg', 'deep-scrub', pgid)
        c.wait('the loss to be seen', lambda: 'inconsistent' in c.pg_state(pgid))
        c.ceph('pg', 'repair', pgid)
        c.wait('the loss to be mended', lambda: c.pg_state(pgid) == 'active+clean')
        found = json.loads(c.rados('list-inconsistent-obj', pgid, '--format=json').text)
        assert not found['inconsistents'], found
