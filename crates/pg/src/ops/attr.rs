//! Ops on an object's attributes. A client's attribute `x` is stored as `_x`; our own are `_` and `snapset`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bytes::Bytes;
use denc::ByteStr;
use os::TxOp;
use types::errno::{EFBIG, EINVAL, ENAMETOOLONG, ENODATA, ENOENT};
use types::osd_op::cmpxattr;

use super::exec::{Exec, Step, canceled, decoded, kib, split_name};

/// What `BlueStore` allows, of which `osd_max_attr_name_len` may take away.
const STORE_ATTR_NAME_MAX: u64 = 256;

pub(super) fn stored_name(name: &[u8]) -> ByteStr {
    [b"_", name].concat().into()
}

impl Exec<'_, '_> {
    /// One attribute as it was before the vector.
    pub fn xattr(&mut self, name: &[u8]) -> Step<Bytes> {
        self.stats.num_rd += 1;
        if !self.before.exists {
            return Err(ENOENT.into());
        }
        let value = self.env.store.attr(self.coll(), &self.goid, stored_name(name).as_bytes());
        let value = value.map_err(|e| self.damaged(e))?.ok_or(ENODATA)?;
        self.stats.num_rd_kb += kib(value.len() as u64);
        Ok(value)
    }

    /// The client's attributes as they were before the vector, under the client's names.
    pub fn xattrs(&mut self) -> Step<BTreeMap<ByteStr, Bytes>> {
        let all = self.env.store.attrs(self.coll(), &self.goid).map_err(|e| self.damaged(e))?;
        let all = all.filter(|_| self.before.exists).ok_or(ENOENT)?;
        let of_client = |(name, value): (ByteStr, Bytes)| match name.as_bytes().strip_prefix(b"_") {
            Some(rest) if !rest.is_empty() => Some((ByteStr::from(rest), value)),
            _ => None,
        };
        Ok(all.into_iter().filter_map(of_client).collect())
    }

    pub fn xattrs_op(&mut self) -> Step<Bytes> {
        let bytes = denc::to_bytes(&self.xattrs()?, 0);
        self.stats.num_rd += 1;
        self.stats.num_rd_kb += kib(bytes.len() as u64);
        Ok(bytes)
    }

    /// `CMPXATTR`: 1 if the client's value stands to the stored one as `cmp_op` says. A missing attribute is
    /// empty, or 0.
    pub fn compare_xattr(
        &mut self,
        input: &Bytes,
        name_len: u32,
        value_len: u32,
        cmp_op: u8,
        cmp_mode: u8,
    ) -> Step<i32> {
        let (name, rest) = split_name(input, name_len)?;
        let stored = match self.xattr(name) {
            Err(super::exec::Stop::Errno(ENODATA)) => Bytes::new(),
            other => other?,
        };
        let order = match cmp_mode {
            cmpxattr::MODE_STRING => rest.get(..value_len as usize).ok_or(EINVAL)?.cmp(&stored[..]),
            cmpxattr::MODE_U64 => {
                let value: u64 = decoded(&input.slice(name_len as usize..))?;
                value.cmp(&leading_number(&stored))
            }
            _ => return Err(EINVAL.into()),
        };
        if holds(cmp_op, order).ok_or(EINVAL)? { Ok(1) } else { canceled() }
    }

    pub fn set_xattr_op(&mut self, input: &Bytes, name_len: u32, value_len: u32) -> Step {
        let max = self.env.cfg.max_attr_size;
        if max > 0 && u64::from(value_len) > max {
            return Err(EFBIG.into());
        }
        if u64::from(name_len) > self.env.cfg.max_attr_name_len.min(STORE_ATTR_NAME_MAX) {
            return Err(ENAMETOOLONG.into());
        }
        let (name, rest) = split_name(input, name_len)?;
        if rest.len() < value_len as usize {
            return Err(EINVAL.into());
        }
        let value = input.slice(name.len()..name.len() + value_len as usize);
        self.set_xattr(name, value);
        Ok(())
    }

    pub fn set_xattr(&mut self, name: &[u8], value: Bytes) {
        self.create_object();
        self.stats.num_wr += 1;
        let attrs = [(stored_name(name), value)].into();
        self.push(TxOp::SetAttrs { coll: self.coll(), oid: self.goid.clone(), attrs });
    }

    pub fn rm_xattr(&mut self, name: &[u8]) -> Step {
        if !self.is_visible() {
            return Err(ENOENT.into());
        }
        self.stats.num_wr += 1;
        self.push(TxOp::RmAttr { coll: self.coll(), oid: self.goid.clone(), name: stored_name(name) });
        Ok(())
    }
}

/// Whether a comparison asked for is the one found; `None` if there is no such comparison.
fn holds(cmp_op: u8, order: Ordering) -> Option<bool> {
    Some(match cmp_op {
        cmpxattr::EQ => order.is_eq(),
        cmpxattr::NE => order.is_ne(),
        cmpxattr::GT => order.is_gt(),
        cmpxattr::GTE => order.is_ge(),
        cmpxattr::LT => order.is_lt(),
        cmpxattr::LTE => order.is_le(),
        _ => return None,
    })
}

/// As C's `strtoull`: the digits at the front, 0 if there are none, the largest number if too many.
fn leading_number(text: &[u8]) -> u64 {
    let digits = text.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    digits.fold(0_u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')))
}
