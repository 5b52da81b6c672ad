"""`spirula drill`: what it plays, says and leaves."""
import glob
import os
import signal
import subprocess
import tempfile
import time

from cluster import run

TESTS = []


def test(f):
    f.own_cluster = True
    TESTS.append(f)
    return f


def daemons_in(folder):
    """Command lines of daemons whose cluster is below a folder."""
    found = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            words = open(path, 'rb').read().split(b'\0')
        except OSError:
            continue
        if b'run-daemon' in words and any(w.startswith(folder.encode()) for w in words):
            found.append(words)
    return found


class Folder(tempfile.TemporaryDirectory):
    """A folder for temporary files, in which a drill must leave nothing."""

    def drill(self, t, *args, timeout=110):
        return run([t.binary, 'drill', *args], timeout=timeout, env=dict(os.environ, TMPDIR=self.name))

    def is_clean(self):
        return not daemons_in(self.name) and not os.listdir(self.name)


@test
def the_drills_are_listed_and_a_misspelt_one_is_asked_about(t):
    f = Folder()
    listed = f.drill(t).text
    for drill in ('degraded peered remapped recovering backfilling stale inconsistent down incomplete out-in '
                  'device-classes split-merge').split():
        assert '  %s ' % drill in listed, (drill, listed)
    unknown = f.drill(t, 'degarded')
    assert unknown.rc == 1 and 'did you mean degraded?' in unknown.errors, unknown
    assert f.is_clean()
    f.cleanup()


def plays(name, *words):
    def play(t):
        f = Folder()
        done = f.drill(t, name)
        assert done.rc == 0 and 'behaved as written' in done.text, done
        for word in words:
            assert '%s: ' % word in done.text, 'no word on %s: %s' % (word, done)
        assert f.is_clean()
        f.cleanup()
    play.__name__ = 'the_drill_%s_is_as_written' % name.replace('-', '_')
    test(play)


plays('degraded', 'undersized', 'degraded')
plays('peered', 'peered')
plays('down', 'down')
plays('recovering', 'recovery_wait', 'recovering')
plays('backfilling', 'backfill_wait', 'backfilling', 'remapped')
plays('incomplete', 'incomplete')
plays('device-classes')
plays('split-merge')


@test
def ctrl_c_takes_the_drills_cluster_away(t):
    f = Folder()
    p = subprocess.Popen([t.binary, 'drill', 'peered'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=dict(os.environ, TMPDIR=f.name))
    # In the midst of it: daemons run.
    for line in p.stdout:
        if 'spirula stop' in line:
            break
    assert daemons_in(f.name)
    p.send_signal(signal.SIGINT)
    out, _ = p.communicate(timeout=30)
    assert p.returncode == 130 and 'interrupted' in out, (p.returncode, out)
    assert f.is_clean()
    f.cleanup()


@test
def what_a_killed_drill_left_the_next_takes_away(t):
    f = Folder()
    p = subprocess.Popen([t.binary, 'drill', 'stale'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         env=dict(os.environ, TMPDIR=f.name))
    for line in p.stdout:
        if 'rados -p drill put' in line:
            break
    p.kill()
    p.communicate()
    assert daemons_in(f.name)
    done = f.drill(t, 'degraded')
    assert done.rc == 0 and 'taking away' in done.text, done
    give_up = time.time() + 10
    while not f.is_clean() and time.time() < give_up:
        time.sleep(0.1)
    assert f.is_clean()
    f.cleanup()
