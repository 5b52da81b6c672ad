//! `pg ID query`.

use types::dump::Dump;

use crate::pg::Pg;

impl Pg {
    /// `pg ID query`.
    pub fn query(&self) -> Dump {
        Dump::obj()
    }
}
