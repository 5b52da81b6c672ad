"""Monitors, with real processes: frozen ones, ones without a quorum, crashes that are told, stores that are not theirs."""
import json
import os
import re
import shutil
import signal
import time

from cluster import Cluster, run

TESTS = []


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


def leader(c):
    return c.json('quorum_status')['quorum_leader_name']


def wait_quorum(c, n):
    c.wait('%d monitors in the quorum' % n, lambda: len(c.json('quorum_status')['quorum']) == n)


@test
def another_manager_serves_when_the_leader_is_frozen(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '3']) as c:
        wait_quorum(c, 3)
        c.pool('p')
        c.wait_clean()
        frozen = leader(c)
        pid = c.pids()['mon.' + frozen]
        os.kill(pid, signal.SIGSTOP)
        try:
            c.wait('another leader', lambda: leader(c) != frozen, limit=20)
            mgr = c.json('mgr', 'dump')
            assert mgr['available'] and mgr['active_name'] == leader(c), mgr
            assert frozen not in [s['name'] for s in mgr['standbys']], mgr
            c.wait('all PGs shown by the other manager',
                   lambda: set(c.pg_states()) == {'active+clean'}, limit=30)
            assert len(c.json('osd', 'df')['nodes']) == 3
            assert 'active+clean' in c.ceph('pg', 'stat').text
            codes = set(c.json('health')['checks'])
            assert codes == {'MON_DOWN'}, codes
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_quorum(c, 3)
        c.wait('health', lambda: c.ceph('health').text.strip() == 'HEALTH_OK')
        assert len(c.json('mgr', 'dump')['standbys']) == 2
        assert set(c.pg_states()) == {'active+clean'}


@test
def a_monitor_without_a_quorum_answers_who_asks_it(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '1']) as c:
        wait_quorum(c, 3)
        pong = json.loads(c.ceph('ping', 'mon.a').text)
        assert pong['mon_status']['state'] in ('leader', 'peon') and 'health' in pong, pong
        c.kill_all(only=['mon.b', 'mon.c'])
        time.sleep(3)
        pong = json.loads(c.ceph('ping', 'mon.a', timeout=15).text)
        assert pong['mon_status']['state'] == 'electing' and pong['mon_status']['quorum'] == [], pong
        c.start('mon.b')
        wait_quorum(c, 2)
        assert json.loads(c.ceph('tell', 'mon.a', 'mon_status').text)['state'] in ('leader', 'peon')


@test
def a_crash_is_told_at_the_next_start_until_somebody_took_note(t):
    options = ['--osds', '1', '--set', 'debug_asok_assert_abort=true', '--set', 'osd_pool_default_size=1']
    with Cluster(t.binary, options) as c:
        for daemon in 'osd.0', 'mon.a':
            socket = os.path.join(c.dir, 'run', daemon + '.asok')
            # The answer does not come: who would send it has crashed.
            run(['python3', '-c', 'import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n'
                 's.sendall(b\'{"prefix": "assert"}\\0\')\ns.recv(4)', socket], timeout=20)
            c.wait('its end', lambda: daemon not in c.pids(), limit=10)
            c.start(daemon)
        found = c.wait('two reports', lambda: len(c.json('crash', 'ls')) == 2 and c.json('crash', 'ls'))
        assert sorted(r['entity_name'] for r in found) == ['mon.a', 'osd.0'], found
        for r in found:
            info = c.json('crash', 'info', r['crash_id'])
            assert info['assert_msg'] == 'a command at the admin socket asked for it', info
            assert any('handle' in frame for frame in info['backtrace']), info
        check = c.wait('RECENT_CRASH', lambda: c.json('health', 'detail')['checks'].get('RECENT_CRASH'))
        assert check['summary']['message'] == '2 daemons have recently crashed', check
        left = os.listdir(os.path.join(c.dir, 'crash'))
        assert left == ['posted'], left
        c.ceph('crash', 'archive-all')
        assert 'RECENT_CRASH' not in c.json('health')['checks']


@test
def what_is_not_this_monitors_is_refused_in_one_line(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '1']) as c, Cluster(t.binary, ['--osds', '1']) as other:
        wait_quorum(c, 3)

        def refused(*words, daemon='mon.c'):
            done = run([c.binary, 'run-daemon', daemon, '--dir', c.dir], timeout=40)
            said = [line for line in (done.text + done.errors).splitlines() if line.strip()]
            assert done.rc not in (0, None) and said, done
            assert any(all(w in line for w in words) for line in said), done
        # A second process while the first one runs: at its address, and at another.
        refused('cannot listen')
        conf = open(c.conf).read()
        head, own = conf.split('[mon.c]')
        with open(c.conf, 'w') as f:
            f.write(head + '[mon.c]' + re.sub(r':(\d+)', lambda m: ':%d' % (int(m[1]) + 60), own, count=2))
        refused('store', 'another')
        with open(c.conf, 'w') as f:
            f.write(conf)
        # The store of another cluster, and another monitor's.
        c.stop('mon.c')
        other.stop('mon.a')
        store, kept = os.path.join(c.dir, 'mon.c', 'store'), os.path.join(c.dir, 'kept')
        os.rename(store, kept)
        shutil.copytree(os.path.join(other.dir, 'mon.a', 'store'), store)
        refused('belongs to')
        shutil.rmtree(store)
        c.stop('mon.b')
        shutil.copytree(os.path.join(c.dir, 'mon.b', 'store'), store)
        refused('belongs to', 'mon.b')
        shutil.rmtree(store)
        os.rename(kept, store)
        c.start('mon.b')
        c.start('mon.c')
        wait_quorum(c, 3)


@test
def with_one_host_cut_off_no_healthy_osd_is_marked_down(t):
    import cutoff
    from run import Skip
    try:
        host = cutoff.Host()
    except OSError as e:
        raise Skip('nothing can be cut off here: %s' % e)
    c = Cluster(t.binary, ['--osds', '6'])
    try:
        c.up(*c.options)
        c.pool('p', pgs=32)
        far = ['osd.4', 'osd.5']
        for daemon in far:
            c.stop(daemon)
            host.run([c.binary, 'start', daemon, '--dir', c.dir])
        c.wait_clean()

        def up():
            return [o['osd'] for o in c.json('osd', 'dump')['osds'] if o['up']]
        before = {o['osd']: o['down_at'] for o in c.json('osd', 'dump')['osds']}
        host.cut()
        c.wait('those on the host to be down', lambda: up() == [0, 1, 2, 3], limit=20)
        time.sleep(4)
        assert up() == [0, 1, 2, 3]
        host.heal()
        c.wait('all up again', lambda: len(up()) == 6, limit=30)
        c.wait_clean()
        after = {o['osd']: o['down_at'] for o in c.json('osd', 'dump')['osds']}
        marked = sorted(osd for osd in after if after[osd] != before[osd])
        assert marked == [4, 5], marked
    finally:
        try:
            host.heal()
        except OSError:
            pass
        c.down(rc=None)
        c.kill_all()
        host.close()
        shutil.rmtree(c.folder, ignore_errors=True)


@test
def a_setting_holds_at_once_for_those_that_its_mask_names(t):
    with Cluster(t.binary, ['--osds', '3'], fast=False) as c:
        def value(who, name):
            return json.loads(c.ceph('tell', who, 'config', 'get', name).text)[name]

        def becomes(who, name, wanted):
            c.wait('%s = %s at %s' % (name, wanted, who), lambda: value(who, name) == wanted, limit=10)
        c.ceph('osd', 'crush', 'rm-device-class', 'osd.1')
        c.ceph('osd', 'crush', 'set-device-class', 'nvme', 'osd.1')
        host = c.json('osd', 'find', '0')['host']
        c.ceph('config', 'set', 'osd', 'osd_max_backfills', 2)
        c.ceph('config', 'set', 'osd/class:nvme', 'osd_max_backfills', 5)
        c.ceph('config', 'set', 'osd/host:' + host, 'osd_max_scrubs', 4)
        c.ceph('config', 'set', 'osd/host:elsewhere', 'osd_max_scrubs', 9)
        c.ceph('config', 'set', 'osd.2', 'osd_recovery_sleep', '0.25')
        c.ceph('config', 'set', 'global', 'debug_osd', '10')
        becomes('osd.0', 'osd_max_backfills', '2')
        becomes('osd.1', 'osd_max_backfills', '5')
        becomes('osd.1', 'osd_max_scrubs', '4')
        becomes('osd.2', 'osd_recovery_sleep', '0.250000')
        becomes('osd.0', 'osd_recovery_sleep', '0.000000')
        becomes('osd.0', 'debug_osd', '10/10')
        becomes('mon.a', 'debug_osd', '10/10')
        c.ceph('config', 'rm', 'osd/class:nvme', 'osd_max_backfills')
        becomes('osd.1', 'osd_max_backfills', '2')
        # What they do, not only what they say: a frozen OSD is down after the new grace, and out after the new time.
        c.ceph('config', 'set', 'global', 'osd_heartbeat_grace', 3)
        c.ceph('config', 'set', 'mon', 'mon_osd_down_out_interval', 4)
        becomes('osd.0', 'osd_heartbeat_grace', '3')
        pid = c.pids()['osd.2']
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.time()
            c.wait('osd.2 down', lambda: not c.json('osd', 'dump')['osds'][2]['up'], limit=15)
            down = time.time() - started
            assert down < 12, down
            c.wait('osd.2 out', lambda: not c.json('osd', 'dump')['osds'][2]['in'], limit=15)
        finally:
            os.kill(pid, signal.SIGCONT)




@test
def a_monitor_that_lost_its_store_comes_back_by_itself(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '1', '--set', 'osd_pool_default_size=1']) as c:
        wait_quorum(c, 3)
        c.ceph('config-key', 'set', 'before', 'x')
        lost = leader(c)
        c.kill_all(only=['mon.' + lost])
        shutil.rmtree(os.path.join(c.dir, 'mon.' + lost, 'store'))
        c.ceph('config-key', 'set', 'meanwhile', 'y')
        c.start('mon.' + lost)
        wait_quorum(c, 3)
        # What it says by itself: with it alone left of those who were there, nothing may be missing.
        others = [m for m in 'abc' if m != lost]
        c.kill_all(only=['mon.' + others[0]])
        c.wait('a quorum with it', lambda: lost in c.json('quorum_status')['quorum_names']
               and others[0] not in c.json('quorum_status')['quorum_names'])
        for key, value in ('before', 'x'), ('meanwhile', 'y'):
            assert c.ceph('config-key', 'get', key).text.strip() == value
        assert len(c.json('mon', 'dump')['mons']) == 3
        c.start('mon.' + others[0])
        wait_quorum(c, 3)


@test
def a_name_or_an_address_is_given_to_one_monitor_only(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '1']) as c:
        wait_quorum(c, 3)
        before = c.json('mon', 'dump')
        at = before['mons'][1]['public_addrs']['addrvec'][0]['addr']
        for name, addr in (before['mons'][0]['name'], '127.0.0.1:1234'), ('z', at):
            done = c.ceph('mon', 'add', name, addr, rc=None)
            assert done.rc == 17 and 'EEXIST' in done.errors and len(done.errors.strip().splitlines()) == 1, done
        assert c.json('mon', 'dump')['mons'] == before['mons']


@test
def a_monitor_takes_no_part_when_told_and_takes_part_again(t):
    with Cluster(t.binary, ['--mons', '3', '--osds', '1']) as c:
        wait_quorum(c, 3)
        out = leader(c)
        socket = os.path.join(c.dir, 'run', 'mon.%s.asok' % out)
        c.ceph('daemon', socket, 'quorum', 'exit')
        c.wait('another leader', lambda: leader(c) != out and len(c.json('quorum_status')['quorum']) == 2)
        assert 'MON_DOWN' in c.json('health')['checks']
        c.ceph('daemon', socket, 'quorum', 'enter')
        wait_quorum(c, 3)


def log_lines(c, daemon):
    with open(os.path.join(c.dir, 'log', daemon + '.log')) as f:
        return f.read().splitlines()


@test
def levels_of_logging_hold_at_once(t):
    with Cluster(t.binary, ['--mons', '1', '--osds', '1', '--set', 'osd_pool_default_size=1']) as c:
        def grows(daemon, word):
            n = sum(word in line for line in log_lines(c, daemon))
            c.wait('%s in the log of %s' % (word, daemon),
                   lambda: sum(word in line for line in log_lines(c, daemon)) > n, limit=15)

        def rests(daemon, word):
            time.sleep(1)
            n = sum(word in line for line in log_lines(c, daemon))
            c.ceph('osd', 'tree')
            time.sleep(2)
            assert sum(word in line for line in log_lines(c, daemon)) == n
        rests('mon.a', ' in: ')
        c.ceph('config', 'set', 'mon', 'debug_mon', '20')
        grows('mon.a', ' in: ')
        c.ceph('config', 'rm', 'mon', 'debug_mon')
        rests('mon.a', ' in: ')
        c.ceph('tell', 'osd.0', 'config', 'set', 'debug_ms', '5')
        grows('osd.0', ' --> ')
        c.ceph('tell', 'osd.0', 'config', 'set', 'debug_ms', '0')
        rests('osd.0', ' --> ')
        # Kept in memory and not written, until it is asked for; also into a file that was moved away.
        c.ceph('tell', 'mon.a', 'config', 'set', 'debug_mon', '1/20')
        rests('mon.a', ' in: ')
        path = os.path.join(c.dir, 'log', 'mon.a.log')
        os.rename(path, path + '.1')
        c.ceph('tell', 'mon.a', 'log', 'reopen')
        c.ceph('tell', 'mon.a', 'log', 'dump')
        assert any(' in: ' in line for line in log_lines(c, 'mon.a'))
        c.ceph('config', 'set', 'global', 'log_to_file', 'false')
        c.ceph('tell', 'mon.a', 'config', 'set', 'debug_mon', '20')
        rests('mon.a', ' in: ')


@test
def what_a_monitor_did_lately_is_told(t):
    with Cluster(t.binary, ['--mons', '1', '--osds', '1']) as c:
        c.ceph('osd', 'set', 'noout')
        ops = json.loads(c.ceph('tell', 'mon.a', 'dump_historic_ops').text)
        assert any('osd set' in op['description'] for op in ops['ops']), ops
        assert {'description', 'initiated_at', 'age', 'duration', 'type_data'} == set(ops['ops'][0]), ops
        schema = json.loads(c.ceph('tell', 'mon.a', 'perf', 'schema').text)
        dump = json.loads(c.ceph('tell', 'mon.a', 'perf', 'dump').text)
        assert {k: set(v) for k, v in schema.items()} == {k: set(v) for k, v in dump.items()}
        report = c.json('report')
        assert {'crushmap', 'paxos', 'auth', 'monmap_first_committed', 'osd_metadata', 'num_pg'} <= set(report)
        assert c.json('features')['osd'][0]['num'] == 1
