#!/usr/bin/python3
"""tests/damage/run.py [--spirula PATH] [--dir DIR] [--port N] [--only NAME] [--write docs/DAMAGE.md]

Damages the stores of a cluster on this machine, one kind after the other, through real sockets and files, and
writes what found it, what it was called, what mended it, how long that took, and whether the data was right.
Uses Debian's `ceph`, `rados` and python3-rados. Exit code 1 if anything was not mended or read wrongly.
"""
import argparse, json, os, re, struct, subprocess, sys, time
import rados

FAST = """osd_heartbeat_interval=1 osd_heartbeat_grace=6 osd_mon_heartbeat_interval=3 osd_mon_report_interval=1
mon_osd_adjust_heartbeat_grace=false mgr_stats_period=1 mgr_tick_period=1 mon_tick_interval=1""".split()
SIZE = 65536


class Lab:
    def __init__(self, args):
        self.spirula, self.dir, self.port = args.spirula, args.dir, args.port

    def sh(self, *cmd, check=True):
        p = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, timeout=400)
        if check and p.returncode:
            raise RuntimeError(f"{cmd}: {p.stdout}{p.stderr}")
        return p.stdout

    def up(self):
        sets = [x for o in FAST for x in ('--set', o)]
        self.sh(self.spirula, 'up', '--dir', self.dir, '--osds', '3', '--port', self.port, *sets)
        self.conf = f'{self.dir}/ceph.conf'
        self.cluster = rados.Rados(conffile=self.conf)
        self.cluster.connect()

    def down(self):
        self.cluster.shutdown()
        self.sh(self.spirula, 'down', '--dir', self.dir)

    def ceph(self, *words):
        return self.sh('ceph', '-c', self.conf, *words)

    def stop(self, osd):
        self.sh(self.spirula, 'stop', f'osd.{osd}', '--dir', self.dir)

    def start(self, osd):
        self.sh(self.spirula, 'start', f'osd.{osd}', '--dir', self.dir)

    def store(self, verb, osd, *words):
        self.sh(self.spirula, 'store', verb, '--dir', f'{self.dir}/osd.{osd}', *words)

    def acting_of(self, pool, name):
        return json.loads(self.ceph('osd', 'map', pool, name, '-f', 'json'))['acting']

    def pg(self, pgid):
        for pg in json.loads(self.ceph('pg', 'ls', '-f', 'json'))['pg_stats']:
            if pg['pgid'] == pgid:
                return pg
        return {'state': 'unknown', 'acting': []}

    def wait(self, what, secs=60):
        end = time.time() + secs
        while time.time() < end:
            if what():
                return True
            time.sleep(0.3)
        return False

    def wait_clean(self):
        clean = lambda: all(p['state'] == 'active+clean' for p in json.loads(self.ceph('pg', 'ls', '-f', 'json'))['pg_stats'])
        if not self.wait(clean, 90):
            raise RuntimeError('the cluster does not come clean')


class Case:
    """One pool with a few objects, one of which is going to be damaged."""

    def __init__(self, lab, name, size):
        self.lab, self.pool = lab, name.replace(' ', '_')
        lab.ceph('osd', 'pool', 'create', self.pool, '4', '4')
        lab.ceph('osd', 'pool', 'set', self.pool, 'size', str(size), *(['--yes-i-really-mean-it'] if size == 1 else []))
        lab.ceph('osd', 'pool', 'set', self.pool, 'min_size', '1')
        lab.ceph('osd', 'pool', 'application', 'enable', self.pool, 'rados')
        self.io = lab.cluster.open_ioctx(self.pool)
        self.data, self.omap = {}, {}
        for i in range(8):
            self.put(f'obj{i}', (f'{self.pool}/obj{i}/'.encode() * SIZE)[:SIZE])
        lab.wait_clean()
        m = json.loads(lab.ceph('osd', 'map', self.pool, 'obj3', '-f', 'json'))
        self.pgid, self.acting = m['pgid'], m['acting']

    def put(self, name, data):
        self.io.write_full(name, data)
        self.data[name] = data

    def patch(self, name, off, data):
        self.io.write(name, data, off)
        d = self.data[name]
        self.data[name] = d[:off] + data + d[off + len(data):]

    def offline(self, osd, act):
        self.lab.ceph('osd', 'set', 'noout')
        self.lab.stop(osd)
        act()
        self.lab.start(osd)
        self.lab.ceph('osd', 'unset', 'noout')
        self.lab.wait_clean()

    def flip(self, osd, name, off, mask=1):
        """Flips a bit of an object's data in the file that holds it."""
        block, needle = f'{self.lab.dir}/osd.{osd}/store/block', self.data[name][:4096]
        with open(block, 'r+b') as f:
            at, window = -1, b''
            size = os.fstat(f.fileno()).st_size
            for page in self.extents(f, size):
                f.seek(page)
                data = f.read(1 << 20)
                k = data.find(needle)
                if k >= 0:
                    at = page + k
            if at < 0:
                raise RuntimeError(f'{name} is not in {block}')
            f.seek(at + off)
            byte = f.read(1)[0]
            f.seek(at + off)
            f.write(bytes([byte ^ mask]))

    @staticmethod
    def extents(f, size):
        """The megabytes of a sparse file that hold something, with a block before each."""
        at = 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at &= ~4095
            yield at
            at += (1 << 20) - 4096

    def scrub(self, verb='deep-scrub'):
        before = self.lab.pg(self.pgid)['last_deep_scrub_stamp']
        self.lab.ceph('pg', verb, self.pgid)
        self.lab.wait(lambda: self.lab.pg(self.pgid)['last_deep_scrub_stamp'] != before, 60)
        # What the OSD found reaches the manager with its next report.
        time.sleep(1.5)

    def named(self):
        try:
            out = json.loads(self.lab.sh('rados', '-c', self.lab.conf, 'list-inconsistent-obj', self.pgid))
        except RuntimeError:
            return ''
        words = set()
        for i in out['inconsistents']:
            words |= set(i['errors']) | set(i['union_shard_errors'])
        if not words:
            out = json.loads(self.lab.sh('rados', '-c', self.lab.conf, 'list-inconsistent-snapset', self.pgid))
            words = {e for i in out['inconsistents'] for e in i['errors']}
        return ', '.join(sorted(words))

    def right(self):
        for name, data in self.data.items():
            try:
                if self.io.read(name, len(data) + 10) != data:
                    return f'{name} is WRONG'
            except rados.Error as e:
                return f'{name}: {e}'
        for name, pairs in self.omap.items():
            with rados.ReadOpCtx() as op:
                found, _ = self.io.get_omap_vals(op, '', '', 100)
                self.io.operate_read_op(op, name)
                if dict(found) != pairs:
                    return f'the omap of {name} is WRONG'
        return 'yes'

    def set_omap(self, name, pairs):
        with rados.WriteOpCtx() as op:
            self.io.set_omap(op, tuple(pairs), tuple(pairs.values()))
            self.io.operate_write_op(op, name)
        self.omap[name] = pairs

    def clone(self, name):
        """Gives an object a clone, by a snapshot of the pool."""
        self.io.create_snap('before')
        time.sleep(1)
        self.put(name, self.data[name][::-1])
        return 1

    def end(self):
        self.io.close()
        self.lab.ceph('osd', 'pool', 'rm', self.pool, self.pool, '--yes-i-really-really-mean-it')


def snapset_of_one(clone, size):
    """A snapset's bytes: one clone of this size, which shares nothing with the head."""
    u32, u64 = (lambda n: struct.pack('<I', n)), (lambda n: struct.pack('<Q', n))
    one = u32(1) + u64(clone)
    body = u64(clone) + b'\x01' + u32(0) + one + one + u32(0) + one + u64(size) + one + one
    return b'\x03\x02' + u32(len(body)) + body


def by_scrub(case, damage):
    """A person asks for a deep scrub, then for a repair."""
    damage()
    began = time.time()
    case.scrub()
    state, named = case.lab.pg(case.pgid)['state'], case.named()
    case.scrub('repair')
    clean = case.lab.wait(lambda: case.lab.pg(case.pgid)['state'] == 'active+clean', 30)
    took = time.time() - began
    return ('`pg deep-scrub`' if 'inconsistent' in state else 'NOT FOUND', named,
            '`pg repair`' if clean else 'NOT MENDED: ' + case.lab.pg(case.pgid)['state'], took, case.right())


def by_word(case, damage):
    """No copy is right: a repair says so and names the command, which asks before it does anything."""
    before = case.data['obj3']
    damage()
    began = time.time()
    case.scrub()
    named = case.named()
    case.scrub('repair')
    time.sleep(1.5)
    said = [f['commands'] for f in json.loads(case.lab.sh(case.lab.spirula, 'explain', '--dir', case.lab.dir, '-f', 'json'))['findings']]
    told = [c['command'] for commands in said for c in commands if 'rebuild_snapset' in c['command']]
    if not told:
        return '`pg deep-scrub`', named, 'NOT MENDED: explain names no command', 0, case.right()
    words = told[0].split()[1:]
    asked = subprocess.run(['ceph', '-c', case.lab.conf, *words], capture_output=True, text=True)
    if asked.returncode != 1 or 'clone 1 of 65536 bytes for snapshots 1' not in asked.stderr:
        return '`pg deep-scrub`', named, 'NOT MENDED: it does not ask: ' + asked.stderr, 0, case.right()
    case.lab.ceph(*words, '--yes-i-really-mean-it')
    clean = case.lab.wait(lambda: case.lab.pg(case.pgid)['state'] == 'active+clean', 30)
    took = time.time() - began
    case.io.set_read(case.io.lookup_snap('before').snap_id)
    right = 'yes' if case.io.read('obj3', SIZE) == before else 'the snapshot is WRONG'
    case.io.set_read(rados.LIBRADOS_SNAP_HEAD)
    mended = '`ceph tell PG rebuild_snapset obj3`, as `explain` says' if clean else 'NOT MENDED: ' + case.lab.pg(case.pgid)['state']
    return '`pg deep-scrub`', named, mended, took, case.right() if right == 'yes' else right


def by_read(case, damage):
    """A client reads; nobody does anything else."""
    damage()
    began = time.time()
    right = case.right()
    took = time.time() - began
    time.sleep(1.5)
    case.scrub()
    named = case.named()
    return 'a client\'s read', 'read error in the log', 'itself' if not named else 'NOT MENDED: ' + named, took, right


def by_start(case, damage):
    """The OSD is started on what is left; what it does not open is moved away, as its line says."""
    began = time.time()
    damage()
    case.scrub('repair')
    clean = case.lab.wait(lambda: case.lab.pg(case.pgid)['state'] == 'active+clean', 60)
    took = time.time() - began
    line = [l for l in case.refused.splitlines() if l.strip()]
    line = [re.sub(r'\x1b\[[0-9;]*m', '', l) for l in line]
    named = line[-1].split('ends: ')[-1].split('ERROR ')[-1].split('): ')[-1][:160] if line else ' '.join(case.repaired.split())[:160]
    return ('the OSD does not start' if case.refused else '`spirula store repair`'), named, \
        ('an empty store, filled from the others' if case.refused else '`pg repair`') if clean else 'NOT MENDED', took, case.right()


class Torn:
    """One OSD's folder on a file system that can refuse what the store asks of it."""

    def __init__(self, lab, osd, program):
        self.lab, self.osd = lab, osd
        place, backing = f'{lab.dir}/osd.{osd}', f'{lab.dir}/backing.{osd}'
        lab.ceph('osd', 'set', 'noout')
        lab.stop(osd)
        os.rename(place, backing)
        os.mkdir(place)
        self.p = subprocess.Popen([program, backing, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline().strip() != 'mounted':
            raise RuntimeError('spirula-tornfs does not mount')
        lab.start(osd)
        lab.wait_clean()

    def say(self, line):
        self.p.stdin.write(line + '\n')
        self.p.stdin.flush()
        if self.p.stdout.readline().strip() != 'done':
            raise RuntimeError('spirula-tornfs does not know ' + line)

    def end(self):
        self.p.stdin.close()
        self.p.wait(30)


def is_up(lab, osd):
    return [o for o in json.loads(lab.ceph('osd', 'dump', '-f', 'json'))['osds'] if o['osd'] == osd][0]['up']


def comes_back(case, torn, right):
    """The disk is well again, and the OSD that left started: the PG's state, and whether the data is right as before."""
    torn.say('heal')
    case.lab.start(torn.osd)
    case.lab.wait_clean()
    case.scrub()
    return case.lab.pg(case.pgid)['state'], right if right != 'yes' else case.right()


def by_refusal(fault):
    """The disk refuses; clients go on writing, and all that they were told is kept must be there."""
    def play(case, torn):
        lab, log = case.lab, f'{case.lab.dir}/log/osd.{torn.osd}.log'
        seen = len(open(log).read())
        torn.say(fault)
        began, n, left = time.time(), 0, None
        while time.time() - began < 60 and (left is None or n < 40):
            case.put(f'w{n % 50}', f'{fault}/{n}/'.encode() * 8000)
            n += 1
            if left is None and n % 5 == 0 and not is_up(lab, torn.osd):
                left = time.time() - began
        right = case.right()
        said = [line for line in open(log).read()[seen:].splitlines() if 'the store failed' in line]
        state, right = comes_back(case, torn, right)
        found = 'the OSD itself' if left is not None and len(said) == 1 else 'NOT FOUND'
        named = 'the store failed: disk, file and what to do, in one line' if said and 'Check the disk' in said[0] else 'NOT NAMED'
        mended = 'leaves at once; its next start' if state == 'active+clean' else 'NOT MENDED: ' + state
        return found, named, mended, left or 60, right
    return play


def by_refused_read(case, torn):
    """The disk gives nothing back, not even what is written anew: others answer clients, and the OSD leaves."""
    lab = case.lab
    # A new process, and nothing in the page cache: what is read comes from the disk.
    lab.stop(torn.osd)
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('1')
    lab.start(torn.osd)
    lab.wait_clean()
    lab.ceph('osd', 'primary-affinity', str(torn.osd), '1')
    log = f'{lab.dir}/log/osd.{torn.osd}.log'
    seen = len(open(log).read())
    torn.say('fail read store/block')
    began = time.time()
    right = case.right()
    left = lab.wait(lambda: not is_up(lab, torn.osd), 30)
    took = time.time() - began
    said = [line for line in open(log).read()[seen:].splitlines() if 'cannot be read back' in line]
    state, right = comes_back(case, torn, right)
    found = "a client's read" if left and len(said) == 1 else 'NOT FOUND'
    named = 'read error in the log; then: written anew 3 times and cannot be read back' if said else 'NOT NAMED'
    mended = 'others answer; it leaves; its next start' if state == 'active+clean' else 'NOT MENDED: ' + state
    return found, named, mended, took, right


def by_slowness(fault):
    """The disk becomes slow. `explain` must name it, and what it calls safe first must make clients quick again."""
    def play(case, torn):
        lab, osd = case.lab, torn.osd
        lab.ceph('config', 'set', 'osd', 'osd_op_complaint_time', '1')
        same = [n for n in (f'w{i}' for i in range(60)) if osd in lab.acting_of(case.pool, n)][:12]

        def slowest(secs):
            took, end = 0, time.time() + secs
            while time.time() < end:
                for name in same:
                    began = time.time()
                    case.put(name, f'{fault}/{began}/'.encode() * 800)
                    took = max(took, time.time() - began)
            return took

        usual = slowest(1)
        torn.say(fault)
        began, named, health, slow = time.time(), None, '', 0
        while time.time() - began < 60 and not (named and health):
            slow = max(slow, slowest(2))
            all_of_it = json.loads(lab.sh(lab.spirula, 'explain', '--dir', lab.dir, '-f', 'json'))['findings']
            named = named or next((f for f in all_of_it if f'The disk of osd.{osd} is slow' in f['sentence']), None)
            slow_ops = json.loads(lab.ceph('health', 'detail', '-f', 'json'))['checks'].get('SLOW_OPS')
            health = health or (slow_ops and slow_ops['summary']['message'])
        took = time.time() - began
        if not named:
            return 'NOT FOUND', '', 'NOT MENDED', took, case.right()
        # What a person would do: the first thing that is called safe.
        advice = next(x['command'] for x in named['commands'] if x['safe'] == 'yes')
        tool, *words = advice.split()
        lab.ceph(*words) if tool == 'ceph' else lab.sh(lab.spirula, *words, '--dir', lab.dir)
        lab.wait(lambda: not is_up(lab, osd), 30)
        after, right = slowest(3), case.right()
        lab.ceph('config', 'rm', 'osd', 'osd_op_complaint_time')
        state, right = comes_back(case, torn, right)
        found = '`spirula explain`' + (', SLOW_OPS' if health else '')
        ok = state == 'active+clean' and after < slow / 4
        mended = f'`{advice}`: a write took up to {slow:.1f} s, then {after:.2f} s' + ('' if ok else f' NOT MENDED ({usual:.2f} s before): {state}')
        return found, re.sub(r'[0-9.]+ ms', 'N ms', named['sentence']), mended, took, right
    return play


def main():
    a = argparse.ArgumentParser()
    a.add_argument('--spirula', default=os.environ.get('SPIRULA', 'target/release/spirula'))
    a.add_argument('--dir', default='/tmp/spirula-damage')
    a.add_argument('--port', default='15400')
    a.add_argument('--tornfs', default=os.path.join(os.path.dirname(os.environ.get('SPIRULA', 'target/release/x')), 'spirula-tornfs'))
    a.add_argument('--only')
    a.add_argument('--write')
    args = a.parse_args()
    lab = Lab(args)
    lab.up()

    # Name, copies, how it comes to light, and the damage itself.
    def primary_lost(c): c.offline(c.acting[0], lambda: lab.store('remove-object', c.acting[0], c.pgid, 'obj3', '--yes'))
    def replica_lost(c): c.offline(c.acting[-1], lambda: lab.store('remove-object', c.acting[-1], c.pgid, 'obj3', '--yes'))
    def primary_other(c): c.offline(c.acting[0], lambda: lab.store('corrupt-object', c.acting[0], c.pgid, 'obj3'))
    def replica_other(c): c.offline(c.acting[-1], lambda: lab.store('corrupt-object', c.acting[-1], c.pgid, 'obj3'))
    def replica_bit(c): c.offline(c.acting[-1], lambda: c.flip(c.acting[-1], 'obj3', 77))
    def primary_bit(c): c.offline(c.acting[0], lambda: c.flip(c.acting[0], 'obj3', 77))
    def late_bit(c): c.offline(c.acting[-1], lambda: c.flip(c.acting[-1], 'obj3', 4095, 128))

    def two_objects(c):
        same = [n for n in c.data if json.loads(lab.ceph('osd', 'map', c.pool, n, '-f', 'json'))['pgid'] == c.pgid]
        while len(same) < 2:
            name = f'more{len(c.data)}'
            c.put(name, (f'{c.pool}/{name}/'.encode() * SIZE)[:SIZE])
            if json.loads(lab.ceph('osd', 'map', c.pool, name, '-f', 'json'))['pgid'] == c.pgid:
                same.append(name)
        c.offline(c.acting[0], lambda: lab.store('corrupt-object', c.acting[0], c.pgid, same[0]))
        c.offline(c.acting[-1], lambda: lab.store('corrupt-object', c.acting[-1], c.pgid, same[1]))

    def written_upon(c):
        """The digest in the object's info is void after a partial write; two of three copies agree."""
        c.patch('obj3', 100, b'later')
        replica_other(c)

    def write_on_bad(c):
        """A block that rotted is partly written before anybody reads it."""
        primary_bit(c)
        c.patch('obj3', 1000, b'beside it')

    def damaged_file(c, name, act, end='stop'):
        """Something happens to a file of the store; an OSD that does not open it says so in one line, and starts anew."""
        osd = c.acting[-1]
        lab.ceph('osd', 'set', 'noout')
        lab.sh(lab.spirula, end, f'osd.{osd}', '--dir', lab.dir)
        store = f'{lab.dir}/osd.{osd}/store'
        with open(f'{store}/{name}', 'r+b') as f:
            act(f)
        c.repaired = lab.sh(lab.spirula, 'store', 'repair', '--dir', f'{lab.dir}/osd.{osd}', check=False)
        started = subprocess.run([lab.spirula, 'start', f'osd.{osd}', '--dir', lab.dir], capture_output=True, text=True)
        c.refused = (started.stderr or started.stdout).strip() if started.returncode else ''
        if not c.refused and not lab.wait(lambda: is_up(lab, osd), 15):
            c.refused = [l for l in open(f'{lab.dir}/log/osd.{osd}.log').read().splitlines() if 'ERROR' in l][-1]
        if c.refused:
            # What the line says: away with it, and filled from the others.
            os.rename(store, f'{store}.bad.{c.pool}')
            lab.start(osd)
        lab.ceph('osd', 'unset', 'noout')
        lab.wait_clean()

    def cut(c, name, to): damaged_file(c, name, lambda f: f.truncate(to))

    def flip_row(c):
        """A bit of a metadata row, where the name of an object is."""
        def act(f):
            all_of_it, at = f.read(), -1
            # The file keeps old versions of its pages: each is hit.
            while (at := all_of_it.find(b'obj3', at + 1)) >= 0:
                f.seek(at + 44)
                f.write(bytes([all_of_it[at + 44] ^ 16]))
        damaged_file(c, 'kv', act)

    def flip_log(c):
        """A bit of what is in the log only, with more behind it."""
        for n in range(30):
            c.put(f'log{n}', f'in the log/{n}/'.encode() * 250)

        def act(f):
            all_of_it = f.read()
            at = all_of_it.find(b'in the log/3/')
            if at < 0:
                raise RuntimeError('the log does not hold the object')
            f.seek(at + 20)
            f.write(bytes([all_of_it[at + 20] ^ 4]))
        damaged_file(c, 'wal', act, end='kill')

    def attribute(c): c.offline(c.acting[0], lambda: lab.store('corrupt-object', c.acting[0], c.pgid, 'obj3', '--what', 'attr'))
    def snapset(c): c.offline(c.acting[0], lambda: lab.store('corrupt-object', c.acting[0], c.pgid, 'obj3', '--what', 'snapset'))

    def info(c): c.offline(c.acting[0], lambda: lab.store('corrupt-object', c.acting[0], c.pgid, 'obj3', '--rm-attr', '_'))

    def omap_key(c, osd):
        c.set_omap('obj3', {'one': b'1', 'two': b'2' * 1000})
        c.offline(osd, lambda: lab.store('corrupt-object', osd, c.pgid, 'obj3', '--what', 'omap'))

    def snapset_everywhere(c):
        c.clone('obj3')
        for osd in c.acting:
            c.offline(osd, lambda: lab.store('corrupt-object', osd, c.pgid, 'obj3', '--set-attr', 'snapset', '58'))

    def clone_size(c):
        """All copies of the snapset say the same wrong size of a clone."""
        c.clone('obj3')
        wrong = snapset_of_one(1, SIZE - 1)
        for osd in c.acting:
            c.offline(osd, lambda: lab.store('corrupt-object', osd, c.pgid, 'obj3', '--set-attr', 'snapset', wrong.hex()))

    cases = [
        ('the object is lost on a replica', 3, by_scrub, replica_lost),
        ('the object is lost on the primary', 3, by_scrub, primary_lost),
        ('other bytes on a replica, checksums valid', 3, by_scrub, replica_other),
        ('other bytes on the primary, checksums valid', 3, by_scrub, primary_other),
        ('other bytes on the primary of two copies', 2, by_scrub, primary_other),
        ('the object is lost on the primary of two', 2, by_scrub, primary_lost),
        ('other bytes, and the info has no digest', 3, by_scrub, written_upon),
        ('two copies bad, in different objects', 3, by_scrub, two_objects),
        ('a bit flips on a replica', 3, by_scrub, replica_bit),
        ('the last bit of a block flips on a replica', 3, by_scrub, late_bit),
        ('a bit flips on one of two copies', 2, by_scrub, replica_bit),
        ('a bit flips on the primary', 3, by_read, primary_bit),
        ('a bit flips on the primary of two copies', 2, by_read, primary_bit),
        ('a bit flips, and its block is written upon', 3, by_read, write_on_bad),
        ('an attribute too many on the primary', 3, by_scrub, attribute),
        ('the snapset of the primary makes no sense', 3, by_scrub, snapset),
        ('the info of the primary is gone', 3, by_scrub, info),
        ('a key of the omap has another value on a replica', 3, by_scrub, lambda c: omap_key(c, c.acting[-1])),
        ('a key of the omap has another value on the primary', 3, by_scrub, lambda c: omap_key(c, c.acting[0])),
        ('all copies of a snapset tell a wrong size of a clone', 3, by_scrub, clone_size),
        ('no copy of a snapset makes sense', 3, by_word, snapset_everywhere),
        ('a bit flips in the metadata of a stopped OSD', 3, by_start, flip_row),
        ('a bit flips in the log of a killed OSD', 3, by_start, flip_log),
        ('the metadata file is cut to nothing', 3, by_start, lambda c: cut(c, 'kv', 0)),
        ('the metadata file is cut in half', 3, by_start, lambda c: cut(c, 'kv', 65536)),
        ('the data file is cut to nothing', 3, by_start, lambda c: cut(c, 'block', 0)),
        ('the data file is cut after 64 KiB', 3, by_start, lambda c: cut(c, 'block', 65536)),
    ]
    refusals = [
        ('its log cannot be written (EIO)', 3, by_refusal('fail write store/wal')),
        ('its log cannot be synced (EIO)', 3, by_refusal('fail sync store/wal')),
        ('its data cannot be synced (EIO)', 3, by_refusal('fail sync store/block')),
        ('its data cannot be read (EIO)', 3, by_refused_read),
        ('its disk becomes slow: 1.5 s a sync', 3, by_slowness('slow sync store/wal 1500')),
    ]
    rows, failed, torn = [], False, None
    for i, (name, size, how, *damage) in enumerate(cases + refusals):
        if args.only and args.only not in name:
            continue
        case = Case(lab, f'case{i}', size)
        try:
            if damage:
                row = how(case, lambda: damage[0](case))
            else:
                torn = torn or Torn(lab, 1, args.tornfs)
                row = how(case, torn)
        except Exception as e:
            row = ('FAILED', str(e)[:200].replace('\n', ' '), '', 0, '')
        bad = row[4] != 'yes' or 'NOT' in row[0] + row[2] or row[0] == 'FAILED'
        failed |= bad
        rows.append((name, size) + row)
        print('FAIL' if bad else 'ok  ', name, '|', *row, flush=True)
        case.end()
    lab.down()
    if torn:
        torn.end()
    if args.write:
        with open(args.write, 'w') as f:
            f.write('# Damage, and what becomes of it\n\n')
            f.write('Made by `tests/damage/run.py` on a cluster of three OSDs on one machine, through real sockets and files.\n')
            f.write('The time is from the moment the damaged OSD is back to the moment all is seen to be mended; with scrub and repair by command it is mostly that of a dozen runs of `ceph`, here on a busy machine. Of a disk that refuses it is how long the OSD was still up, of a slow one how long it took until both health and `explain` named it (`osd_op_complaint_time` is 1 s there).\n\n')
            f.write('| what is wrong | copies | found by | named as | mended by | seconds | data right |\n|---|---|---|---|---|---|---|\n')
            for name, size, found, named, mended, took, right in rows:
                f.write(f'| {name} | {size} | {found} | {named} | {mended} | {took:.1f} | {right} |\n')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
