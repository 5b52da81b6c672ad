"""librados' C API through ctypes, for what python3-rados does not offer: compound operations with their asserts.

    client = Client(conf); io = client.ioctx('pool')
    io.write().cmpxattr('v', EQ, b'1').setxattr('v', b'2').run('object')  -> 0 or a negative errno
"""
import ctypes as C

L = C.CDLL('librados.so.2')
P, S, U64, INT, STR = C.c_void_p, C.c_size_t, C.c_uint64, C.c_int, C.c_char_p
for name, result, args in (
        ('rados_create', INT, [P, STR]), ('rados_conf_read_file', INT, [P, STR]), ('rados_connect', INT, [P]),
        ('rados_conf_set', INT, [P, STR, STR]), ('rados_shutdown', None, [P]), ('rados_get_instance_id', U64, [P]),
        ('rados_ioctx_create', INT, [P, STR, P]), ('rados_ioctx_destroy', None, [P]),
        ('rados_ioctx_set_namespace', None, [P, STR]), ('rados_ioctx_locator_set_key', None, [P, STR]),
        ('rados_get_last_version', U64, [P]), ('rados_create_write_op', P, []), ('rados_release_write_op', None, [P]),
        ('rados_create_read_op', P, []), ('rados_release_read_op', None, [P]),
        ('rados_write_op_operate', INT, [P, P, STR, P, INT]), ('rados_read_op_operate', INT, [P, P, STR, INT]),
        ('rados_aio_create_completion', INT, [P, P, P, P]), ('rados_aio_release', None, [P]),
        ('rados_aio_write_op_operate', INT, [P, P, P, STR, P, INT]), ('rados_aio_wait_for_complete', INT, [P]),
        ('rados_aio_is_complete', INT, [P]), ('rados_aio_get_return_value', INT, [P]),
        ('rados_exec', INT, [P, STR, STR, STR, STR, S, P, S]), ('rados_aio_append', INT, [P, STR, P, STR, S]),
        ('rados_aio_write_full', INT, [P, STR, P, STR, S]), ('rados_aio_remove', INT, [P, STR, P]),
        ('rados_set_alloc_hint', INT, [P, STR, U64, U64]), ('rados_checksum', INT, None)):
    f = getattr(L, name)
    f.restype = result
    if args is not None:
        f.argtypes = args
for name, args in (
        ('create', [INT, STR]), ('assert_exists', []), ('assert_version', [U64]), ('cmpext', [STR, S, U64, P]),
        ('cmpxattr', [STR, C.c_uint8, STR, S]), ('omap_cmp', [STR, C.c_uint8, STR, S, P]), ('setxattr', [STR, STR, S]),
        ('rmxattr', [STR]), ('write', [STR, S, U64]), ('write_full', [STR, S]), ('writesame', [STR, S, S, U64]),
        ('append', [STR, S]), ('remove', []), ('truncate', [U64]), ('zero', [U64, U64]), ('set_flags', [INT]),
        ('exec', [STR, STR, STR, S, P]), ('omap_set', [P, P, P, S]), ('omap_rm_keys', [P, S]), ('omap_clear', []),
        ('set_alloc_hint', [U64, U64])):
    f = getattr(L, 'rados_write_op_' + name)
    f.restype, f.argtypes = None, [P] + args
for name, args in (
        ('assert_exists', []), ('assert_version', [U64]), ('cmpext', [STR, S, U64, P]),
        ('cmpxattr', [STR, C.c_uint8, STR, S]), ('omap_cmp', [STR, C.c_uint8, STR, S, P]), ('stat', [P, P, P]),
        ('read', [U64, S, P, P, P]), ('checksum', [INT, STR, S, U64, S, S, P, S, P]), ('set_flags', [INT])):
    f = getattr(L, 'rados_read_op_' + name)
    f.restype, f.argtypes = None, [P] + args

EQ, NE, GT, GTE, LT, LTE = 1, 2, 3, 4, 5, 6
CREATE_EXCLUSIVE, CREATE_IDEMPOTENT = 1, 0
FAILOK = 2
CHECKSUM_XXHASH32, CHECKSUM_XXHASH64, CHECKSUM_CRC32C = 0, 1, 2


def _bytes(x):
    return x.encode() if isinstance(x, str) else x


def good(rc, what):
    if rc < 0:
        raise OSError(-rc, what)
    return rc


class Client:
    def __init__(self, conf, **options):
        self.h = P()
        good(L.rados_create(C.byref(self.h), None), 'create')
        good(L.rados_conf_read_file(self.h, conf.encode()), 'conf')
        for k, v in options.items():
            good(L.rados_conf_set(self.h, k.encode(), str(v).encode()), k)
        good(L.rados_connect(self.h), 'connect')

    def id(self):
        return L.rados_get_instance_id(self.h)

    def ioctx(self, pool, namespace='', locator=None):
        return IoCtx(self, pool, namespace, locator)

    def shutdown(self):
        L.rados_shutdown(self.h)


class IoCtx:
    def __init__(self, client, pool, namespace, locator):
        self.h, self.client = P(), client
        good(L.rados_ioctx_create(client.h, pool.encode(), C.byref(self.h)), 'pool ' + pool)
        if namespace:
            L.rados_ioctx_set_namespace(self.h, namespace.encode())
        if locator:
            L.rados_ioctx_locator_set_key(self.h, locator.encode())

    def write(self):
        return WriteOp(self)

    def read(self):
        return ReadOp(self)

    def version(self):
        return L.rados_get_last_version(self.h)

    def exec(self, oid, cls, method, data=b'', room=4096):
        """(return code, output)"""
        out = C.create_string_buffer(room)
        rc = L.rados_exec(self.h, oid.encode(), cls.encode(), method.encode(), data, len(data), out, room)
        return rc, out.raw[:max(rc, 0)]


class Completion:
    def __init__(self):
        self.h = P()
        good(L.rados_aio_create_completion(None, None, None, C.byref(self.h)), 'completion')

    def done(self):
        return bool(L.rados_aio_is_complete(self.h))

    def wait(self):
        L.rados_aio_wait_for_complete(self.h)
        rc = L.rados_aio_get_return_value(self.h)
        L.rados_aio_release(self.h)
        return rc


class WriteOp:
    def __init__(self, io):
        self.io, self.h, self.keep = io, L.rados_create_write_op(), []

    def _add(self, name, *args):
        getattr(L, 'rados_write_op_' + name)(self.h, *args)
        return self

    def _result(self):
        self.keep.append(C.c_int(0))
        return C.byref(self.keep[-1])

    def create(self, exclusive=True):
        return self._add('create', CREATE_EXCLUSIVE if exclusive else CREATE_IDEMPOTENT, None)

    def assert_exists(self):
        return self._add('assert_exists')

    def assert_version(self, v):
        return self._add('assert_version', v)

    def cmpext(self, off, data):
        self.cmp_result = C.c_int(0)
        self.keep.append(data)
        return self._add('cmpext', data, len(data), off, C.byref(self.cmp_result))

    def cmpxattr(self, name, op, value):
        return self._add('cmpxattr', _bytes(name), op, value, len(value))

    def omap_cmp(self, key, op, value):
        return self._add('omap_cmp', _bytes(key), op, value, len(value), self._result())

    def setxattr(self, name, value):
        return self._add('setxattr', _bytes(name), value, len(value))

    def rmxattr(self, name):
        return self._add('rmxattr', _bytes(name))

    def write(self, data, off):
        return self._add('write', data, len(data), off)

    def write_full(self, data):
        return self._add('write_full', data, len(data))

    def writesame(self, data, length, off):
        return self._add('writesame', data, len(data), length, off)

    def append(self, data):
        return self._add('append', data, len(data))

    def remove(self):
        return self._add('remove')

    def truncate(self, size):
        return self._add('truncate', size)

    def zero(self, off, length):
        return self._add('zero', off, length)

    def flags(self, flags):
        return self._add('set_flags', flags)

    def alloc_hint(self, size, write_size):
        return self._add('set_alloc_hint', size, write_size)

    def exec(self, cls, method, data=b''):
        return self._add('exec', _bytes(cls), _bytes(method), data, len(data), self._result())

    def omap_set(self, pairs):
        n = len(pairs)
        keys, vals = (STR * n)(*[_bytes(k) for k in pairs]), (STR * n)(*pairs.values())
        lens = (S * n)(*[len(v) for v in pairs.values()])
        return self._add('omap_set', C.cast(keys, P), C.cast(vals, P), C.cast(lens, P), n)

    def omap_rm(self, names):
        return self._add('omap_rm_keys', C.cast((STR * len(names))(*[_bytes(k) for k in names]), P), len(names))

    def omap_clear(self):
        return self._add('omap_clear')

    def run(self, oid, flags=0):
        rc = L.rados_write_op_operate(self.h, self.io.h, _bytes(oid), None, flags)
        L.rados_release_write_op(self.h)
        return rc

    def aio(self, oid, flags=0):
        done = Completion()
        good(L.rados_aio_write_op_operate(self.h, self.io.h, done.h, _bytes(oid), None, flags), 'aio')
        L.rados_release_write_op(self.h)
        return done


class ReadOp:
    def __init__(self, io):
        self.io, self.h, self.keep = io, L.rados_create_read_op(), []

    def _add(self, name, *args):
        getattr(L, 'rados_read_op_' + name)(self.h, *args)
        return self

    def _result(self):
        self.keep.append(C.c_int(0))
        return C.byref(self.keep[-1])

    def assert_exists(self):
        return self._add('assert_exists')

    def assert_version(self, v):
        return self._add('assert_version', v)

    def cmpext(self, off, data):
        self.keep.append(data)
        return self._add('cmpext', data, len(data), off, self._result())

    def cmpxattr(self, name, op, value):
        return self._add('cmpxattr', _bytes(name), op, value, len(value))

    def omap_cmp(self, key, op, value):
        return self._add('omap_cmp', _bytes(key), op, value, len(value), self._result())

    def read(self, off, length):
        self.buffer, self.got = C.create_string_buffer(length), S(0)
        return self._add('read', off, length, C.cast(self.buffer, P), C.byref(self.got), self._result())

    def data(self):
        return self.buffer.raw[:self.got.value]

    def stat(self):
        self.size, self.mtime = U64(0), C.c_int64(0)
        return self._add('stat', C.byref(self.size), C.byref(self.mtime), self._result())

    def checksum(self, kind, seed, off, length, chunk):
        self.sums = C.create_string_buffer(4 + 8 * max(1, length // (chunk or length)))
        return self._add('checksum', kind, seed, len(seed), off, length, chunk, C.cast(self.sums, P), len(self.sums),
                         self._result())

    def run(self, oid, flags=0):
        rc = L.rados_read_op_operate(self.h, self.io.h, _bytes(oid), flags)
        L.rados_release_read_op(self.h)
        return rc
