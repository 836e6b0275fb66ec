//! Unix seconds as a date. No clock: the seconds are given.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::integer_division,
    reason = "no product or sum of a u64 of seconds divided by 86,400 overflows; days, years and \
              months are whole quotients"
)]

/// `2026-11-21T06:35:00Z`: RFC 3339 in UTC, for any second up to the year 285 million.
pub fn utc(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Howard Hinnant's civil_from_days for days after 1970-01-01; years begin in March, so that
    // the leap day is a year's last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// `2026-11-21`: the day of a second, in UTC; the same range as [`utc`].
pub fn date(unix_seconds: u64) -> String {
    let mut utc = utc(unix_seconds);
    utc.truncate(utc.find('T').unwrap_or(utc.len()));
    utc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (1_790_000_000, "2026-09-21T14:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
        // The largest second that a receipt can hold.
        assert!(utc((1 << 53) - 1).starts_with("285428751-"));
    }
}
