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
                assert!(again == *sent.wire, "{label}: what is sent and what arrives: {}", difference(sent.msg, &back));
            }
            Err(e) => panic!("{label}: {:?} cannot be read: {e:?}", sent.msg),
        }
    }
}

/// Where two messages begin to differ, as far as people can see it.
fn difference(sent: &Message, got: &Message) -> String {
    let (a, b) = (format!("{sent:?}"), format!("{got:?}"));
    let at = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.get(at.saturating_sub(200)..(at + 200).min(text.len())).map(str::to_owned);
    format!("{} …{:?}… and …{:?}…", sent.body.name(), around(&a), around(&b))
}
