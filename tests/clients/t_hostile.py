"""Garbage at every port: the connection is dropped, logged once with its address, and nothing else notices."""
import os
import socket
import struct
import time

TESTS = []
BANNER = b'ceph v2\n' + struct.pack('<HQQ', 16, 1, 0)


def test(f):
    TESTS.append(f)
    return f


def crc32c(data, crc=0):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc


def preamble(tag, lengths, bad_crc=False, segments=None):
    """Ceph: ProtocolV2's preamble_block_t: tag, count of segments, four (length, alignment), flags, crc32c."""
    block = struct.pack('<BB', tag, len(lengths) if segments is None else segments)
    for n in (list(lengths) + [0, 0, 0, 0])[:4]:
        block += struct.pack('<IH', n, 8)
    block += b'\0\0'
    return block + struct.pack('<I', crc32c(block) ^ (1 if bad_crc else 0))


def frame(tag, body):
    return preamble(tag, [len(body)]) + body + struct.pack('<I', crc32c(body, 0xffffffff))


HELLO = 1
#: Peer type (client), then our address as the peer sees it: an empty entity_addr_t.
HELLO_BODY = bytes([8]) + b'\x01\x01\x01\x1c\0\0\0\2\0\0\0\0\0\0\0\x10\0\0\0\2\0' + b'\0' * 14
ATTACKS = dict(
    nothing=b'',
    random_bytes=os.urandom(4096),
    http=b'GET / HTTP/1.1\r\nHost: here\r\n\r\n',
    old_protocol=b'ceph v027' + b'\0' * 300,
    banner_of_64_kib=b'ceph v2\n' + struct.pack('<H', 65535) + b'x' * 65535,
    cut_banner=b'ceph v',
    random_after_banner=BANNER + os.urandom(2000),
    wrong_crc=BANNER + preamble(HELLO, [10], bad_crc=True) + b'0123456789' + b'\0\0\0\0',
    wrong_segment_crc=BANNER + preamble(HELLO, [10]) + b'0123456789' + b'\xff\xff\xff\xff',
    length_of_4_gib=BANNER + preamble(HELLO, [0xffffffff]) + b'x' * 1000,
    four_times_4_gib=BANNER + preamble(17, [0xffffffff] * 4) + b'x' * 1000,
    too_many_segments=BANNER + preamble(HELLO, [1, 1, 1, 1], segments=255) + b'x' * 100,
    no_segments=BANNER + preamble(HELLO, [], segments=0),
    unknown_tag=BANNER + frame(HELLO, HELLO_BODY) + frame(200, b'what'),
    message_before_hello=BANNER + frame(17, os.urandom(41)),
    truncated_frame=BANNER + preamble(HELLO, [1000]) + b'only this',
    empty_hello=BANNER + frame(HELLO, b''),
    auth_of_garbage=BANNER + frame(HELLO, HELLO_BODY) + frame(2, os.urandom(64)),
    auth_of_huge_count=BANNER + frame(HELLO, HELLO_BODY) + frame(2, struct.pack('<II', 1, 0xffffffff)),
)


def listening(cluster):
    """(daemon, port) of every TCP port that a daemon of the cluster listens at, from /proc."""
    inodes = {}
    for daemon, pid in cluster.pids().items():
        for fd in os.listdir('/proc/%d/fd' % pid):
            try:
                link = os.readlink('/proc/%d/fd/%s' % (pid, fd))
            except OSError:
                continue
            if link.startswith('socket:['):
                inodes[link[8:-1]] = daemon
    ports = []
    for line in open('/proc/net/tcp').read().splitlines()[1:]:
        words = line.split()
        if words[3] == '0A' and words[9] in inodes:
            ports.append((inodes[words[9]], int(words[1].split(':')[1], 16)))
    return sorted(ports)


def attack(port, data, patience=2.0):
    """Sends bytes; gives (our port, whether the other side hung up)."""
    s = socket.create_connection(('127.0.0.1', port), timeout=patience)
    ours = s.getsockname()[1]
    hung_up = False
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        give_up = time.time() + patience
        while time.time() < give_up:
            if not s.recv(65536):
                hung_up = True
                break
    except socket.timeout:
        pass
    except OSError:
        hung_up = True
    s.close()
    return ours, hung_up


@test
def garbage_at_every_port_costs_only_its_connection(t):
    if t.cluster is None:
        from run import Skip
        raise Skip('needs a cluster of our own, to read its logs')
    io = t.io()
    io.write_full('o', b'before')
    ports = listening(t.cluster)
    assert len(ports) >= 14, ports
    before = t.cluster.pids()
    silent, alone = [], []
    for daemon, port in ports:
        for name, data in ATTACKS.items():
            ours, hung_up = attack(port, data)
            if not hung_up:
                alone.append('%s port %d: still there after %s' % (daemon, port, name))
            if name not in ('nothing', 'cut_banner', 'truncated_frame'):
                silent.append((daemon, port, name, ours))
        io.write_full('o', name.encode())
    assert not alone, '\n'.join(alone[:20])
    assert t.cluster.pids() == before, 'a daemon died: %s, before %s' % (t.cluster.pids(), before)
    time.sleep(0.5)
    logs = {d: t.cluster.log(d) for d in before}
    wrong = []
    # The kernel may give two attacks on different ports of one daemon the same port of ours.
    same = {}
    for daemon, port, name, ours in silent:
        same[daemon, ours] = same.get((daemon, ours), 0) + 1
    for daemon, port, name, ours in silent:
        told = [line for line in logs[daemon].splitlines() if '127.0.0.1:%d:' % ours in line]
        if len(told) != same[daemon, ours]:
            wrong.append('%s port %d: %s of 127.0.0.1:%d is told %d times %s' % (
                daemon, port, name, ours, len(told), told[:2]))
    assert not wrong, '%d of %d attacks are not logged once:\n%s' % (len(wrong), len(silent), '\n'.join(wrong[:20]))
    assert t.clients.json('osd', 'stat')['num_up_osds'] == 3
    assert io.read('o') == name.encode()


@test
def many_silent_connections_leave_room_for_clients(t):
    if t.cluster is None:
        from run import Skip
        raise Skip('needs a cluster of our own')
    held = [socket.create_connection(('127.0.0.1', port)) for _, port in listening(t.cluster) for _ in range(30)]
    io = t.io()
    io.write_full('o', b'x')
    assert io.read('o') == b'x'
    for s in held:
        s.close()


def message(kind, front, tid=1):
    """A MESSAGE frame (tag 17) of four segments: header (Ceph: ceph_msg_header2), front, middle, data."""
    header = struct.pack('<QQHHHIHBQBHH', 1, tid, kind, 127, 1, 0, 0, 0, 0, 0, 1, 1)
    segments = [header[:41].ljust(41, b'\0'), front]
    out = preamble(17, [len(s) for s in segments])
    out += segments[0] + struct.pack('<I', crc32c(segments[0], 0xffffffff))
    out += segments[1]
    # The epilogue of several segments: late status, then a crc a segment after the first.
    out += b'\x0e' + struct.pack('<III', crc32c(segments[1], 0xffffffff), 0, 0)
    return out


def client_session(port, patience=5):
    """Speaks msgr2.1 with auth none up to a session, by hand; gives the socket."""
    s = socket.create_connection(('127.0.0.1', port), timeout=patience)
    s.sendall(BANNER)
    f = s.makefile('rb')
    magic = f.read(8)
    f.read(struct.unpack('<H', f.read(2))[0])
    assert magic == b'ceph v2\n', magic

    def recv():
        head = f.read(32)
        assert len(head) == 32, 'hung up in the handshake'
        tag, count = head[0], head[1]
        lengths = [struct.unpack_from('<IH', head, 2 + 6 * i)[0] for i in range(count)]
        body = f.read(lengths[0])
        f.read(4)
        return tag, body
    addr = bytes([1, 1, 1]) + struct.pack('<I', 28) + struct.pack('<II', 2, 0) + struct.pack('<I', 16) + struct.pack(
        '<H', 2) + b'\0' * 14
    s.sendall(frame(HELLO, bytes([8]) + addr))
    assert recv()[0] == HELLO
    payload = bytes([10]) + struct.pack('<I', 8) + struct.pack('<I', 5) + b'admin' + struct.pack('<Q', 0)
    # AUTH_REQUEST: method none, preferred modes [crc, secure], payload of auth none.
    s.sendall(frame(2, struct.pack('<IIIII', 1, 2, 1, 2, len(payload)) + payload))
    return s, recv, addr


@test
def a_daemon_survives_messages_of_the_wrong_role(t):
    """Random fronts under every message number, to every daemon, over a session that was properly set up."""
    if t.cluster is None:
        from run import Skip
        raise Skip('needs a cluster of our own')
    before = t.cluster.pids()
    io = t.io()
    reached = 0
    for daemon, port in listening(t.cluster):
        for kind in (4, 5, 18, 41, 42, 43, 50, 52, 66, 70, 71, 72, 78, 94, 105, 112, 113, 130, 255, 0x700):
            try:
                s, recv, addr = client_session(port)
                tag, body = recv()
                if tag == 6:  # AUTH_REPLY_MORE is not expected of auth none
                    continue
                s.sendall(frame(7, b'\0' * 32))
                recv()
                reached += 1
                # CLIENT_IDENT: addresses, target, global id, seq, features, required, flags, cookie.
                vec = b'\2' + struct.pack('<I', 1) + addr
                s.sendall(frame(8, vec + addr + struct.pack('<qQQQQQ', 4999, 1, 0x3f01cfbffffdffff, 0, 1, 77)))
                recv()
                s.sendall(message(kind, os.urandom(64)))
                s.settimeout(0.2)
                s.recv(4096)
            except (OSError, AssertionError, struct.error, IndexError):
                pass
            finally:
                s.close()
        io.write_full('o', b'x')
    assert t.cluster.pids() == before, 'a daemon died: %s, before %s' % (t.cluster.pids(), before)
    assert t.clients.json('osd', 'stat')['num_up_osds'] == 3


@test
def wrong_operations_are_answered_with_errors(t):
    import errno
    io = t.capi()
    assert io.write().write_full(b'x').run('o') == 0
    assert io.exec('o', 'nosuchclass', 'x')[0] in (-errno.EPERM, -errno.EOPNOTSUPP)
    assert io.write().write(b'x', (1 << 63) - 1).run('o') in (-errno.EFBIG, -errno.EINVAL)
    assert io.write().truncate(1 << 62).run('o') in (-errno.EFBIG, -errno.EINVAL)
    assert io.write().zero(1 << 62, 1 << 62).run('o') in (0, -errno.EFBIG, -errno.EINVAL)
    assert io.write().writesame(b'abc', 10, 0).run('o') == -errno.EINVAL
    r = io.read().read(0, 10)
    assert r.run('o') == 0 and r.data() == b'x'
