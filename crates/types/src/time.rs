//! Wall-clock time as Ceph writes it.

use std::fmt;
use std::time::Duration;

use denc::{Decode, DecodeError, Decoder, Encode, Encoder};

/// `utime_t` (and `ceph::real_time` on the wire): seconds and nanoseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UTime {
    pub sec: u32,
    pub nsec: u32,
}

impl UTime {
    pub const ZERO: Self = Self { sec: 0, nsec: 0 };

    pub fn from_duration(since_1970: Duration) -> Self {
        // Like Ceph, seconds are 32 bits and wrap in 2106.
        Self { sec: since_1970.as_secs() as u32, nsec: since_1970.subsec_nanos() }
    }

    pub fn to_duration(self) -> Duration {
        Duration::new(self.sec.into(), self.nsec)
    }

    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Civil date and time in UTC: year, month, day, hour, minute, second.
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32) {
        let days = i64::from(self.sec / 86_400);
        let rest = self.sec % 86_400;
        // Days to civil date, with years counted from 1 March (Howard Hinnant's algorithm).
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
        let year = yoe + era * 400 + i64::from(month <= 2);
        (year, month, day, rest / 3_600, rest / 60 % 60, rest % 60)
    }
}

impl UTime {
    /// The other form that Ceph prints: `2026-11-21T03:46:00.123456Z`.
    pub fn zulu(self) -> String {
        self.to_string().replace("+0000", "Z")
    }

    /// Reads what [`Self::zulu`] writes; also with a space in place of the `T`, and without a zone. It is UTC.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('Z').trim_end_matches("+0000");
        let (date, time) = text.split_once(['T', ' '])?;
        let (time, fraction) = time.split_once('.')?;
        let date: Vec<i64> = date.split('-').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let time: Vec<i64> = time.split(':').map(|n| n.parse().ok()).collect::<Option<_>>()?;
        let (&[y, mo, d], &[h, mi, s]) = (date.as_slice(), time.as_slice()) else { return None };
        let fits = (1970..=2105).contains(&y) && (1..=12).contains(&mo) && (1..=31).contains(&d);
        let fits = fits && (0..24).contains(&h) && (0..60).contains(&mi) && (0..=60).contains(&s);
        let digits = !fraction.is_empty() && fraction.len() <= 9 && fraction.bytes().all(|b| b.is_ascii_digit());
        if !fits || !digits {
            return None;
        }
        // The way back from `civil`.
        let y = y - i64::from(mo <= 2);
        let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
        let doy = (153 * ((mo + 9) % 12) + 2) / 5 + d - 1;
        let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
        let sec = u32::try_from(days * 86_400 + h * 3_600 + mi * 60 + s).ok()?;
        Some(Self { sec, nsec: format!("{fraction:0<9}").parse().ok()? })
    }

    /// How long since `earlier`; zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.to_duration().saturating_sub(earlier.to_duration())
    }
}

/// As Ceph prints stamps in its JSON: `2026-11-21T03:46:00.123456+0000`; small values (under ten
/// years) are durations and print as plain seconds.
impl fmt::Display for UTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usec = self.nsec / 1_000;
        if self.sec < 60 * 60 * 24 * 365 * 10 {
            return write!(f, "{}.{usec:06}", self.sec);
        }
        let (y, mo, d, h, mi, s) = self.civil();
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{usec:06}+0000")
    }
}

impl Encode for UTime {
    fn encode(&self, e: &mut Encoder) {
        e.u32(self.sec);
        e.u32(self.nsec);
    }
}

impl Decode for UTime {
    const MIN_SIZE: usize = 8;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        Ok(Self { sec: d.u32()?, nsec: d.u32()? })
    }
}

/// `ceph::timespan` and `signedspan` on the wire: a length of time, possibly negative, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan {
    pub ns: i64,
}

const NS_PER_S: i64 = 1_000_000_000;

impl Timespan {
    pub const ZERO: Self = Self { ns: 0 };

    pub fn from_nanos(ns: i64) -> Self {
        Self { ns }
    }

    pub fn nanos(self) -> i64 {
        self.ns
    }

    pub fn is_zero(self) -> bool {
        self.ns == 0
    }

    /// Nothing if it is negative.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(self.ns.max(0).unsigned_abs())
    }

    pub fn as_secs_f64(self) -> f64 {
        self.ns as f64 / NS_PER_S as f64
    }
}

impl From<Duration> for Timespan {
    fn from(d: Duration) -> Self {
        Self { ns: i64::try_from(d.as_nanos()).unwrap_or(i64::MAX) }
    }
}

/// As Ceph logs it: `15.997891s`.
impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.ns < 0 { "-" } else { "" };
        let ns = self.ns.unsigned_abs();
        write!(f, "{sign}{}.{:09}s", ns / NS_PER_S as u64, ns % NS_PER_S as u64)
    }
}

impl Encode for Timespan {
    fn encode(&self, e: &mut Encoder) {
        // 32 bits of seconds, as Ceph has it; both parts have the sign.
        e.i32((self.ns / NS_PER_S) as i32);
        e.i32((self.ns % NS_PER_S) as i32);
    }
}

impl Decode for Timespan {
    const MIN_SIZE: usize = 8;
    fn decode(d: &mut Decoder) -> Result<Self, DecodeError> {
        let (s, ns) = (d.i32()?, d.i32()?);
        Ok(Self { ns: i64::from(s) * NS_PER_S + i64::from(ns) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_prints_as_ceph_prints_it() {
        let t = UTime { sec: 1_795_232_760, nsec: 123_456_789 };
        assert_eq!(t.to_string(), "2026-11-21T03:46:00.123456+0000");
        assert_eq!(UTime { sec: 951_782_400, nsec: 0 }.to_string(), "2000-02-29T00:00:00.000000+0000");
        assert_eq!(UTime::ZERO.to_string(), "0.000000");
    }

    #[test]
    fn a_printed_stamp_is_read_and_nothing_else() {
        for sec in [86_400 * 365 * 10, 951_782_400, 951_868_799, 1_795_232_760, u32::MAX - 86_400 * 365] {
            let t = UTime { sec, nsec: 123_456_000 };
            assert_eq!(UTime::parse(&t.zulu()), Some(t));
            assert_eq!(UTime::parse(&t.to_string().replace('T', " ")), Some(t));
        }
        for text in ["", "x", "2026-11-21", "2026-11-21T03:46:00Z", "2026-13-21T03:46:00.0Z", "2026-11-21T03:46:00.-1Z"]
        {
            assert_eq!(UTime::parse(text), None, "{text}");
        }
    }
}
