"""What concerns the cluster as a whole through librados: pools, quotas, blocklists, statistics, services."""
import errno
import json
import time

from t_librados import is_errno

#: LIBRADOS_OPERATION_FULL_TRY: answer an error instead of waiting for space; deletes go through.
FULL_TRY = 64

TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def pools_are_made_and_deleted_by_librados(t):
    r = t.rados()
    name = 'api_%d' % int(time.time() * 1e6)
    r.create_pool(name)
    assert r.pool_exists(name) and r.pool_reverse_lookup(r.pool_lookup(name)) == name
    io = r.open_ioctx(name)
    io.write_full('o', b'x')
    is_errno(errno.EEXIST, r.create_pool, name)
    r.delete_pool(name)
    assert not r.pool_exists(name)
    is_errno(errno.ENOENT, io.read, 'o')


@test
def statistics_grow_with_the_data(t):
    r = t.rados()
    io = r.open_ioctx(t.pool())
    for i in range(10):
        io.write_full('o%d' % i, b'x' * 100000)
    t.clients.wait('ten objects in the statistics', lambda: io.get_stats()['num_objects'] == 10, 20)
    stats = r.get_cluster_stats()
    assert stats['kb'] > 0 and stats['kb_avail'] > 0, stats
    t.clients.wait('ten objects in all', lambda: r.get_cluster_stats()['num_objects'] >= 10, 20)


@test
def a_blocklisted_client_is_refused(t):
    pool = t.pool()
    r = t.rados()
    io = r.open_ioctx(pool)
    io.write_full('o', b'x')
    addr = r.get_addrs().strip('[]').split(',')[-1]
    addr = addr.split(':', 1)[1] if addr.startswith(('v1:', 'v2:', 'any:')) else addr
    c = t.clients
    c.ceph('osd', 'blocklist', 'add', addr)
    try:
        listed = c.ceph('osd', 'blocklist', 'ls')
        assert addr in listed.text, listed
        give_up = time.time() + 10
        while time.time() < give_up:
            try:
                io.write_full('o', b'y')
                time.sleep(0.1)
            except Exception as e:
                assert abs(e.errno) == errno.ESHUTDOWN, e
                break
        else:
            assert False, 'still served after 10 s'
        other = t.rados().open_ioctx(pool)
        other.write_full('o', b'z')
    finally:
        c.ceph('osd', 'blocklist', 'rm', addr)
    assert addr not in c.ceph('osd', 'blocklist', 'ls').text


@test
def a_quota_is_enforced(t):
    pool = t.pool()
    c = t.clients
    c.ceph('osd', 'pool', 'set-quota', pool, 'max_objects', 5)
    assert c.json('osd', 'pool', 'get-quota', pool)['quota_max_objects'] == 5
    io = t.capi(pool)
    for i in range(6):
        assert io.write().write_full(b'x').run('o%d' % i) == 0
    c.wait('the pool to be full', lambda: 'full_quota' in str(
        [p['flags_names'] for p in c.json('osd', 'dump')['pools'] if p['pool_name'] == pool]), 30)
    c.wait('EDQUOT', lambda: io.write().write_full(b'x').run('more', FULL_TRY) == -errno.EDQUOT, 15)
    assert io.write().remove().run('o0', FULL_TRY) == 0
    r = t.rados(rados_osd_op_timeout='3')
    blocked = r.open_ioctx(pool)
    is_errno(errno.ETIMEDOUT, blocked.write_full, 'more', b'x')
    c.ceph('osd', 'pool', 'set-quota', pool, 'max_objects', 0)
    c.wait('writes to go on', lambda: t.rados(rados_osd_op_timeout='3').open_ioctx(pool).write_full('more', b'x') in (0, None), 30)


@test
def monitors_answer_a_ping(t):
    import rados
    r = rados.Rados(conffile=t.clients.conf)
    name = t.clients.json('mon', 'dump')['mons'][0]['name']
    answer = json.loads(r.ping_monitor(name))
    assert 'health' in answer and 'mon_status' in answer, answer


@test
def a_service_registers_and_is_shown(t):
    r = t.rados()
    name = 'probe%d' % int(time.time())
    r.service_daemon_register('testservice', name, {'version': '1'})
    t.clients.wait('the service in service dump', lambda: name in t.clients.ceph('service', 'dump', '-f', 'json').text, 30)


@test
def log_lines_reach_a_subscriber(t):
    import rados
    r = t.rados()
    lines = []
    watcher = rados.MonitorLog(r, 'info', lambda arg, line, *rest: lines.append(line), 0) \
        if hasattr(rados, 'MonitorLog') else None
    if watcher is None:
        from run import Skip
        raise Skip('this python3-rados has no MonitorLog')
    time.sleep(1)
    t.clients.ceph('log', 'for the subscriber')
    t.clients.wait('the line', lambda: any('for the subscriber' in str(x) for x in lines), 15)


@test
def commands_reach_monitor_manager_osd_and_pg(t):
    r = t.rados()
    pool = t.pool()
    t.clients.rados('-p', pool, 'put', 'o', '-', data=b'x')
    pg = t.clients.json('osd', 'map', pool, 'o')['pgid']
    for f, a in ((r.mon_command, ()), (r.mgr_command, ()), (lambda c, i: r.osd_command(0, c, i), ())):
        rc, out, err = f(json.dumps(dict(prefix='get_command_descriptions')), b'')
        assert rc == 0 and len(json.loads(out)) > 5, (rc, err, out[:200])
    rc, out, err = r.pg_command(pg, json.dumps(dict(prefix='query', pgid=pg, format='json')), b'')
    assert rc == 0 and json.loads(out)['state'].startswith('active'), (rc, err)
    rc, out, err = r.mon_command('this is no JSON', b'')
    assert rc == -errno.EINVAL, (rc, err)
