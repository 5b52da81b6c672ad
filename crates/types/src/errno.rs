//! Errno values as Ceph puts them on the wire: Linux's numbers, returned negated.

macro_rules! errnos {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        $(pub const $name: i32 = $value;)*

        /// The symbol, such as `ENOENT`, of a value of either sign.
        pub fn name(errno: i32) -> Option<&'static str> {
            match errno.abs() {
                $($value => Some(stringify!($name)),)*
                _ => None,
            }
        }

        /// What `strerror` says of a value of either sign; clients print it.
        pub fn message(errno: i32) -> String {
            match errno.abs() {
                $($value => $text.to_owned(),)*
                0 => "Success".to_owned(),
                other => format!("Unknown error {other}"),
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    EINTR = 4, "Interrupted system call";
    EIO = 5, "Input/output error";
    ENXIO = 6, "No such device or address";
    E2BIG = 7, "Argument list too long";
    EBADF = 9, "Bad file descriptor";
    EAGAIN = 11, "Resource temporarily unavailable";
    ENOMEM = 12, "Cannot allocate memory";
    EACCES = 13, "Permission denied";
    EFAULT = 14, "Bad address";
    EBUSY = 16, "Device or resource busy";
    EEXIST = 17, "File exists";
    EXDEV = 18, "Invalid cross-device link";
    ENODEV = 19, "No such device";
    ENOTDIR = 20, "Not a directory";
    EISDIR = 21, "Is a directory";
    EINVAL = 22, "Invalid argument";
    ENFILE = 23, "Too many open files in system";
    ENOTTY = 25, "Inappropriate ioctl for device";
    EFBIG = 27, "File too large";
    ENOSPC = 28, "No space left on device";
    EROFS = 30, "Read-only file system";
    EPIPE = 32, "Broken pipe";
    EDOM = 33, "Numerical argument out of domain";
    ERANGE = 34, "Numerical result out of range";
    EDEADLK = 35, "Resource deadlock avoided";
    ENAMETOOLONG = 36, "File name too long";
    ENOSYS = 38, "Function not implemented";
    ENOTEMPTY = 39, "Directory not empty";
    ENODATA = 61, "No data available";
    EBADMSG = 74, "Bad message";
    EOVERFLOW = 75, "Value too large for defined data type";
    EILSEQ = 84, "Invalid or incomplete multibyte or wide character";
    ERESTART = 85, "Interrupted system call should be restarted";
    EMSGSIZE = 90, "Message too long";
    EOPNOTSUPP = 95, "Operation not supported";
    EADDRINUSE = 98, "Address already in use";
    EADDRNOTAVAIL = 99, "Cannot assign requested address";
    ECONNABORTED = 103, "Software caused connection abort";
    ECONNRESET = 104, "Connection reset by peer";
    EISCONN = 106, "Transport endpoint is already connected";
    ENOTCONN = 107, "Transport endpoint is not connected";
    ESHUTDOWN = 108, "Cannot send after transport endpoint shutdown";
    ETIMEDOUT = 110, "Connection timed out";
    ECONNREFUSED = 111, "Connection refused";
    EALREADY = 114, "Operation already in progress";
    EINPROGRESS = 115, "Operation now in progress";
    ESTALE = 116, "Stale file handle";
    EDQUOT = 122, "Disk quota exceeded";
    ECANCELED = 125, "Operation canceled";
}

/// The client is on the blocklist.
pub const EBLOCKLISTED: i32 = ESHUTDOWN;
/// The writer's snap context is older than the object's.
pub const EOLDSNAPC: i32 = ERESTART;
/// No such attribute.
pub const ENOATTR: i32 = ENODATA;
pub const EWOULDBLOCK: i32 = EAGAIN;

/// `MAX_ERRNO`: `cmpext` answers `-(MAX_ERRNO + offset)` of the first difference.
pub const MAX_ERRNO: i32 = 4095;
