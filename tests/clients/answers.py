#!/usr/bin/python3
"""Commands with their answers, recorded from real Ceph: exit status, words and output, errors above all.

    answers.py record CEPH.CONF [SUITE…]     plays answers/SUITE.txt against real Ceph and writes answers/SUITE.json
    answers.py check CEPH.CONF [SUITE…]      plays them against another cluster and prints what differs

A suite is a list of commands, in order, for a cluster of four OSDs with nothing in it. A line may start with a mark:
`-` only the exit status counts, `~` of the output only the shape, `+` ours may say more behind Ceph's words,
`!` ours refuses what Ceph takes (not sent to Ceph), `#` a remark; `@ clean` waits until every PG is active+clean.
Where Ceph says nothing but an errno's name, any words will do. `{a}` stands for the id of pool a, `-i FILE` takes a
file of answers/. `| grep RE` keeps matching lines, `| names` only the words that name an OSD or a bucket.

The commands go the way that `ceph` sends them (ceph_argparse with the cluster's own descriptions, then librados), in
one process: a suite takes seconds. What differs from run to run (epochs, addresses, stamps) is replaced by a word.
"""
import contextlib
import errno
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time

import shapes

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'answers')
SUITES = ('crush', 'osd')


class Player:
    def __init__(self, conf):
        import rados
        self.cluster = rados.Rados(conffile=conf)
        self.cluster.connect(timeout=30)
        self.pools = {}
        self.signatures = {}

    def describe(self, target):
        import ceph_argparse
        if target not in self.signatures:
            _, out, _ = ceph_argparse.json_command(self.cluster, target=target, prefix='get_command_descriptions')
            self.signatures[target] = ceph_argparse.parse_json_funcsigs(out.decode(), 'cli')
        return self.signatures[target]

    def run(self, line):
        """Exit status, what goes to stderr, what goes to stdout."""
        import ceph_argparse
        line = re.sub(r'\{(\w+)\}', lambda m: str(self.pools[m.group(1)]), line)
        words, data, form = shlex.split(line, posix='{' not in line), b'', None
        if '-i' in words:
            at = words.index('-i')
            data = open(os.path.join(HERE, words[at + 1]), 'rb').read()
            del words[at:at + 2]
        if '-f' in words:
            at = words.index('-f')
            form = words[at + 1]
            del words[at:at + 2]
        target = ('mon', '')
        if words[0] == 'pg' and re.match(r'\d+\.', words[1]):
            target = ('pg', words[1])
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                valid = ceph_argparse.validate_command(self.describe(target), words)
        except Exception as e:
            return errno.EINVAL, 'no description: %s' % e, b''
        if not valid:
            return errno.EINVAL, 'Invalid command: ' + said.getvalue().split('\n')[0], b''
        valid['format'] = form
        if form is None:
            del valid['format']
        r, out, says = ceph_argparse.json_command(self.cluster, target=target, argdict=valid, inbuf=data, timeout=20)
        if words[:3] == ['osd', 'pool', 'create'] and r == 0:
            # Not by librados, whose map may be an older one with another pool of the name.
            _, _, known = self.run('osd lspools -f json')
            self.pools.update((p['poolname'], p['poolnum']) for p in json.loads(known))
        return -r, says, out

    def wait_clean(self, limit=60):
        give_up = time.time() + limit
        while time.time() < give_up:
            _, _, out = self.run('pg ls -f json')
            _, _, stat = self.run('osd stat -f json')
            stat, pgs = json.loads(stat), json.loads(out or b'{}').get('pg_stats', [])
            if pgs and all(p['state'] == 'active+clean' for p in pgs) and stat['num_up_osds'] >= 4:
                return
            time.sleep(0.5)
        print('not clean after %d s' % limit, file=sys.stderr)

    def plain(self, text, pgs):
        """Without what differs from run to run. `pgs`: the text may name PGs."""
        for name, number in self.pools.items() if pgs else ():
            text = re.sub(r'(?<![\w.:])%d\.(?=[0-9a-f]+\b)' % number, '{%s}.' % name, text)
        for pattern, word in (
                (r'\b(?!11111111)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b', 'UUID'),
                (r'\b(epoch|e) ?\d+', r'\1 N'), (r'\bosdmap e \w+', 'osdmap eN'), (r'"epoch": ?\d+', '"epoch": N'),
                (r'\d{4}-\d\d-\d\d[T ][\d:.]+([+-]\d{4}|Z)?', 'STAMP'), (r'\[v2:[^\]]*\]', 'ADDR'),
                (r'(v[12]:)?\d+\.\d+\.\d+\.\d+:\d+(/\d+)?', 'ADDR'), (r'crush version \d+', 'crush version N'),
                (r'\b(up_from|up_thru|down_at|last_clean_interval|lost_at) \S+', r'\1 N'),
                (r'prior_version \d+', 'prior_version N')):
            text = re.sub(pattern, word, text)
        return text

    def answer(self, mark, line):
        command, _, pipe = line.partition(' | ')
        rc, err, out = self.run(command)
        out = out.decode(errors='replace') if command != 'osd getcrushmap' else out.hex()
        pipe = pipe.split(' ', 1)
        if pipe[0] == 'grep':
            out = ''.join(x + '\n' for x in out.split('\n') if re.search(pipe[1], x))
        elif pipe[0] == 'names':
            out = ' '.join(w for w in out.split() if re.match(r'(osd\.\d|h\d|r\d|default)', w))
        err = re.sub(r'^\d+$', 'NUMBER', err)
        pgs = re.search(r'\bpg\b|pg-|-pg|-temp|ok-to-stop|safe-to', command)
        got = dict(cmd=line, rc=rc, mark=mark)
        if mark != '-':
            got['err'] = self.plain(err, pgs)
        if '-f json' in command and (mark == '~' or pipe[0] == 'shape'):
            got['shape'] = shapes.shape(shapes.parse(out)) if rc == 0 and out else ''
        elif '-f json' in command and rc == 0:
            out = self.plain(out, pgs)
            try:
                got['json'] = json.loads(out.replace('"epoch": N', '"epoch": 0'))
            except ValueError:
                got['out'] = out
        elif mark == '~':
            got['shape'] = re.sub(r'[-+]?\d[\d.]*', '0', re.sub(r'[ -]+', ' ', out.split('\n')[0]))
        elif mark != '-':
            got['out'] = self.plain(out, pgs)
        return got


def lines(suite):
    for line in open(os.path.join(HERE, suite + '.txt')):
        line = line.strip()
        if not line or line[0] == '#':
            continue
        mark, rest = (line[0], line[2:]) if line[0] in '-~@+!' and line[1:2] == ' ' else (' ', line)
        yield mark, rest


def play(player, suite, recording=False):
    for mark, line in lines(suite):
        if mark == '@':
            player.wait_clean()
        elif mark == '!' and recording:
            yield dict(cmd=line, rc='refused')
        else:
            yield player.answer(mark, line)


def fits(want, got, mark):
    """Whether ours says what Ceph says. Where that is an errno's name, something better will do."""
    told = re.sub(r'(^|: )\(\d+\) [A-Z][a-z ]+$', '', want)
    return got == want or (mark == '+' or told != want) and got.startswith(told)


def differences(want, got):
    if want['rc'] == 'refused':
        if got['rc'] == 0:
            yield 'rc', 'refused', 0
        return
    for key in want:
        same = fits(want[key], got[key], got['mark']) if key == 'err' else want[key] == got.get(key)
        if not same:
            yield key, want[key], got.get(key)


def check(player, suite):
    """What differs from the recorded answers, as text."""
    recorded = json.load(open(os.path.join(HERE, suite + '.json')))
    wrong = []
    for want, got in zip(recorded, play(player, suite)):
        found = list(differences(want, got))
        if found:
            wrong.append('ceph %s\n' % want['cmd'] + '\n'.join(
                '    %s\n      Ceph: %s\n      ours: %s' % (k, show(a, b), show(b, a)) for k, a, b in found))
    return wrong, len(recorded)


def show(value, other):
    if isinstance(value, (dict, list)) and isinstance(other, (dict, list)):
        return '\n            '.join(part for part in parts(value, other))[:1500]
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace('\n', '\n            ')[:1500]


def parts(a, b, path='$'):
    """Where two trees differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in a:
            if k not in b:
                yield '%s.%s: %s' % (path, k, json.dumps(a[k])[:120])
            else:
                yield from parts(a[k], b[k], path + '.' + k)
        if list(a) != list(b) and set(a) == set(b):
            yield path + ': order of keys'
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield '%s: %d elements: %s' % (path, len(a), json.dumps(a)[:300])
        for i, (x, y) in enumerate(zip(a, b)):
            yield from parts(x, y, '%s[%d]' % (path, i))
    elif a != b:
        yield '%s: %s' % (path, json.dumps(a))


def run_program(*args):
    """What a program prints; it must succeed."""
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, '%s: %s' % (' '.join(args), done.stderr.decode()[-500:])
    return done.stdout.decode()


def main():
    what, conf, suites = sys.argv[1], sys.argv[2], sys.argv[3:] or SUITES
    player, status = Player(conf), 0
    for suite in suites:
        if what == 'record':
            with open(os.path.join(HERE, suite + '.json'), 'w') as f:
                answers = list(play(player, suite, True))
                f.write('[\n' + ',\n'.join(json.dumps({k: v for k, v in a.items() if k != 'mark'}) for a in answers) + '\n]\n')
            print('%s: %d answers' % (suite, len(answers)))
        else:
            wrong, n = check(player, suite)
            print('\n'.join(wrong))
            print('%s: %d of %d answers differ' % (suite, len(wrong), n))
            status = status or bool(wrong)
    return status


if __name__ == '__main__':
    sys.exit(main())
