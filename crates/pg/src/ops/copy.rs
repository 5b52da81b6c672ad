//! Copying an object: `COPY_GET`, which gives its state in pieces, and `COPY_FROM`, which takes it.

use bytes::Bytes;
use messages::MOSDOp;
use types::OsdOp;
use types::errno::{ENOENT, EOPNOTSUPP};

use super::exec::{Exec, Step};
use super::{Executed, OpEnv};

impl Exec<'_, '_> {
    pub fn copy_get(&mut self, _max: u64, _input: &Bytes) -> Step<Bytes> {
        Err(EOPNOTSUPP.into())
    }

    pub fn copy_from(&mut self, _osd_op: &OsdOp) -> Step {
        Err(EOPNOTSUPP.into())
    }
}

pub(super) fn get_nothing(env: &OpEnv, msg: &MOSDOp) -> Executed {
    let reply = messages::MOSDOpReply::to(msg, -ENOENT, env.epoch, 0);
    Executed::Reply { reply: Box::new(reply), effects: None }
}
