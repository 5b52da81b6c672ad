"""Answers of hundreds of commands, beside those that were recorded from Ceph 16.2.15 (answers.py)."""
import tempfile

import answers
from cluster import Cluster

TESTS = []


def test(f):
    TESTS.append(f)
    f.own_cluster = True
    return f


@test
def crush_and_osd_commands_answer_as_ceph_does(t):
    with Cluster(t.binary, options=('--osds', '4'), fast=False) as cluster:
        player = answers.Player(cluster.conf)
        wrong, count = [], 0
        for suite in answers.SUITES:
            found, n = answers.check(player, suite)
            wrong, count = wrong + found, count + n
    assert not wrong, '%d of %d answers differ:\n%s' % (len(wrong), count, '\n'.join(wrong))


@test
def crush_maps_are_interchangeable_with_crushtool(t):
    """What either compiles, the other reads; both try it out alike."""
    with tempfile.TemporaryDirectory() as folder:
        text, theirs, ours = folder + '/map.txt', folder + '/theirs', folder + '/ours'
        source = open(answers.HERE + '/base.txt').read()
        source = source.replace('device 0 osd.0', 'device 0 osd.0 class ssd').replace(
            'step take default', 'step take default class ssd')
        open(text, 'w').write(source)
        run = lambda *args: answers.run_program(*args)
        run('crushtool', '-c', text, '-o', theirs)
        run(t.binary, 'crush', 'compile', text, '-o', ours)
        assert open(ours, 'rb').read() == open(theirs, 'rb').read(), 'the compiled maps differ'
        assert run(t.binary, 'crush', 'decompile', theirs) == run('crushtool', '-d', ours)
        for shown in ('--show-mappings', '--show-bad-mappings', '--show-statistics', '--show-utilization'):
            args = ('--num-rep', '3', '--min-x', '0', '--max-x', '200', '--weight', '2', '0.5', shown)
            want = run('crushtool', '-i', theirs, '--test', '--rule', '0', *args)
            got = run(t.binary, 'crush', 'test', ours, '--rule', '0', *args)
            assert got == want, (shown, want[:500], got[:500])
