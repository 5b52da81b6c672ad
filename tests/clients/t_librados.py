"""librados: python3-rados for what it offers, the C API for compound operations."""
import errno
import os
import struct
import threading
import time

import capi
from capi import EQ, NE

TESTS = []


def test(f):
    TESTS.append(f)
    return f


def is_errno(want, f, *a, **k):
    try:
        got = f(*a, **k)
    except Exception as e:
        assert abs(getattr(e, 'errno', 0) or 0) == want, '%r instead of %s' % (e, errno.errorcode[want])
        return
    assert False, '%r instead of %s' % (got, errno.errorcode[want])


def crc32c(data, crc=0xffffffff):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc


@test
def reads_and_writes_at_offsets(t):
    io = t.io()
    io.write('o', b'abc', 10)
    assert io.read('o') == b'\0' * 10 + b'abc' and io.read('o', 2, 11) == b'bc' and io.read('o', 10, 100) == b''
    io.write_full('o', b'short')
    assert io.read('o') == b'short' and io.stat('o')[0] == 5
    io.writesame('o', b'xy', 6, 1)
    assert io.read('o') == b'sxyxyxy'
    io.trunc('o', 20)
    assert io.read('o', 100) == b'sxyxyxy' + b'\0' * 13
    is_errno(errno.ENOENT, io.read, 'nothing')
    is_errno(errno.ENOENT, io.remove_object, 'nothing')
    is_errno(errno.EFBIG, io.write, 'o', b'x', 128 << 20)


@test
def a_compound_write_is_whole_or_not_at_all(t):
    io = t.capi()
    assert io.write().create().write(b'data', 0).setxattr('v', b'1').omap_set({'k': b'v'}).run('o') == 0
    assert io.write().create().write(b'other', 0).run('o') == -errno.EEXIST
    for guard in (lambda w: w.cmpxattr('v', EQ, b'2'), lambda w: w.cmpxattr('v', NE, b'1'),
                  lambda w: w.omap_cmp('k', EQ, b'other'), lambda w: w.cmpxattr('missing', EQ, b'1')):
        assert guard(io.write()).write_full(b'must not be').run('o') == -errno.ECANCELED
    assert io.write().assert_exists().write_full(b'x').run('absent') == -errno.ENOENT
    r = io.read().cmpxattr('v', EQ, b'1').omap_cmp('k', EQ, b'v').read(0, 100)
    assert r.run('o') == 0 and r.data() == b'data'
    assert io.write().cmpxattr('v', EQ, b'1').setxattr('v', b'2').append(b'+').run('o') == 0
    r = io.read().cmpxattr('v', EQ, b'2').read(0, 100)
    assert r.run('o') == 0 and r.data() == b'data+'


@test
def versions_are_asserted(t):
    io = t.capi()
    assert io.write().write_full(b'zero').run('o') == 0 and io.write().write_full(b'one').run('o') == 0
    v = io.version()
    assert v > 0
    assert io.write().assert_version(v + 1).write_full(b'no').run('o') == -errno.EOVERFLOW
    assert io.write().assert_version(v - 1).write_full(b'no').run('o') == -errno.ERANGE
    assert io.write().assert_version(v).write_full(b'two').run('o') == 0 and io.version() > v
    assert io.read().assert_version(v).read(0, 9).run('o') == -errno.ERANGE


@test
def cmpext_says_where_bytes_differ(t):
    io = t.capi()
    assert io.write().write_full(b'hello world').run('o') == 0
    assert io.write().cmpext(0, b'hello').write(b'HELLO', 0).run('o') == 0
    w = io.write().cmpext(0, b'HELLO_world').write(b'x', 0)
    rc = w.run('o')
    assert rc == -4095 - 5, rc
    r = io.read().read(0, 100)
    assert r.run('o') == 0 and r.data() == b'HELLO world'


@test
def steps_of_one_operation_see_each_other(t):
    io = t.capi()
    assert io.write().write(b'aaaa', 0).append(b'bb').zero(1, 2).truncate(5).writesame(b'z', 3, 5).run('o') == 0
    r = io.read().stat().read(0, 100)
    assert r.run('o') == 0 and r.data() == b'a\0\0abzzz' and r.size.value == 8
    assert io.write().omap_set({'a': b'1', 'b': b'2'}).omap_rm(['a']).run('o') == 0
    assert io.write().omap_cmp('b', EQ, b'2').omap_clear().run('o') == 0
    assert io.write().omap_cmp('b', EQ, b'2').write_full(b'').run('o') == -errno.ECANCELED
    assert io.write().remove().run('o') == 0 and io.read().stat().run('o') == -errno.ENOENT


@test
def a_step_that_may_fail_does_not_fail_the_operation(t):
    io = t.capi()
    assert io.write().write_full(b'x').run('o') == 0
    assert io.write().rmxattr('nothing').flags(capi.FAILOK).write(b'y', 0).run('o') == 0
    assert io.write().alloc_hint(4 << 20, 4096).write(b'z', 1).run('o') == 0
    r = io.read().read(0, 9)
    assert r.run('o') == 0 and r.data() == b'yz'


@test
def checksums_are_computed_where_the_data_is(t):
    io, data = t.capi(), os.urandom(8192)
    assert io.write().write_full(data).run('o') == 0
    r = io.read().checksum(capi.CHECKSUM_CRC32C, struct.pack('<I', 0xffffffff), 0, 8192, 4096)
    assert r.run('o') == 0
    count, a, b = struct.unpack('<III', r.sums.raw[:12])
    assert (count, a, b) == (2, crc32c(data[:4096]), crc32c(data[4096:]))


@test
def omap_is_read_in_pages(t):
    import rados
    io = t.io()
    keys = tuple('key%04d' % i for i in range(2500))
    with rados.WriteOpCtx() as op:
        io.set_omap(op, keys, tuple(k.encode() for k in keys))
        io.operate_write_op(op, 'o')
    seen, after = [], ''
    while True:
        with rados.ReadOpCtx() as op:
            it, rc = io.get_omap_vals(op, after, '', 1000)
            io.operate_read_op(op, 'o')
            page = list(it)
        seen += [k for k, v in page if v == k.encode()]
        if not page:
            break
        after = page[-1][0]
    assert seen == list(keys), len(seen)


@test
def asynchronous_operations_complete_in_order(t):
    io = t.io()
    done = []
    ops = [io.aio_append('log', b'%03d,' % i, oncomplete=lambda c, i=i: done.append(i)) for i in range(300)]
    ops += [io.aio_write_full('o%d' % i, bytes([i]) * 5000) for i in range(100)]
    for c in ops:
        c.wait_for_complete_and_cb()
        assert c.get_return_value() == 0
    assert io.read('log', 5000) == b''.join(b'%03d,' % i for i in range(300))
    assert done == list(range(300))
    got = {}
    reads = [io.aio_read('o%d' % i, 5000, 0, lambda c, data, i=i: got.__setitem__(i, data)) for i in range(100)]
    for c in reads:
        c.wait_for_complete_and_cb()
    assert all(got[i] == bytes([i]) * 5000 for i in range(100))


@test
def classes_are_executed(t):
    io = t.io()
    io.write_full('o', b'')
    assert io.execute('o', 'hello', 'say_hello', b'')[1] == b'Hello, world!'
    assert io.execute('o', 'hello', 'say_hello', b'you')[1] == b'Hello, you!'
    is_errno(errno.EOPNOTSUPP, io.execute, 'o', 'hello', 'no_such_method', b'')
    io.write_full('n', b'')
    io.set_xattr('n', 'x', b'1')
    key, value = b'counter', b'5'
    arg = struct.pack('<I', len(key)) + key + struct.pack('<I', len(value)) + value
    # numops keeps its numbers in the omap (Ceph: cls_numops).
    io.execute('n', 'numops', 'add', arg)
    io.execute('n', 'numops', 'mul', arg)
    import rados
    with rados.ReadOpCtx() as op:
        it, _ = io.get_omap_vals_by_keys(op, ('counter',))
        io.operate_read_op(op, 'n')
        assert float(dict(it)['counter']) == 25.0


@test
def locks_exclude(t):
    pool = t.pool()
    a, b = (t.rados().open_ioctx(pool) for _ in range(2))
    a.lock_exclusive('o', 'lock', 'cookie', desc='of a')
    is_errno(errno.EBUSY, b.lock_exclusive, 'o', 'lock', 'other')
    is_errno(errno.EEXIST, a.lock_exclusive, 'o', 'lock', 'cookie')
    a.unlock('o', 'lock', 'cookie')
    b.lock_shared('o', 'lock', 'one', 'tag')
    a.lock_shared('o', 'lock', 'two', 'tag')
    b.unlock('o', 'lock', 'one')
    a.unlock('o', 'lock', 'two')
    b.lock_exclusive('o', 'lock', 'short', duration=1)
    time.sleep(1.3)
    a.lock_exclusive('o', 'lock', 'after')


@test
def a_watcher_hears_notifications_and_may_answer(t):
    pool = t.pool()
    io, other = (t.rados().open_ioctx(pool) for _ in range(2))
    io.write_full('o', b'')
    heard = threading.Event()
    got = []

    def hear(notify_id, notifier_id, watch_id, data):
        got.append(data)
        heard.set()
    watch = io.watch('o', hear)
    other.notify('o', 'message', 5000)
    assert heard.wait(5) and got == [b'message'], got
    watch.close()
    other.notify('o', 'nobody', 2000)
    assert got == [b'message'], got
    is_errno(errno.ENOENT, io.watch, 'absent', hear)


@test
def a_notification_times_out_when_a_watcher_is_silent(t):
    pool = t.pool()
    io, other = (t.rados().open_ioctx(pool) for _ in range(2))
    io.write_full('o', b'')
    release = threading.Event()
    watch = io.watch('o', lambda *a: release.wait(8) and None)
    started = time.time()
    try:
        other.notify('o', 'm', 2000)
        timed_out = False
    except Exception as e:
        timed_out = abs(e.errno) == errno.ETIMEDOUT
    took = time.time() - started
    release.set()
    watch.close()
    assert timed_out and 1 < took < 7, (timed_out, took)


@test
def locators_and_namespaces_name_other_objects(t):
    pool = t.pool()
    plain, ns = t.capi(pool), t.capi(pool, namespace='ns')
    loc = t.capi(pool, locator='somewhere')
    for io, data in ((plain, b'plain'), (ns, b'ns'), (loc, b'locator')):
        assert io.write().write_full(data).run('o') == 0
    for io, data in ((plain, b'plain'), (ns, b'ns'), (loc, b'locator')):
        r = io.read().read(0, 99)
        assert r.run('o') == 0 and r.data() == data


@test
def listing_shows_each_object_once(t):
    io = t.io(pgs=16)
    ops = [io.aio_write_full('object-%d' % i, b'') for i in range(1500)]
    for c in ops:
        c.wait_for_complete()
    names = [o.key for o in io.list_objects()]
    assert len(names) == 1500 and set(names) == {'object-%d' % i for i in range(1500)}


@test
def unusual_names_are_kept(t):
    io = t.io()
    names = ['a b', 'ünïcödé', 'with/slash', '..', '%', '_', 'x' * 1000, 'new\nline', '~', 'head', 'a' * 255]
    for n in names:
        io.write_full(n, n.encode())
    assert {o.key for o in io.list_objects()} == set(names)
    assert all(io.read(n) == n.encode() for n in names)
    is_errno(errno.ENAMETOOLONG, io.write_full, 'x' * 3000, b'')


@test
def an_operations_timeout_is_a_timeout(t):
    # Nothing is wrong here: a generous timeout must not fire.
    r = t.rados(rados_osd_op_timeout='20', rados_mon_op_timeout='20')
    io = r.open_ioctx(t.pool())
    for i in range(20):
        io.write_full('o', b'%d' % i)
    assert io.read('o') == b'19'


@test
def an_omap_larger_than_the_log_is_kept_and_one_larger_than_a_write_may_be_is_refused(t):
    import rados
    io = t.io()
    def put(size):
        with rados.WriteOpCtx() as op:
            io.set_omap(op, ('key',), (b'x' * size,))
            io.operate_write_op(op, 'o')
    for size in (1 << 20, 12 << 20, 80 << 20, 2 << 20):
        put(size)
        with rados.ReadOpCtx() as op:
            values, _ = io.get_omap_vals_by_keys(op, ('key',))
            io.operate_read_op(op, 'o')
            assert [len(v) for _, v in values] == [size]
    is_errno(errno.EMSGSIZE, put, 100 << 20)
    put(2 << 20)
