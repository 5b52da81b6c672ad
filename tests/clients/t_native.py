"""`spirula ceph` and `spirula rados` say what Debian's `ceph` and `rados` say, of the same cluster."""
import difflib
import os
import re
import subprocess
import tempfile
import threading
import time

from cluster import run

TESTS = []


def test(f):
    TESTS.append(f)
    return f


#: What changes from one look to the next, and from one client to the next.
VOLATILE = [
    (r'\d{4}[-.]\d\d[-.]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d{4}|Z)?', 'TIME'), (r'client\.\d+', 'client.N'),
    (r'(127\.0\.0\.1:0/)\d+', r'\1N'), (r'("?quorum_age"?: ?)\d+', r'\1N'), (r'("reported_seq": ?)\d+', r'\1N'),
    (r'("age": ?)[0-9.e-]+', r'\1N'), (r'\(?(since|age) [0-9a-z]+\)?', r'\1 T'), (r'"num": ?\d+', '"num": N'),
    (r'("seconds_since_[a-z_]+": ?)[0-9.]+', r'\1N'), (r'cookie[ =]\d+', 'cookie N'),
]


def masked(text):
    for pattern, with_ in VOLATILE:
        text = re.sub(pattern, with_, text)
    return text


def native(t, program, *args, data=None, timeout=60, cwd=None):
    return run([t.binary, program, *args], data, timeout, t.clients.env) if cwd is None else subprocess.run(
        [t.binary, program, *args], env=t.clients.env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def compare(t, program, lines, program_args=((), ())):
    """Each line by both programs; `program_args`: what is said to the one and to the other before it."""
    differ = []
    for line in lines:
        debian = t.clients.run(program, *program_args[0], *line.split(), rc=None)
        ours = native(t, program, *program_args[1], *line.split())
        a = '%s= %s\n' % (masked(debian.text + debian.errors), debian.rc)
        b = '%s= %s\n' % (masked(ours.text + ours.errors), ours.rc)
        if a != b:
            diff = difflib.unified_diff(a.splitlines(), b.splitlines(), 'debian', 'ours', lineterm='', n=1)
            differ.append('%s %s\n%s' % (program, line, '\n'.join(list(diff)[:20])))
    assert not differ, '\n'.join(differ)


@test
def ceph_prints_what_debians_prints(t):
    pool = t.pool()
    commands = ['health', 'health detail', 'df', 'df detail', 'osd tree', 'osd stat', 'osd ls', 'osd find 1',
                'osd pool ls', 'osd pool ls detail', 'osd pool get %s all' % pool, 'osd pool get %s size' % pool,
                'osd crush tree', 'osd crush rule ls', 'osd crush rule dump', 'osd crush class ls',
                'osd map %s foo' % pool, 'mon dump', 'mon stat', 'mgr stat', 'config dump', 'versions', 'features',
                'fsid', 'osd blocklist ls', 'osd dump', 'osd utilization', 'tell osd.0 version', 'tell mon.* version',
                'config show osd.0', 'osd pool get-quota %s' % pool, 'tell osd.0 config get osd_heartbeat_grace']
    forms = ['', ' -f json']
    compare(t, 'ceph', [c + form for c in commands for form in forms])


@test
def ceph_refuses_as_debians_refuses(t):
    pool = t.pool()
    compare(t, 'ceph', ['osd bogus', 'osd pool create', 'osd pool get nopool size', 'osd find 99', 'osd out',
                        'osd pool get %s nokey' % pool, 'osd pool set %s size' % pool, 'osd pool set %s size abc' % pool,
                        'tell osd.99 version', 'pg map 99.0', 'osd map nopool x', 'config set osd nooption 1',
                        'osd reweight 0 7', 'osd set badflag', 'osd crush rule dump norule', 'tell osd.0 bogus',
                        'pg ls badstate', 'osd pool rm %s' % pool])


RADOS = '''put a F1
put b F2
stat b
mksnap s1
mksnap s1
put b F1
lssnap
-s s1 get b -
-s nosnap get b -
rollback b s1
get b -
rollback b nosnap
listsnaps b
listsnaps b -f json
listsnaps nob
-s s1 ls
rmsnap s1
rmsnap s1
setomapval b k1 v1
listomapkeys b
listomapvals b
getomapval b k1
getomapval b nokey
setomapheader b hdr
getomapheader b
setxattr b x1 v
listxattr b
getxattr b x1
getxattr b nox
listwatchers b
listwatchers nob
lock get b l1
lock list b
lock info b l1
lock get b l1
lock get b l2 --lock-cookie ck --lock-tag tg --lock-description d --lock-duration 100 --lock-type shared
lock info b l2 -f json
lock break b l1 client.999999
lock info b nol
lock list nob
notify b hi
notify nob hi
cp b c
cp nob c
cp b b
cp b
--target-nspace other cp b d
-N other stat d
--pgid nonsense ls
touch t3 1700000000
touch t3 abc
stat t3
rm c
rm c
truncate b 5
get b -
append b F2
touch t
create t2
create t2
-N ns put n F2
ls --all
-N ns ls
get nob -
stat nob
bogus
export EXP
import EXP
import --no-overwrite EXP
get a -
mapext a
set-alloc-hint a 4096 4096'''


@test
def rados_prints_what_debians_prints(t):
    """The same story told to both, each in a pool of its own; the pools' names are told apart by the mask."""
    with tempfile.TemporaryDirectory() as d:
        for name, data in (('F1', b'x' * 10000), ('F2', b'hello world\n')):
            open(os.path.join(d, name), 'wb').write(data)
        told = []
        for who in ('debian', 'ours'):
            # One PG: objects are listed in the same order.
            pool, story = t.pool(pgs=1), []
            for line in RADOS.splitlines():
                words = [os.path.join(d, w + (who if w == 'EXP' else '')) if w in ('F1', 'F2', 'EXP') else w
                         for w in line.split()]
                args = ['-p', pool, *words]
                done = t.clients.run('rados', *args, rc=None) if who == 'debian' else native(t, 'rados', *args)
                text = masked(done.text + done.errors).replace(pool, 'POOL')
                text = re.sub(r'mtime [^,]*', 'mtime T', text)
                story.append('$ rados %s\n%s= %s' % (line, text, done.rc))
            told.append('\n'.join(story))
        diff = list(difflib.unified_diff(told[0].splitlines(), told[1].splitlines(), 'debian', 'ours', lineterm=''))
        assert not diff, '\n'.join(diff[:60])
        # Either reads the other's export.
        pool = t.pool()
        for program, args in (('ours', ('debian',)), ('debian', ('ours',))):
            path = os.path.join(d, 'EXP' + args[0])
            done = native(t, 'rados', '-p', pool, 'import', path) if program == 'ours' else t.clients.rados(
                '-p', pool, 'import', path)
            assert done.rc == 0, done
            assert t.clients.rados('-p', pool, 'get', 'a', '-').out == b'x' * 10000
            assert 'k1' in t.clients.rados('-p', pool, 'listomapkeys', 'b').text


@test
def native_rados_copies_pools_and_lists_one_pg_and_what_scrubs_found(t):
    c, pool, other = t.clients, t.pool(pgs=4), t.pool(pgs=4)
    with tempfile.NamedTemporaryFile('w') as f:
        f.write('named')
        f.flush()
        assert native(t, 'rados', '-p', pool, '--obj-name-file', f.name, 'put', '/etc/hostname').rc == 0
    for n in range(12):
        c.rados('-p', pool, '-N', 'ns' if n % 2 else '', 'put', 'o%d' % n, '-', data=b'%d' % n)
    done = native(t, 'rados', 'cppool', pool, other)
    assert done.rc == 0 and done.text == 'successfully copied pool ' + pool, done
    ls = lambda p: sorted(c.rados('-p', p, 'ls', '--all').text.splitlines())
    assert ls(other) == ls(pool) and len(ls(pool)) == 13, ls(other)
    assert c.rados('-p', other, '-N', 'ns', 'get', 'o3', '-').text == '3'
    pg = c.json('osd', 'map', pool, 'o2')['pgid']
    for words in (('--pgid', pg, 'ls'), ('list-inconsistent-obj', 'nonsense'), ('list-inconsistent-pg', pool)):
        theirs, ours = c.rados(*words, rc=None), native(t, 'rados', *words)
        assert (theirs.text, theirs.errors) == (ours.text, ours.errors), (words, theirs, ours)
    c.ceph('pg', 'deep-scrub', pg)
    same = lambda: c.rados('list-inconsistent-obj', pg, rc=None).text.startswith('{')
    c.wait('the scrub', same, 60)
    for words in (('list-inconsistent-obj', pg), ('list-inconsistent-snapset', pg)):
        assert c.rados(*words).text == native(t, 'rados', *words).text, words
    done = native(t, 'rados', 'list-inconsistent-obj', '9999.0')
    assert done.rc == 1 and done.errors == \
        'No scrub information available for pg 9999.0\nerror 2: (2) No such file or directory\n', done


@test
def native_watchers_hear_what_is_notified(t):
    pool = t.pool()
    t.clients.rados('-p', pool, 'put', 'o', '-', data=b'x')
    p = subprocess.Popen([t.binary, 'rados', '-p', pool, 'watch', 'o'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         env=t.clients.env, text=True, bufsize=1)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(p.stdout.readline, '')), daemon=True)
    reader.start()
    t.clients.wait('the watch', lambda: 'watcher=' in t.clients.rados('-p', pool, 'listwatchers', 'o').text)
    said = t.clients.rados('-p', pool, 'notify', 'o', 'hello').text
    assert 'reply client.' in said and '|....hello|' in said, said
    # By whichever way the PG goes, the watch goes along.
    primary = t.clients.json('osd', 'map', pool, 'o')['acting_primary']
    t.clients.ceph('osd', 'down', str(primary))
    t.clients.wait_clean()

    def heard_again():
        return 'reply client.' in t.clients.rados('-p', pool, 'notify', 'o', 'again').text
    t.clients.wait('the watch after the PG was led anew', heard_again)
    p.stdin.write('\n')
    p.stdin.flush()
    assert p.wait(20) == 0
    reader.join(5)
    text = ''.join(lines)
    assert 'NOTIFY cookie' in text and '|....hello|' in text and '|....again|' in text, text
    assert 'watcher=' not in t.clients.rados('-p', pool, 'listwatchers', 'o').text


@test
def the_log_is_shown_as_it_is_written(t):
    p = subprocess.Popen([t.binary, 'ceph', '-w'], stdout=subprocess.PIPE, env=t.clients.env, text=True, bufsize=1)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(p.stdout.readline, '')), daemon=True)
    reader.start()
    try:
        t.clients.wait('the state', lambda: any('cluster:' in line for line in lines))
        give_up, heard = time.time() + 30, False
        while not heard and time.time() < give_up:
            # Until it listens.
            t.clients.ceph('log', 'a line for all')
            time.sleep(0.3)
            heard = any('client.admin [INF] a line for all' in line for line in lines)
        assert heard, lines
    finally:
        p.kill()
        p.wait()


@test
def a_reader_that_leaves_is_no_crash(t):
    done = run(['bash', '-c', '"%s" ceph osd dump -f json-pretty | head -1; "%s" rados lspools | true' % (t.binary, t.binary)],
               env=t.clients.env)
    assert done.rc == 0 and 'panicked' not in done.errors, done
