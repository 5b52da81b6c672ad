//! How values look in the output of commands: Ceph's field names, in Ceph's order.
//!
//! What only the map around a value knows (a pool's id and name, a PG's id) is put in front by the caller.

mod objects;
mod osd;
mod pg;
mod pool;

pub(crate) use osd::ctime;
pub use pool::pg_autoscale_mode_name;

use crate::dump::Dump;
use crate::ids::{OsdReqId, PgShard};
use crate::interval_set::IntervalSet;

macro_rules! shown_as_text {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Dump {
            fn from(v: $ty) -> Self {
                Self::text(v)
            }
        }
    )*};
}

shown_as_text!(OsdReqId, PgShard);

/// An object of fields whose names in Rust are those in Ceph's output.
macro_rules! fields {
    ($v:expr; $($field:ident),* $(,)?) => {
        Dump::obj()$(.with(stringify!($field), $v.$field))*
    };
}

use fields;

/// Intervals one by one, as PG statistics have them.
fn intervals(item: &'static str, set: &IntervalSet) -> Dump {
    Dump::arr(item, set.iter().map(|(s, l)| Dump::obj().with("start", s.to_string()).with("length", l.to_string())))
}
