//! How long things are good, in seconds, and why so long.

/// A day.
pub const DAY_S: i64 = 24 * 3_600;

/// An authority: ten years, the life of the servers that it is provisioned on. Its key lies offline; `pki rotate` replaces
/// it at any time.
pub const AUTHORITY_S: i64 = 3_650 * DAY_S;

/// Agents, brains and brokers: a round once a year, with a month to spare; at most what others accept of a server (398
/// days, CA/Browser Forum Ballot SC-31).
pub const PART_S: i64 = 397 * DAY_S;

/// Viewers: people come and go.
pub const VIEWER_S: i64 = 90 * DAY_S;

/// A list of revoked ones: our parts hold on to one that is overdue, but OpenSSL (mosquitto) lets nobody in then, so that
/// its keeper needs time to find the medium with the key.
pub const CRL_S: i64 = 180 * DAY_S;

/// Clocks of fresh machines are off: everything is good from so long before its issue on.
pub const BACKDATE_S: i64 = 3_600;

/// `pki list` warns from so long before the end on, and of a short life in its last quarter.
pub const WARN_S: i64 = 30 * DAY_S;

/// The server of enrolment at the longest: the key is at hand meanwhile.
pub const SERVE_S: i64 = DAY_S;

/// A token at the longest.
pub const TOKEN_S: i64 = 7 * DAY_S;

/// Whether what is good from `from_s` to `to_s` ends soon, at `now_s`.
pub fn ends_soon(from_s: i64, to_s: i64, now_s: i64) -> bool {
    to_s - now_s < WARN_S.min((to_s - from_s) / 4)
}

/// A second of the unix clock as people write it, in UTC: `2027-12-30`.
pub fn date(s: i64) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(s.max(0).unsigned_abs());
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_warned_of_in_time_and_not_always() {
        assert!(!ends_soon(0, PART_S, PART_S - WARN_S - 1) && ends_soon(0, PART_S, PART_S - WARN_S + 1));
        assert_eq!(date(1_830_124_800), "2027-12-30");
        assert!(!ends_soon(0, 4_000, 2_900) && ends_soon(0, 4_000, 3_100));
    }
}
