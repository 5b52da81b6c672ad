"""`spirula explain` on a cluster that runs: well, without enough copies, without a monitor."""
import json
import os

from cluster import Cluster

TESTS = []


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


def causes(c, *words):
    said = json.loads(c.spirula('explain', *words, '-f', 'json').out)
    return {f['cause']: f for f in said['findings']}


@test
def a_healthy_cluster_and_its_parts_get_a_short_true_answer(t):
    with Cluster(t.binary) as c:
        c.pool('data', pgs=2)
        c.wait_clean()
        c.wait('nothing to tell', lambda: not causes(c))
        assert 'nothing is wrong; 3 of 3 OSDs up, all 2 PGs serve' in c.spirula('explain').text
        assert 'active+clean' in c.spirula('explain', '1.0').text
        assert 'may be stopped now' in c.spirula('explain', 'osd.1').text
        assert '2 of 2 PGs are active+clean' in c.spirula('explain', 'data').text
        assert 'is not raised' in c.spirula('explain', 'PG_DAMAGED').text
        for nonsense in ('1.7', '9.0', 'osd.9', 'no-such-thing'):
            unknown = c.spirula('explain', nonsense, rc=2)
            assert unknown.text == '' and unknown.errors.startswith('spirula: '), unknown


@test
def what_is_called_safe_brings_waiting_clients_back(t):
    with Cluster(t.binary, options=['--set', 'mon_osd_down_out_interval=0']) as c:
        c.pool('data', pgs=2)
        c.wait_clean()
        c.rados('-p', 'data', 'put', 'it', '-', data=b'kept')
        c.kill('osd.1')
        c.kill('osd.2')
        found = c.wait('PGs below min_size', lambda: causes(c).get('below-min-size'))
        assert found['pgs'] == ['1.0', '1.1'] and not found['waiting']['helps'], found
        by_hand = {k['command']: k['safe'] for k in found['commands']}
        assert by_hand['ceph osd pool set data min_size 1'] == 'no', by_hand
        safe = sorted(command for command, verdict in by_hand.items() if verdict == 'yes')
        assert safe == ['spirula start osd.1', 'spirula start osd.2'], by_hand
        # The same from what was kept in a file, when nobody can be asked.
        kept = os.path.join(c.folder, 'answers')
        c.spirula('explain', '--save', kept)
        for command in safe:
            c.spirula(*command.split()[1:])
        c.wait_clean()
        assert c.rados('-p', 'data', 'get', 'it', '-').out == b'kept'
        from cluster import run
        again = run([c.binary, 'explain', '--from', kept])
        assert again.rc == 0 and 'need 2 (min_size)' in again.text, again


@test
def a_flag_a_class_without_osds_and_monitors_that_are_gone_are_named(t):
    with Cluster(t.binary) as c:
        c.ceph('osd', 'set', 'noout')
        c.ceph('osd', 'crush', 'rm-device-class', 'osd.0')
        c.ceph('osd', 'crush', 'set-device-class', 'ssd', 'osd.0')
        c.ceph('osd', 'crush', 'rule', 'create-replicated', 'fast', 'default', 'osd', 'ssd')
        c.ceph('osd', 'pool', 'create', 'quick', '2', '2', 'fast')
        found = c.wait('the rule is blamed', lambda: causes(c).get('device-rule') and causes(c))
        assert 'there is 1 OSD of class ssd' in found['device-rule']['sentence'], found
        assert found['flags']['commands'][0]['command'] == 'ceph osd unset noout', found
        c.kill('mon.a')
        gone = c.spirula('explain')
        assert 'No monitor answers' in gone.text and '$ spirula start mon.a' in gone.text, gone
        c.start('mon.a')
