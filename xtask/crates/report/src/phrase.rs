//! Times and command lines as people write them.

/// "340 ms", "12.3 s", "3 min 05 s", "1 h 02 min"
pub(super) fn duration(millis: u64) -> String {
    let seconds = (millis + 500) / 1000;
    match millis {
        0..1000 => format!("{millis} ms"),
        // What would round up to a minute is one.
        1000..59_950 => format!("{:.1} s", millis as f64 / 1000.0),
        59_950..3_599_500 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// The same for a time that is a round number: "10 s" where others are "10.3 s".
pub(super) fn round(millis: u64) -> String {
    match duration(millis) {
        zero if millis == 0 => zero.replace(" ms", ""),
        text => text.replace(".0 s", " s").replace(" 00 s", "").replace(" 00 min", ""),
    }
}

/// A moment of the run, counted from its beginning.
pub(super) fn at(millis: u64) -> String {
    format!("+{}", duration(millis))
}

/// When a run began, from its name: `20261121T081344Z-4711` is "2026-11-21 08:13:44 UTC".
pub(super) fn when(run: &str) -> Option<String> {
    let (time, _) = run.split_once('-')?;
    let digits = |range: std::ops::Range<usize>| {
        time.get(range).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let (date, clock) = (digits(0..8)?, digits(9..15)?);
    if time.len() != 16 || time.get(8..9) != Some("T") || !time.ends_with('Z') {
        return None;
    }
    let [year, month, day] = [&date[..4], &date[4..6], &date[6..]];
    let [hour, minute, second] = [&clock[..2], &clock[2..4], &clock[4..]];
    Some(format!("{year}-{month}-{day} {hour}:{minute}:{second} UTC"))
}

/// A command line as one would type it.
pub(super) fn command_line(argv: &[String]) -> String {
    shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "))
}

/// Where something is on a line from 0 to `whole`, for a style sheet.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.3}%", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_exact_as_they_matter() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1000, "1.0 s"),
            (59_949, "59.9 s"),
            (59_950, "1 min 00 s"),
            (185_000, "3 min 05 s"),
            (3_599_499, "59 min 59 s"),
            (3_599_500, "1 h 00 min"),
            (3_720_000, "1 h 02 min"),
        ];
        for (millis, wanted) in cases {
            assert_eq!(duration(millis), wanted);
        }
        assert!(!duration(u64::MAX / 2).is_empty());
    }

    #[test]
    fn round_times_are_short() {
        let cases =
            [(0, "0"), (50, "50 ms"), (10_000, "10 s"), (60_000, "1 min"), (90_000, "1 min 30 s"), (7_200_000, "2 h")];
        for (millis, wanted) in cases {
            assert_eq!(round(millis), wanted);
        }
    }

    #[test]
    fn a_run_is_named_after_its_beginning() {
        assert_eq!(when("20261121T081344Z-4711").as_deref(), Some("2026-11-21 08:13:44 UTC"));
        for name in ["", "-", "20261121T081344Z", "2026112xT081344Z-1", "20261121 081344Z-1", "ääääääää-1"] {
            assert_eq!(when(name), None, "{name}");
        }
    }
}
