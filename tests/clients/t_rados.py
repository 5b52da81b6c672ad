"""The `rados` program: objects, attributes, omap, listings, bench, export and import."""
import os
import tempfile

TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def an_object_lives_its_life(t):
    p = t.pool()
    r = lambda *a, **k: t.clients.rados('-p', p, *a, **k)
    data = os.urandom(3000)
    r('put', 'o', '-', data=data)
    assert r('get', 'o', '-').out == data
    r('append', 'o', '-', data=b'tail')
    assert r('get', 'o', '-').out == data + b'tail'
    assert 'size 3004' in r('stat', 'o').text and 'size 3004' in r('stat2', 'o').text
    r('truncate', 'o', 10)
    assert r('get', 'o', '-').out == data[:10]
    r('cp', 'o', 'copy')
    assert r('get', 'copy', '-').out == data[:10]
    r('touch', 'empty')
    r('create', 'created')
    assert sorted(r('ls').text.split()) == ['copy', 'created', 'empty', 'o']
    r('rm', 'o')
    gone = r('get', 'o', '-', rc=1)
    assert 'No such file or directory' in gone.errors, gone
    assert r('stat', 'o', rc=1).rc == 1


@test
def attributes_and_omap_are_kept(t):
    p = t.pool()
    r = lambda *a, **k: t.clients.rados('-p', p, *a, **k)
    r('put', 'o', '-', data=b'x')
    r('setxattr', 'o', 'user.a', 'one')
    assert r('getxattr', 'o', 'user.a').text.strip() == 'one' and r('listxattr', 'o').text.split() == ['user.a']
    r('rmxattr', 'o', 'user.a')
    assert r('getxattr', 'o', 'user.a', rc=1).rc == 1
    for k in 'cab':
        r('setomapval', 'o', k, 'value-' + k)
    assert r('listomapkeys', 'o').text.split() == ['a', 'b', 'c']
    assert 'value-b' in r('getomapval', 'o', 'b').text
    r('rmomapkey', 'o', 'b')
    assert r('listomapkeys', 'o').text.split() == ['a', 'c']
    r('setomapheader', 'o', 'head')
    assert 'head' in r('getomapheader', 'o').text
    r('clearomap', 'o')
    assert r('listomapkeys', 'o').text == ''


@test
def namespaces_are_apart(t):
    p = t.pool()
    r = lambda *a, **k: t.clients.rados('-p', p, *a, **k)
    r('put', 'o', '-', data=b'default')
    r('-N', 'ns', 'put', 'o', '-', data=b'ns')
    r('-N', 'ns', 'put', 'only', '-', data=b'ns')
    assert r('get', 'o', '-').out == b'default' and r('-N', 'ns', 'get', 'o', '-').out == b'ns'
    assert r('ls').text.split() == ['o'] and sorted(r('-N', 'ns', 'ls').text.split()) == ['o', 'only']
    assert sorted(line.split('\t')[0] for line in r('--all', 'ls').text.splitlines()) == ['', 'ns', 'ns']


@test
def large_objects_come_back_whole(t):
    p = t.pool()
    data = os.urandom(20 << 20)
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        t.clients.rados('-p', p, 'put', 'big', f.name)
    assert t.clients.rados('-p', p, 'get', 'big', '-').out == data


@test
def bench_writes_reads_and_cleans_up(t):
    p = t.pool()
    r = lambda *a, **k: t.clients.rados('-p', p, *a, **k)
    assert 'Total writes made' in r('bench', 2, 'write', '-b', 4096, '-t', 16, '--no-cleanup').text
    for mode in ('seq', 'rand'):
        assert 'Total reads made' in r('bench', 2, mode, '-t', 16).text
    r('cleanup')
    assert r('ls').text == ''


@test
def a_pool_is_exported_and_imported(t):
    p, q = t.pool(), t.pool()
    r = lambda pool, *a, **k: t.clients.rados('-p', pool, *a, **k)
    for i in range(5):
        r(p, 'put', 'o%d' % i, '-', data=b'%d' % i * 1000)
    r(p, 'setxattr', 'o1', 'a', 'b')
    r(p, 'setomapval', 'o2', 'k', 'v')
    with tempfile.NamedTemporaryFile() as f:
        r(p, 'export', f.name)
        r(q, 'import', f.name)
    assert sorted(r(q, 'ls').text.split()) == ['o%d' % i for i in range(5)]
    assert r(q, 'get', 'o3', '-').out == b'3' * 1000 and r(q, 'getxattr', 'o1', 'a').text.strip() == 'b'
    assert 'v' in r(q, 'getomapval', 'o2', 'k').text


@test
def pools_are_listed_with_their_usage(t):
    p = t.pool()
    t.clients.rados('-p', p, 'put', 'o', '-', data=b'x' * 10000)
    assert p in t.clients.rados('lspools').text.split()
    t.clients.wait('usage in rados df', lambda: any(
        line.split()[:1] == [p] and ' 1 ' in line for line in t.clients.rados('df').text.splitlines()), 20)
    assert t.clients.rados('-p', 'nosuchpool', 'ls', rc=1).errors.strip()
