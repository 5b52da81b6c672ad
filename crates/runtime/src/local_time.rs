//! How far the machine's local time is from UTC: hours that people set are meant in local time.

#![allow(unsafe_code)]

/// Seconds by which local time is ahead of UTC at a moment (seconds since 1970); 0 if that is not known.
pub fn utc_offset(at: i64) -> i32 {
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to locals that live for the call. `tm` is integers and a pointer to the zone's name, for
    // which zeros are valid, so it may be read whether the call has filled it or not; the name, which belongs to libc, is
    // not touched. The call reads the environment, which no thread of ours changes.
    let parts = unsafe {
        libc::localtime_r(&raw const at, parts.as_mut_ptr());
        parts.assume_init()
    };
    i32::try_from(parts.tm_gmtoff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_the_one_that_date_tells() {
        let at = 1_700_000_000;
        let Ok(said) = std::process::Command::new("date").args(["+%z", "-d", &format!("@{at}")]).output() else {
            return;
        };
        let said: i32 = String::from_utf8_lossy(&said.stdout).trim().parse().expect("as +0130");
        assert_eq!(utc_offset(at), (said / 100 * 60 + said % 100) * 60);
    }
}
