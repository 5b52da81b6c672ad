//! `framed!`: the encoding of a struct in a versioned frame, as a table.

/// Writes `Encode` and `Decode` for a struct with `Default`. The table gives Ceph's name, the version
/// that we write, the oldest reader's version, and the fields in wire order. A field after `N =>` is
/// there since version `N`; in older bytes it keeps its default. `min N` refuses what is older than
/// release 14 could write.
///
/// ```ignore
/// framed! { PgHistory, "pg_history_t", 10, compat 4, min 9;
///     epoch_created, last_epoch_started;
///     10 => prior_readable_until_ub;
/// }
/// ```
macro_rules! framed {
    ($ty:ty, $name:literal, $version:literal, compat $compat:literal, min $min:literal;
     $($field:ident),* ; $($since:literal => $($late:ident),+ ;)*) => {
        impl denc::Encode for $ty {
            fn encode(&self, e: &mut denc::Encoder) {
                e.versioned($version, $compat, |_e| {
                    $(denc::Encode::encode(&self.$field, _e);)*
                    $($(denc::Encode::encode(&self.$late, _e);)+)*
                });
            }
        }
        impl denc::Decode for $ty {
            const MIN_SIZE: usize = 6;
            fn decode(d: &mut denc::Decoder) -> Result<Self, denc::DecodeError> {
                d.versioned($name, $version, |_d, v| {
                    if v < $min {
                        return Err(denc::DecodeError::TooOld { what: $name, version: v });
                    }
                    #[allow(unused_mut)]
                    let mut out = Self::default();
                    $(out.$field = _d.get()?;)*
                    $(if v >= $since {
                        $(out.$late = _d.get()?;)+
                    })*
                    Ok(out)
                })
            }
        }
    };
}

/// Writes `Encode` and `Decode` for a struct whose fields follow each other with no frame around them.
macro_rules! unframed {
    ($ty:ty; $($field:ident: $ft:ty),* $(,)?) => {
        impl denc::Encode for $ty {
            fn encode(&self, e: &mut denc::Encoder) {
                $(denc::Encode::encode(&self.$field, e);)*
            }
        }
        impl denc::Decode for $ty {
            const MIN_SIZE: usize = 0 $(+ <$ft as denc::Decode>::MIN_SIZE)*;
            fn decode(d: &mut denc::Decoder) -> Result<Self, denc::DecodeError> {
                Ok(Self { $($field: d.get()?),* })
            }
        }
    };
}

pub(crate) use {framed, unframed};
