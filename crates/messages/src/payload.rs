//! How a message's fields become a front, and what surrounds the front.
//!
//! Most messages are a list of fields in a fixed order, with newer fields appended: for them the
//! [`message!`] macro is the wire table. The few that differ implement [`Payload`] by hand.

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

use crate::Wire;

/// One message type's encoding.
pub trait Payload: Sized {
    /// The type number in the header.
    const KIND: u16;
    /// Ceph's class name.
    const NAME: &'static str;
    /// The version we write and the newest we read (Ceph: `HEAD_VERSION`).
    const VERSION: u16;
    /// The oldest reader that can cope with what we write (Ceph: `COMPAT_VERSION`).
    const COMPAT: u16;
    /// What the sender usually gives it.
    const PRIORITY: u16 = crate::PRIO_DEFAULT;

    /// Writes the front to `e`. `wire` holds the versions above; set what differs, and the data.
    fn encode_payload(&self, e: &mut Encoder, wire: &mut Wire);

    /// Reads the front from `d`; `wire` has the version that was written and the data.
    ///
    /// # Errors
    /// Whatever the fields' decoders say. Bytes left over are a newer sender's and are ignored.
    fn decode_payload(d: &mut Decoder, wire: &Wire) -> Result<Self, DecodeError>;
}

/// The first fields of messages that go through a monitor's services (Ceph: `PaxosServiceMessage`).
/// `version` is the map version that the sender has or wants; the others are history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paxos {
    pub version: u64,
    pub session_mon: i16,
    pub session_mon_tid: u64,
}

impl Default for Paxos {
    fn default() -> Self {
        Self { version: 0, session_mon: -1, session_mon_tid: 0 }
    }
}

impl From<u64> for Paxos {
    fn from(version: u64) -> Self {
        Self { version, ..Self::default() }
    }
}

impl Encode for Paxos {
    fn encode(&self, e: &mut Encoder) {
        e.u64(self.version);
        e.u16(self.session_mon.cast_unsigned());
        e.u64(self.session_mon_tid);
    }
}

impl Decode for Paxos {
    const MIN_SIZE: usize = 18;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { version: d.u64()?, session_mon: d.u16()?.cast_signed(), session_mon_tid: d.u64()? })
    }
}

/// `blkin_trace_info`: tracing ids, zero unless the sender was built with blkin. We write zeros and
/// ignore what comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trace(pub [u64; 3]);

impl Encode for Trace {
    fn encode(&self, e: &mut Encoder) {
        self.0.iter().for_each(|id| e.u64(*id));
    }
}

impl Decode for Trace {
    const MIN_SIZE: usize = 24;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self([d.u64()?, d.u64()?, d.u64()?]))
    }
}

/// Gives a struct its [`Payload`]: type number, version, oldest reader, then the fields as they lie in
/// the front.
///
/// - `field` (or `pgid.shard`): always there.
/// - `since N field`: since version N; `since N field or other` takes `other`'s value before that.
/// - `pad N`: N bytes of zero, ignored when read.
/// - `data field`: the data segment.
/// - `old N`: messages of versions below N are refused.
macro_rules! message {
    ($name:ident = $kind:literal, v $version:literal / $compat:literal $(, prio $prio:ident)?; $($layout:tt)*) => {
        impl crate::payload::Payload for $name {
            const KIND: u16 = $kind;
            const NAME: &'static str = stringify!($name);
            const VERSION: u16 = $version;
            const COMPAT: u16 = $compat;
            $(const PRIORITY: u16 = crate::$prio;)?

            #[allow(unused_variables)]
            fn encode_payload(&self, e: &mut denc::Encoder, wire: &mut crate::Wire) {
                crate::payload::message!(@encode self e wire; $($layout)*);
            }

            #[allow(unused_variables, unused_mut, clippy::field_reassign_with_default)]
            fn decode_payload(d: &mut denc::Decoder, wire: &crate::Wire) -> Result<Self, denc::DecodeError> {
                let mut m = Self::default();
                crate::payload::message!(@decode m d wire; $($layout)*);
                Ok(m)
            }
        }
    };

    (@encode $m:ident $e:ident $w:ident;) => {};
    (@encode $m:ident $e:ident $w:ident; data $field:ident $(, $($rest:tt)*)?) => {
        $w.data = $m.$field.clone();
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };
    (@encode $m:ident $e:ident $w:ident; pad $n:literal $(, $($rest:tt)*)?) => {
        $e.raw(&[0; $n]);
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };
    (@encode $m:ident $e:ident $w:ident; old $v:literal $(, $($rest:tt)*)?) => {
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };
    (@encode $m:ident $e:ident $w:ident; since $v:literal pad $n:literal $(, $($rest:tt)*)?) => {
        $e.raw(&[0; $n]);
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };
    (@encode $m:ident $e:ident $w:ident; since $v:literal $($f:ident).+ $(or $($o:ident).+)? $(, $($rest:tt)*)?) => {
        $e.put(&$m.$($f).+);
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };
    (@encode $m:ident $e:ident $w:ident; $($f:ident).+ $(, $($rest:tt)*)?) => {
        $e.put(&$m.$($f).+);
        $(crate::payload::message!(@encode $m $e $w; $($rest)*);)?
    };

    (@decode $m:ident $d:ident $w:ident;) => {};
    (@decode $m:ident $d:ident $w:ident; data $field:ident $(, $($rest:tt)*)?) => {
        $m.$field = $w.data.clone();
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; pad $n:literal $(, $($rest:tt)*)?) => {
        $d.skip($n)?;
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; old $v:literal $(, $($rest:tt)*)?) => {
        crate::payload::refuse_older($w, $v, <Self as crate::payload::Payload>::NAME)?;
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; since $v:literal pad $n:literal $(, $($rest:tt)*)?) => {
        if $w.version >= $v {
            $d.skip($n)?;
        }
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; since $v:literal $($f:ident).+ or $($o:ident).+ $(, $($rest:tt)*)?) => {
        $m.$($f).+ = if $w.version >= $v { $d.get()? } else { $m.$($o).+.clone() };
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; since $v:literal $($f:ident).+ $(, $($rest:tt)*)?) => {
        if $w.version >= $v {
            $m.$($f).+ = $d.get()?;
        }
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
    (@decode $m:ident $d:ident $w:ident; $($f:ident).+ $(, $($rest:tt)*)?) => {
        $m.$($f).+ = $d.get()?;
        $(crate::payload::message!(@decode $m $d $w; $($rest)*);)?
    };
}
pub(crate) use message;

/// Refuses an encoding from before every release we talk to.
pub(crate) fn refuse_older(wire: &Wire, oldest: u16, what: &'static str) -> Result<(), DecodeError> {
    if wire.version < oldest {
        return Err(DecodeError::TooOld { what, version: wire.version.to_le_bytes()[0] });
    }
    Ok(())
}
