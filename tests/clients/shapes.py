#!/usr/bin/python3
"""The shape of Ceph's JSON answers: keys and nesting, without values.

    shapes.py RECORDED_FOLDER...     writes shapes/*.json from recorded outputs (folders with an INDEX.json)

A shape is "num", "str", "bool", "null" or "any"; [shape of every element]; {key: shape}, where "key?" may be absent;
or {"*": shape} for a map whose keys are data (a pool's name, a health check's code).
Several recordings of one command are joined: what only some have is optional.
"""
import gzip
import json
import os
import sys

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'shapes')
#: What of the recordings a plain cluster answers, and whose answers are compared.
COMMANDS = '''
-s|status|health|health detail|df|df detail|osd tree|osd df|osd df tree|osd dump|osd stat|osd ls|osd find 0|osd metadata
osd metadata 0|osd perf|osd pool ls|osd pool ls detail|osd pool get POOL all|osd pool get POOL size|osd pool stats
osd lspools|osd crush tree|osd crush tree --show-shadow|osd crush dump|osd crush rule ls|osd crush rule dump
osd crush class ls|osd map POOL obj1|osd getmaxosd|osd pool get-quota POOL|osd pool application get POOL
osd versions|mon versions|mgr versions|osd count-metadata osd_objectstore|pg stat|pg dump|pg dump pgs_brief|pg dump summary
pg dump osds|pg dump pools|pg dump sum|pg ls|pg ls-by-pool POOL|pg ls-by-osd osd.0|pg ls-by-primary osd.0|pg dump_stuck
pg dump_stuck unclean|pg map PG|pg PG query|mon dump|mon stat|mon metadata|quorum_status|mgr dump|mgr stat|mgr services
config-key ls|config-key dump|auth ls|time-sync-status|service dump|versions|features|fsid|config dump|config show osd.0
log last|log last 5|tell osd.0 version|tell mon.a version|tell osd.0 config get osd_heartbeat_grace|tell osd.0 status|node ls
'''
#: Maps whose keys are data, as path endings.
MAPS = ('health.checks', 'checks', 'mon', 'osd', 'mgr', 'mds', 'overall', 'services', 'pool_map', 'application_metadata',
        'options', 'removed_snaps_queue', 'addrvec_by', 'always_on_modules', 'available_modules', 'blocklist', 'features',
        'choose_args', 'daemons', 'erasure_code_profiles', 'active_clients', 'metadata')
#: What a daemon tells of its machine and its store depends on both.
OF_THE_MACHINE = ('bluefs', 'bluestore', 'device', 'default_device', 'network_numa', 'objectstore_numa', 'container',
                  'osdspec', 'journal_', 'ceph_version_when', 'created_at', 'back_iface', 'front_iface', 'mem_')
#: What an answer holds only while there is something to tell.
SOMETIMES = ('read_bytes_sec', 'write_bytes_sec', 'read_op_per_sec', 'write_op_per_sec', 'unknown_pgs_ratio',
             'inactive_pgs_ratio', 'degraded_objects', 'degraded_total', 'degraded_ratio', 'misplaced_objects',
             'misplaced_total', 'misplaced_ratio', 'recovering_objects_per_sec', 'recovering_bytes_per_sec',
             'recovering_keys_per_sec', 'num_objects_recovered', 'num_bytes_recovered', 'num_keys_recovered')
#: Commands whose answer is itself a map with data for keys.
MAP_ANSWERS = ('osd pool application get', 'osd versions', 'mon versions', 'mgr versions', 'osd count-metadata',
               'config-key dump', 'osd blocklist', 'osd metadata', 'mon metadata', 'mgr services')


def commands():
    return [c.strip() for line in COMMANDS.split('\n') for c in line.split('|') if c.strip()]


def file_of(command):
    return os.path.join(HERE, command.replace(' ', '_').replace('.', '-') + '.json')


def shape(value, path=(), is_map=False):
    if value is None:
        return 'null'
    if isinstance(value, bool):
        return 'bool'
    if isinstance(value, (int, float)):
        return 'num'
    if isinstance(value, str):
        return 'str'
    if isinstance(value, list):
        joined = None
        for x in value:
            joined = join(joined, shape(x, path + ('[]',)))
        return ['any' if joined is None else joined]
    if is_map or (path and path[-1] in MAPS):
        joined = None
        for x in value.values():
            joined = join(joined, shape(x, path + ('*',)))
        return {'*': 'any' if joined is None else joined}
    return {k: shape(v, path + (k,)) for k, v in value.items()}


def join(a, b):
    """What both are shapes of."""
    if a is None or a == b:
        return b
    if b is None:
        return a
    if a in ('any', 'null'):
        return b if a == 'null' else 'any' if not isinstance(b, (list, dict)) else b
    if b in ('any', 'null'):
        return join(b, a)
    if isinstance(a, list) and isinstance(b, list):
        return [join(a[0], b[0])]
    if isinstance(a, dict) and isinstance(b, dict):
        if '*' in a or '*' in b:
            joined = None
            for part in (a, b):
                for v in part.values():
                    joined = join(joined, v)
            return {'*': joined}
        out = {}
        for k in list(a) + [k for k in b if k not in a]:
            bare = k.rstrip('?')
            if bare in out or bare + '?' in out:
                continue
            va, vb = (s.get(bare, s.get(bare + '?')) for s in (a, b))
            out[bare if bare in a and bare in b else bare + '?'] = join(va, vb)
        return out
    return 'any'


def differences(want, value, path='$'):
    """What of a value is not in the shape, a line each."""
    if want == 'any' or value is None:
        return []
    if isinstance(want, list):
        if not isinstance(value, list):
            return ['%s: want a list, got %s' % (path, type(value).__name__)]
        return [d for i, x in enumerate(value[:200]) for d in differences(want[0], x, '%s[%d]' % (path, i))][:5]
    if isinstance(want, dict):
        if not isinstance(value, dict):
            return ['%s: want an object, got %s' % (path, type(value).__name__)]
        if '*' in want:
            return [d for k, x in value.items() for d in differences(want['*'], x, '%s.%s' % (path, k))][:5]
        want = {**{k + '?': 'num' for k in SOMETIMES if k not in want}, **want}
        out = ['%s: lacks "%s"' % (path, k) for k in want if not k.endswith('?') and k not in value
               and k not in SOMETIMES]
        out += ['%s: has "%s", which Ceph does not' % (path, k) for k in value if k not in want and k + '?' not in want]
        for k, x in value.items():
            inner = want.get(k, want.get(k + '?'))
            if inner is not None:
                out += differences(inner, x, '%s.%s' % (path, k))
        return out
    got = shape(value)
    if want == 'null' or got == want:
        return []
    return ['%s: want %s, got %s' % (path, want, got if isinstance(got, str) else type(value).__name__)]


def loose(want):
    """The same without what depends on the machine: joined with the original, that becomes optional."""
    if isinstance(want, list):
        return [loose(want[0])]
    return {k: v for k, v in want.items() if not k.startswith(OF_THE_MACHINE)} if isinstance(want, dict) else want


def parse(text):
    """The JSON of an answer, whose first line may be a note."""
    text = text.strip()
    return json.loads(text) if text else None


def main(folders):
    recorded = {}
    for folder in folders:
        for entry in json.load(open(os.path.join(folder, 'INDEX.json'))):
            cmd = entry['cmd']
            if entry['rc'] == 0 and cmd.startswith('ceph ') and cmd.endswith(' --format json'):
                path = os.path.join(folder, entry['file'])
                data = (gzip.open if path.endswith('.gz') else open)(path, 'rb').read().decode()
                words = cmd[5:-len(' --format json')].split()
                generic = ['POOL' if w == 'rbdpool' else 'PG' if w.count('.') == 1 and w[0] == '1' else w for w in words]
                recorded.setdefault(' '.join(generic), []).append(data)
    os.makedirs(HERE, exist_ok=True)
    for command in commands():
        joined = None
        for text in recorded.get(command, []):
            try:
                joined = join(joined, shape(parse(text), is_map=command.startswith(MAP_ANSWERS) and command[-1] != '0'))
            except ValueError:
                pass
        if joined is None:
            print('not recorded: ceph', command)
            continue
        if 'metadata' in command or 'find' in command:
            joined = join(joined, loose(joined))
        with open(file_of(command), 'w') as f:
            json.dump(joined, f, indent=1, sort_keys=True)
            f.write('\n')


if __name__ == '__main__':
    main(sys.argv[1:])
