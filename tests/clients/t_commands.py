"""The `ceph` program: every command of the first version, plain and as JSON in Ceph's shape; wrong ones as Ceph answers."""
import json
import os
import tempfile

import shapes

TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def every_answer_has_the_shape_of_cephs(t):
    pool = t.pool()
    t.clients.rados('-p', pool, 'put', 'obj1', '/etc/hostname')
    pg = t.clients.json('osd', 'map', pool, 'obj1')['pgid']
    wrong = []
    for command in shapes.commands():
        words = [pool if w == 'POOL' else pg if w == 'PG' else w for w in command.split()]
        if words[:2] == ['tell', 'mon.a']:
            words[1] = 'mon.' + t.clients.json('mon', 'dump')['mons'][0]['name']
        plain = t.clients.ceph(*words, rc=None)
        if plain.rc != 0:
            wrong.append('ceph %s: exit status %s: %s' % (command, plain.rc, plain.errors.strip()[-200:]))
            continue
        done = t.clients.ceph(*words, '-f', 'json', rc=None)
        if done.rc != 0:
            wrong.append('ceph %s -f json: exit status %s: %s' % (command, done.rc, done.errors.strip()[-200:]))
            continue
        try:
            value = shapes.parse(done.text)
        except ValueError as e:
            wrong.append('ceph %s -f json: %s in %.100r' % (command, e, done.text))
            continue
        path = shapes.file_of(command)
        if os.path.exists(path):
            found = shapes.differences(json.load(open(path)), value)
            wrong += ['ceph %s -f json: %s' % (command, d) for d in found[:6]]
    assert not wrong, '%d differences:\n%s' % (len(wrong), '\n'.join(wrong))


@test
def a_pool_lives_its_life(t):
    c, p = t.clients, t.pool()
    c.ceph('osd', 'pool', 'set', p, 'size', 2)
    assert c.json('osd', 'pool', 'get', p, 'size')['size'] == 2
    c.ceph('osd', 'pool', 'rename', p, p + '_new')
    names = c.ceph('osd', 'pool', 'ls').text.split()
    assert p + '_new' in names and p not in names, names
    c.ceph('osd', 'pool', 'rename', p + '_new', p)
    refused = c.ceph('osd', 'pool', 'rm', p, p, rc=None)
    assert refused.rc == 1 and 'yes-i-really-really-mean-it' in refused.errors, refused
    c.ceph('osd', 'pool', 'rm', p, p, '--yes-i-really-really-mean-it')
    assert p not in c.ceph('osd', 'pool', 'ls').text.split()


@test
def wrong_commands_answer_as_ceph_does(t):
    for words, rc, says in (
            (['nosuchcommand'], 22, 'Invalid command|no valid command found'),
            (['osd', 'pool', 'get', 'nosuchpool', 'size'], 2, "unrecognized pool 'nosuchpool'"),
            (['osd', 'pool', 'create'], 22, 'Invalid command'),
            (['osd', 'in', '99'], 0, 'osd.99 does not exist'),
            (['osd', 'find', '99'], 2, 'osd.99 does not exist')):
        done = t.clients.ceph(*words, rc=None)
        assert done.rc == rc and any(s in done.errors for s in says.split('|')), (words, rc, says, str(done))


@test
def an_osds_weight_and_membership_follow_commands(t):
    c = t.clients
    c.ceph('osd', 'reweight', 0, 0.5)
    node = [n for n in c.json('osd', 'tree')['nodes'] if n['name'] == 'osd.0'][0]
    assert abs(node['reweight'] - 0.5) < 0.01, node
    c.ceph('osd', 'out', 0)
    assert c.json('osd', 'stat')['num_in_osds'] == c.json('osd', 'stat')['num_osds'] - 1
    c.ceph('osd', 'in', 0)
    c.ceph('osd', 'reweight', 0, 1)
    c.wait('osd.0 in', lambda: c.json('osd', 'stat')['num_in_osds'] == c.json('osd', 'stat')['num_osds'])
    c.ceph('osd', 'down', 0)
    c.wait('osd.0 up again', lambda: c.json('osd', 'stat')['num_up_osds'] == c.json('osd', 'stat')['num_osds'])


@test
def flags_are_set_shown_and_unset(t):
    c = t.clients
    for flag in ('noout', 'noup', 'nodown', 'noin', 'norecover', 'nobackfill', 'norebalance', 'noscrub', 'nodeep-scrub', 'pause'):
        c.ceph('osd', 'set', flag)
        shown = c.json('osd', 'dump')['flags_set']
        c.ceph('osd', 'unset', flag)
        assert (flag in shown) or (flag == 'pause' and 'pauserd' in shown), (flag, shown)
    c.ceph('osd', 'set', 'noout')
    try:
        assert 'OSDMAP_FLAGS' in c.ceph('health', 'detail').text
    finally:
        c.ceph('osd', 'unset', 'noout')


@test
def config_is_stored_applied_and_forgotten(t):
    c = t.clients
    c.ceph('config', 'set', 'osd', 'osd_max_backfills', 7)
    try:
        assert c.ceph('config', 'get', 'osd.0', 'osd_max_backfills').text.strip() == '7'
        assert any(o['name'] == 'osd_max_backfills' and o['value'] == '7' for o in c.json('config', 'dump'))
        c.wait('osd.0 to have it', lambda: '7' in c.ceph('tell', 'osd.0', 'config', 'get', 'osd_max_backfills').text, 10)
    finally:
        c.ceph('config', 'rm', 'osd', 'osd_max_backfills')
    assert c.ceph('config', 'get', 'osd.0', 'osd_max_backfills').text.strip() == '1'
    bad = c.ceph('config', 'set', 'osd', 'osd_max_backfills', 'many', rc=None)
    assert bad.rc == 22, bad
    c.ceph('config-key', 'set', 'test/key', 'value')
    assert c.ceph('config-key', 'get', 'test/key').text.strip() == 'value'
    c.ceph('config-key', 'rm', 'test/key')
    assert c.ceph('config-key', 'get', 'test/key', rc=None).rc == 2


@test
def maps_can_be_fetched_and_a_crush_map_set(t):
    c = t.clients
    with tempfile.TemporaryDirectory() as d:
        crush = os.path.join(d, 'crush')
        c.ceph('osd', 'getcrushmap', '-o', crush)
        c.ceph('osd', 'setcrushmap', '-i', crush)
        again = os.path.join(d, 'again')
        c.ceph('osd', 'getcrushmap', '-o', again)
        assert open(crush, 'rb').read() == open(again, 'rb').read()
        for what in ('osd', 'mon'):
            c.ceph(what, 'getmap', '-o', os.path.join(d, what))
            assert os.path.getsize(os.path.join(d, what)) > 100
        bad = os.path.join(d, 'bad')
        open(bad, 'wb').write(os.urandom(100))
        assert c.ceph('osd', 'setcrushmap', '-i', bad, rc=None).rc == 22


@test
def the_cluster_log_takes_and_shows_lines(t):
    c = t.clients
    c.ceph('log', 'written by a test')
    c.wait('the line in the log', lambda: 'written by a test' in c.ceph('log', 'last', 50).text, 15)


@test
def watching_the_cluster_shows_its_log(t):
    import subprocess
    import time
    p = subprocess.Popen(['ceph', '-w'], env=t.clients.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(2)
    t.clients.ceph('log', 'seen by -w')
    time.sleep(3)
    p.terminate()
    out = p.communicate(timeout=10)[0].decode()
    assert 'seen by -w' in out, out[-500:]


@test
def an_application_has_metadata(t):
    c, p = t.clients, t.pool()
    c.ceph('osd', 'pool', 'application', 'set', p, 'rados', 'k', 'v')
    assert c.json('osd', 'pool', 'application', 'get', p)['rados'] == {'k': 'v'}
    c.ceph('osd', 'pool', 'application', 'rm', p, 'rados', 'k')
    assert c.json('osd', 'pool', 'application', 'get', p)['rados'] == {}


@test
def tell_reaches_daemons(t):
    c = t.clients
    assert 'version' in c.ceph('tell', 'osd.0', 'version').text
    assert 'version' in c.ceph('tell', 'mon.*', 'version').text
    assert c.ceph('tell', 'osd.99', 'version', rc=None).rc not in (0, None)


@test
def an_osd_says_who_watches_what_is_blocked_and_when_its_statistics_are_known(t):
    c = t.clients
    pool = t.pool()
    io = t.rados().open_ioctx(pool)
    io.write_full('watched', b'x')
    watch = io.watch('watched', lambda *a: None)
    primary = 'osd.%d' % c.json('osd', 'map', pool, 'watched')['acting_primary']
    found = [w for w in json.loads(c.ceph('tell', primary, 'dump_watchers').text) if w['object'] == 'watched']
    assert len(found) == 1 and found[0]['entity_name']['type'] == 'client' and found[0]['timeout'] > 0, found
    assert set(found[0]) == {'namespace', 'object', 'entity_name', 'cookie', 'timeout', 'entity_addr_t'}, found
    watch.close()
    c.ceph('osd', 'blocklist', 'add', '127.0.0.9:0/77', '30')
    listed = lambda: '127.0.0.9:0' in c.ceph('tell', primary, 'dump_blocklist').text
    c.wait('the blocklist', listed, 10)
    c.ceph('osd', 'blocklist', 'rm', '127.0.0.9:0/77')
    seq = int(c.ceph('tell', primary, 'flush_pg_stats').text)
    c.wait('the statistics', lambda: int(c.ceph('osd', 'last-stat-seq', primary).text) >= seq, 20)
    assert 'git_version' in c.json('tell', primary, 'git_version')
    assert c.json('tell', primary, 'config', 'help', 'osd_max_backfills')['option']['type'] == 'uint'
    assert c.ceph('tell', primary, 'config', 'help', 'nonsense', rc=None).rc == 2
    assert c.json('tell', primary, 'dump_scrub_reservations')['scrubs_local'] == 0
    assert c.json('tell', primary, 'perf', 'reset', 'all') == {'success': 'perf reset all'}
    assert c.json('tell', primary, 'perf', 'schema')['osd']['op']['metric_type'] == 'counter'
    c.ceph('tell', primary, 'cluster_log', 'error', 'a line by command')
    c.wait('the line', lambda: 'a line by command' in c.ceph('log', 'last', '20').text, 20)


@test
def modules_that_are_not_here_are_refused_as_ceph_refuses_them(t):
    c = t.clients
    for words, rc, why in ((('orch', 'status'), 2, 'No orchestrator configured'),
                           (('nfs', 'cluster', 'ls'), 95, "Module 'nfs' is not enabled/loaded"),
                           (('mgr', 'module', 'enable', 'nonsense'), 2, 'do not support module'),
                           (('device', 'info', 'foo'), 2, 'device foo not found')):
        done = c.ceph(*words, rc=None)
        assert done.rc == rc and why in done.errors, (words, done)
    assert 'is already disabled' in c.ceph('mgr', 'module', 'disable', 'nonsense').errors
    assert c.json('fs', 'volume', 'ls') == [] and c.json('balancer', 'ls') == []


@test
def what_a_pool_holds_and_what_it_takes_are_two_things(t):
    c = t.clients
    pool = t.pool()
    io = t.rados().open_ioctx(pool)
    for i in range(10):
        io.write_full('small%d' % i, b'x' * 100)
    io.write('sparse', b'y' * 4096, 4 << 20)

    def stats():
        found = [p['stats'] for p in c.json('df', 'detail')['pools'] if p['name'] == pool]
        return found[0] if found and found[0]['objects'] == 11 else None
    # Three copies of ten small objects and of one block of a sparse one.
    want = (10 * 100 + 4096, 3 * 11 * 4096)
    c.wait('the pool to be counted', lambda: stats() and (stats()['stored'], stats()['bytes_used']) == want, 30)


@test
def an_osd_counts_and_times_what_it_does(t):
    c = t.clients
    pool = t.pool()
    io = t.rados().open_ioctx(pool)
    for n in range(8):
        io.write_full('counted%d' % n, b'x' * 3000)
        io.read('counted%d' % n)
    osds = ['osd.%d' % osd for osd in c.json('osd', 'ls')]
    tell = lambda osd, *words: c.json('tell', osd, *words)
    counted = [tell(osd, 'perf', 'dump', 'osd')['osd'] for osd in osds]
    total = lambda name: sum(one[name] for one in counted)
    assert total('op_w') >= 8 and total('op_w_in_bytes') >= 24000 and total('op_r_out_bytes') >= 24000, counted
    assert total('subop') > 0 and sum(one['op_w_latency']['avgcount'] for one in counted) >= 8, counted
    histograms = [tell(osd, 'perf', 'histogram', 'dump')['osd'] for osd in osds]
    assert [a['buckets'] for a in histograms[0]['op_w_latency_in_bytes_histogram']['axes']] == [32, 32]
    # Of 2,048 to 4,095 bytes.
    assert sum(row[4] for h in histograms for row in h['op_w_latency_in_bytes_histogram']['values']) >= 8
    states = tell(osds[0], 'dump_pgstate_history')['pgs']
    assert any(pg['currently'] == 'Started/Primary/Active/Clean' for pg in states), states
    times = tell(osds[0], 'dump_pg_recovery_stats')
    assert ['Started', 'Primary', 'Active', 'Clean'] in [s['nested_states'] for s in times], times
    assert tell(osds[0], 'dump_mempools')['mempool']['by_pool']['osd_pglog']['items'] > 0
    assert sum(tell(osd, 'cache', 'status')['object_ctx'] for osd in osds) > 0
    assert tell(osds[0], 'objecter_requests')['ops'] == []
    assert c.ceph('tell', osds[0], 'heap', 'stats', rc=None).rc == 95
    assert c.ceph('tell', osds[0], 'heap', 'nonsense', rc=None).rc == 22
    metadata = c.json('osd', 'metadata', '0')
    for field in ('devices', 'device_ids', 'rotational', 'journal_rotational', 'bluestore_bdev_rotational',
                  'bluestore_bdev_size', 'bluestore_min_alloc_size', 'default_device_class', 'created_at'):
        assert field in metadata, (field, metadata)


@test
def what_there_is_none_of_is_answered_as_ceph_answers_before_there_is_one(t):
    c = t.clients
    a, b = t.pool(), t.pool()
    for words, rc, said in (
            (('osd', 'tier', 'rm', a, b), 0, "pool '%s' is now (or already was) not a tier of '%s'" % (b, a)),
            (('osd', 'tier', 'rm-overlay', a), 0, "there is now (or already was) no overlay for '%s'" % a),
            (('osd', 'tier', 'set-overlay', a, b), 22, "tier pool '%s' is not a tier of '%s'" % (b, a)),
            (('osd', 'tier', 'cache-mode', a, 'writeback'), 22, "pool '%s' is not a tier" % a),
            (('osd', 'tier', 'add', a, 'nonsense'), 2, "unrecognized pool 'nonsense'"),
            (('fs', 'fail', 'x'), 2, "Filesystem not found: 'x'"), (('fs', 'get', 'x'), 2, "filesystem 'x' not found"),
            (('fs', 'subvolume', 'ls', 'x'), 2, "FS 'x' not found"), (('fs', 'status', 'x'), 0, 'Invalid filesystem: x'),
            (('fs', 'new', 'x', 'nonsense', a), 2, "pool 'nonsense' does not exist"),
            (('mds', 'ok-to-stop', 'a'), 0, 'should be safe to stop [a]'),
            (('balancer', 'show', 'x'), 2, 'plan x not found'),
            (('device', 'get-health-metrics', 'x'), 2, 'device x not found'),
            (('mon', 'set-rank', 'zz', '0'), 2, 'mon.zz does not exist in monmap'),
            (('mon', 'set-weight', 'zz', '3'), 2, 'mon.zz does not exist'),
            (('mon', 'add', 'disallowed_leader', 'a'), 22, 'You cannot disallow monitors'),
            (('mon', 'set_new_tiebreaker', 'a'), 22, 'Stretch mode is not enabled'),
            (('osd', 'pool', 'unset', 'noautoscale'), 0, 'noautoscale is'), (('iostat', '-p', '0'), 0, '')):
        done = c.ceph(*words, rc=None)
        assert done.rc == rc and said in done.errors, (words, done)
    assert c.json('rbd', 'trash', 'purge', 'schedule', 'list') == {} and c.json('rbd', 'task', 'list') == []
    shown = c.ceph('iostat', '-p', '0').text.splitlines()
    assert len(shown) >= 5 and shown[4] == '' and shown[1].split(' |')[0].endswith('Read'), shown
    with tempfile.NamedTemporaryFile() as f:
        assert 'got pgmap version' in c.ceph('pg', 'getmap', '-o', f.name).errors
        assert f.read(2) == b'\x08\x08'
