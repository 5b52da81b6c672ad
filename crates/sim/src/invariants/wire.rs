//! What is received is what was sent: a message that is read and written again is the same bytes.

use messages::Message;
use types::features;

use super::{Invariant, Sent};
use crate::world::World;

/// Looks at one message in a few: sweeps are to be cheap, and see them all many times.
#[derive(Debug, Default)]
pub(super) struct Wire {
    count: u64,
}

const ONE_IN: u64 = 8;

impl Invariant for Wire {
    fn sent(&mut self, world: &World, sent: &Sent) {
        self.count += 1;
        if !self.count.is_multiple_of(ONE_IN) {
            return;
        }
        let label = world.label(sent.host);
        match Message::decode(sent.wire.clone(), 0) {
            Ok(back) => {
                let again = back.encode(features::ALL);
                assert!(again == *sent.wire, "{label}: {:?} arrives as {back:?}", sent.msg);
            }
            Err(e) => panic!("{label}: {:?} cannot be read: {e:?}", sent.msg),
        }
    }
}
