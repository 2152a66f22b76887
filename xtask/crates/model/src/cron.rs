//! When a job runs by the clock: the five fields of cron, in UTC.

use super::error::quoted;
use std::fmt;
use std::str::FromStr;

/// Minutes, hours, days of the month, months, days of the week. Written as Kubernetes takes it, with numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    fields: [Field; 5],
}

/// The numbers of one field, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// It says nothing: `*`.
    any: bool,
}

/// What a field may hold.
struct Kind {
    what: &'static str,
    first: u32,
    last: u32,
    /// Words for the numbers from the first one on.
    words: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const KINDS: [Kind; 5] = [
    Kind { what: "minute", first: 0, last: 59, words: &[] },
    Kind { what: "hour", first: 0, last: 23, words: &[] },
    Kind { what: "day of the month", first: 1, last: 31, words: &[] },
    Kind { what: "month", first: 1, last: 12, words: &MONTHS },
    // 7 is Sunday, too.
    Kind { what: "day of the week", first: 0, last: 7, words: &DAYS },
];

/// The longest that each month can be.
const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

impl Cron {
    /// Whether it is due in this minute, counted from the beginning of 1970.
    pub fn is_due(&self, minute: u64) -> bool {
        let (day, of_day) = (minute / 1440, minute % 1440);
        let [minutes, hours, days, months, week] = &self.fields;
        let (month, in_month) = civil(day);
        // The first of January 1970 was a Thursday.
        let weekday = u32::try_from((day + 4) % 7).unwrap_or_default();
        let (of_month, of_week) = (days.has(in_month), week.has(weekday));
        // Where both say something, one of them is enough.
        let is_day = if days.any || week.any { of_month && of_week } else { of_month || of_week };
        let has = |field: &Field, number: u64| u32::try_from(number).is_ok_and(|number| field.has(number));
        has(minutes, of_day % 60) && has(hours, of_day / 60) && months.has(month) && is_day
    }

    /// Whether there is such a day in any year.
    fn comes(&self) -> bool {
        let [_, _, days, months, week] = &self.fields;
        let fits = |month: u32| (1..=LENGTHS[month as usize - 1]).any(|day| days.has(day));
        !week.any || (1..=12).filter(|month| months.has(*month)).any(fits)
    }
}

impl Field {
    fn has(self, number: u32) -> bool {
        self.bits >> number & 1 == 1
    }
}

/// The month and the day in it of a day, counted from the beginning of 1970 (Howard Hinnant's `civil_from_days`).
fn civil(day: u64) -> (u32, u32) {
    let day = day + 719_468;
    let of_era = day % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let in_month = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (u32::try_from(month).unwrap_or_default(), u32::try_from(in_month).unwrap_or_default())
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Ok(words) = <[&str; 5]>::try_from(words) else {
            return Err(format!(
                "{} is no schedule: five fields (minute, hour, day of the month, month, day of the week, in UTC), such as `30 2 * * mon-fri`",
                quoted(text)
            ));
        };
        let mut fields = [Field { bits: 0, any: false }; 5];
        for ((field, kind), word) in fields.iter_mut().zip(&KINDS).zip(words) {
            *field = kind.parse(word)?;
        }
        let cron = Self { fields };
        if cron.comes() { Ok(cron) } else { Err(format!("{} never comes: no such month is that long", quoted(text))) }
    }
}

impl Kind {
    fn parse(&self, text: &str) -> Result<Field, String> {
        let mut field = Field { bits: 0, any: false };
        for part in text.split(',') {
            let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
            let step = step.map_or(Ok(1), |step| step.parse().ok().filter(|step| *step > 0).ok_or(step));
            let step: u32 = step.map_err(|step| format!("{} is no step in {}", quoted(step), quoted(part)))?;
            let (first, last) = match (range, range.split_once('-')) {
                ("*", _) => (self.first, self.last_of_all()),
                (_, Some((first, last))) => (self.number(first)?, self.number(last)?),
                // `5/15` goes on to the end.
                (one, None) if part.contains('/') => (self.number(one)?, self.last_of_all()),
                (one, None) => (self.number(one)?, self.number(one)?),
            };
            if first > last {
                return Err(format!("{} ends before it begins", quoted(range)));
            }
            field.any |= range == "*" && step == 1;
            (first..=last).step_by(step as usize).for_each(|number| field.bits |= 1 << self.normal(number));
        }
        Ok(field)
    }

    /// That of the week has two numbers for one day.
    fn last_of_all(&self) -> u32 {
        if self.last == 7 { 6 } else { self.last }
    }

    fn normal(&self, number: u32) -> u32 {
        if self.last == 7 { number % 7 } else { number }
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let number = word.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.first);
        let digits = || text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let number = number.or_else(digits).filter(|number| (self.first..=self.last).contains(number));
        let words = self.words.first().zip(self.words.last());
        let words = words.map(|(first, last)| format!(", or `{first}` to `{last}`")).unwrap_or_default();
        number.ok_or_else(|| format!("{} is no {}: {} to {}{words}", quoted(text), self.what, self.first, self.last))
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |field: &Field| match field.any {
            true => "*".to_owned(),
            false => (0..60)
                .filter(|number| field.has(*number))
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
                .join(","),
        };
        f.write_str(&self.fields.each_ref().map(field).join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The minute of a UTC time, counted from 1970.
    fn at(text: &str) -> u64 {
        let time = humantime::parse_rfc3339(&format!("{text}:00Z")).unwrap();
        time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() / 60
    }

    fn cron(text: &str) -> Cron {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_due_when_all_fields_say_so() {
        for (text, due, not_due) in [
            ("0 0 * * *", "2026-11-30T00:00", "2026-11-30T00:01"),
            ("*/15 * * * *", "2026-11-30T07:45", "2026-11-30T07:44"),
            ("5/20 * * * *", "2026-11-30T07:45", "2026-11-30T07:20"),
            ("10-20/5,59 3 * * *", "2026-11-30T03:15", "2026-11-30T03:25"),
            ("0 2 * * mon-fri", "2026-11-30T02:00", "2026-11-29T02:00"),
            ("0 2 * * 7", "2026-11-29T02:00", "2026-11-30T02:00"),
            ("0 2 * * 5-7", "2026-11-29T02:00", "2026-11-30T02:00"),
            ("0 2 29 feb *", "2028-02-29T02:00", "2028-02-28T02:00"),
            ("0 2 31 DEC *", "2026-12-31T02:00", "2026-01-31T02:00"),
        ] {
            assert!(cron(text).is_due(at(due)) && !cron(text).is_due(at(not_due)), "{text}");
        }
    }

    #[test]
    fn of_a_day_of_the_month_and_one_of_the_week_one_is_enough() {
        let both = cron("0 0 13 * fri");
        assert!(both.is_due(at("2026-11-13T00:00")) && both.is_due(at("2026-11-20T00:00")));
        assert!(both.is_due(at("2026-12-13T00:00")) && !both.is_due(at("2026-12-14T00:00")));
    }

    #[test]
    fn it_is_written_with_numbers_alone() {
        for (text, written) in [
            ("0 0 * * *", "0 0 * * *"),
            ("*/30 1-3 * jan,Mar *", "0,30 1,2,3 * 1,3 *"),
            ("0 0 * * 6-7", "0 0 * * 0,6"),
            ("0 0 * * */2", "0 0 * * 0,2,4,6"),
        ] {
            assert_eq!(cron(text).to_string(), written);
            assert_eq!(cron(written), cron(text));
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_what_would_be_one() {
        let refused = |text: &str| text.parse::<Cron>().unwrap_err();
        assert!(refused("@daily").starts_with("`@daily` is no schedule: five fields"), "{}", refused("@daily"));
        assert_eq!(refused("60 * * * *"), "`60` is no minute: 0 to 59");
        assert_eq!(refused("* * * foo *"), "`foo` is no month: 1 to 12, or `jan` to `dec`");
        assert_eq!(refused("* * 0 * *"), "`0` is no day of the month: 1 to 31");
        assert_eq!(refused("* 5-3 * * *"), "`5-3` ends before it begins");
        assert_eq!(refused("*/0 * * * *"), "`0` is no step in `*/0`");
        assert_eq!(refused("+5 * * * *"), "`+5` is no minute: 0 to 59");
        assert_eq!(refused("0 0 30 2 *"), "`0 0 30 2 *` never comes: no such month is that long");
        assert!("0 0 30 2 mon".parse::<Cron>().is_ok());
    }
}
