"""Cuts processes off from the network, their loopback too: what they send is dropped, as with a pulled cable.

A cgroup of their own gets a BPF program of two instructions that lets nothing out. Sockets belong to the cgroup they
were made in, so the processes are started inside. Needs root, and a kernel with CONFIG_CGROUP_BPF.
"""
import ctypes
import os
import struct
import subprocess
import tempfile

BPF, PROG_LOAD, PROG_ATTACH, PROG_DETACH = 321, 5, 8, 9  # of x86-64
PROG_TYPE_CGROUP_SKB, CGROUP_INET_EGRESS = 8, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(128, b'\0'))
    fd = LIBC.syscall(BPF, command, buffer, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), 'bpf: ' + os.strerror(ctypes.get_errno()))
    return fd


def drop_all():
    """A program that returns 0, which drops a packet."""
    code = ctypes.create_string_buffer(struct.pack('<BBhiBBhi', 0xb7, 0, 0, 0, 0x95, 0, 0, 0), 16)
    licence = ctypes.create_string_buffer(b'GPL')
    return bpf(PROG_LOAD, struct.pack(
        '<IIQQ', PROG_TYPE_CGROUP_SKB, 2, ctypes.addressof(code), ctypes.addressof(licence)))


class Host:
    """What `spirula` starts through `run` is on this host; `cut` and `heal` are its cable."""

    def __init__(self):
        self.mount = tempfile.mkdtemp(prefix='cutoff-')
        try:
            subprocess.run(['mount', '-t', 'cgroup2', 'none', self.mount], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as e:
            os.rmdir(self.mount)
            raise OSError('no cgroups here: %s' % e)
        self.group = os.path.join(self.mount, 'host-%d' % os.getpid())
        os.mkdir(self.group)
        self.dir, self.program = os.open(self.group, os.O_RDONLY), None
        try:
            self.program = drop_all()
        except OSError:
            self.close()
            raise

    def enter(self):
        """For `preexec_fn`: this process, and what it starts."""
        with open(os.path.join(self.group, 'cgroup.procs'), 'w') as f:
            f.write(str(os.getpid()))

    def run(self, args):
        return subprocess.run(args, preexec_fn=self.enter, check=True, capture_output=True, timeout=60)

    def cut(self):
        bpf(PROG_ATTACH, struct.pack('<IIII', self.dir, self.program, CGROUP_INET_EGRESS, 0))

    def heal(self):
        bpf(PROG_DETACH, struct.pack('<IIII', self.dir, self.program, CGROUP_INET_EGRESS, 0))

    def close(self):
        """All processes of the host must have ended."""
        if self.program is not None:
            os.close(self.program)
        os.close(self.dir)
        os.rmdir(self.group)
        subprocess.run(['umount', self.mount], capture_output=True)
        os.rmdir(self.mount)
