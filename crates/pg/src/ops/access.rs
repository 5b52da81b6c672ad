//! What an op vector may do, from its op codes and the object classes that it calls.

use cls::Errno;
use messages::MOSDOp;
use types::errno::{EINVAL, EOPNOTSUPP, EPERM};
use types::osd_op::{self, OpArgs, OsdOp, osd_flag, watch_op};

use crate::object::Lock;

/// Ceph: `OpInfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    pub read: bool,
    pub write: bool,
    /// Concerns the PG, not an object (listings).
    pub pg_op: bool,
    /// Operations on cache tiers, which we refuse.
    pub cache: bool,
    /// To be ordered as a write although it is none.
    pub rw_ordered: bool,
    /// Is carried out only when another OSD has answered: nothing may pass it meanwhile.
    pub copies: bool,
    /// The client understands positive results and per-op data from writes.
    pub returnvec: bool,
}

impl Access {
    /// # Errors
    /// The errno to answer: an object class that is not offered, or a vector that does nothing.
    pub fn of(msg: &MOSDOp) -> Result<Self, Errno> {
        let mut access = Self {
            rw_ordered: msg.has_flag(osd_flag::RWORDERED),
            returnvec: msg.has_flag(osd_flag::RETURNVEC),
            ..Self::default()
        };
        for op in &msg.ops {
            access.add(op)?;
        }
        let nothing = !(access.read || access.write || access.pg_op || access.cache || access.rw_ordered);
        if msg.ops.is_empty() || nothing { Err(EINVAL) } else { Ok(access) }
    }

    fn add(&mut self, op: &OsdOp) -> Result<(), Errno> {
        match op.args {
            OpArgs::Cls { .. } => {
                let method = Call::parse(op)?.method;
                self.read |= method.flags.reads();
                self.write |= method.flags.writes();
                return Ok(());
            }
            // A ping changes nothing, but follows the writes before it.
            OpArgs::Watch { op: watch_op::PING, .. } => {
                self.rw_ordered = true;
                self.read = true;
                return Ok(());
            }
            // What a watch does depends on the watches that there are.
            OpArgs::Watch { .. } => self.read = true,
            OpArgs::CopyFrom { .. } => self.copies = true,
            _ => (),
        }
        self.write |= osd_op::is_write(op.op);
        self.read |= osd_op::is_read(op.op);
        self.pg_op |= osd_op::is_pg(op.op);
        self.cache |= osd_op::is_cache(op.op);
        Ok(())
    }

    /// Whether the op waits behind writes and for degraded objects.
    pub fn write_ordered(&self) -> bool {
        self.write || self.cache || self.rw_ordered
    }

    /// The lock to hold on the object from execution until the op is done (a read) or committed
    /// everywhere (a write).
    pub fn lock(&self) -> Lock {
        match (self.write_ordered(), self.read || self.copies) {
            (true, true) => Lock::Exclusive,
            (true, false) => Lock::Write,
            (false, _) => Lock::Read,
        }
    }
}

/// A `CALL`, taken apart.
pub(super) struct Call {
    pub method: &'static cls::Method,
    pub input: bytes::Bytes,
}

impl Call {
    /// # Errors
    /// EPERM for a class that is not offered (Ceph: it is not in `osd_class_load_list`), EOPNOTSUPP for a
    /// method that its class does not have.
    pub fn parse(op: &OsdOp) -> Result<Self, Errno> {
        let OpArgs::Cls { class_len, method_len, indata_len, .. } = op.args else { return Err(EINVAL) };
        let (class_end, method_end) = (usize::from(class_len), usize::from(class_len) + usize::from(method_len));
        let end = method_end + indata_len as usize;
        if op.indata.len() < end {
            return Err(EINVAL);
        }
        let class = cls::find(&op.indata[..class_end]).ok_or(EPERM)?;
        let method = class.method(&op.indata[class_end..method_end]).ok_or(EOPNOTSUPP)?;
        Ok(Self { method, input: op.indata.slice(method_end..end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_write_passes_a_copy_that_is_being_fetched() {
        let args = OpArgs::CopyFrom { snapid: types::SNAP_HEAD, src_version: 0, flags: 0, src_fadvise_flags: 0 };
        let mut access = Access::default();
        access.add(&OsdOp::new(osd_op::op::COPY_FROM, args, "")).unwrap();
        assert!(access.write && !access.read);
        assert_eq!(access.lock(), Lock::Exclusive);
    }
}
