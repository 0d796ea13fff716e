//! A month of the books' calendar, which is UTC.
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Timestamp, wire};

/// A month, for example `2026-10`; from January 2000 to December 9998.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

/// The text is no month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a month such as 2026-10")]
pub struct MonthError(String);

impl Month {
    /// Its first instant.
    #[must_use]
    pub fn starts_at(self) -> Timestamp {
        let midnight = self.0.to_zoned(TimeZone::UTC);
        midnight.map_or(Timestamp::from_secs(0), |midnight| {
            Timestamp::from_micros(midnight.timestamp().as_microsecond())
        })
    }

    /// The first instant after it.
    #[must_use]
    pub fn ends_at(self) -> Timestamp {
        self.next().starts_at()
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        let (year, month) = (self.0.year(), self.0.month());
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self(Date::new(year, month, 1).unwrap_or(self.0))
    }

    /// The month that an instant is in.
    ///
    /// # Errors
    /// [`MonthError`] when it is before the year 2000 or after 9998.
    pub fn of(at: Timestamp) -> Result<Self, MonthError> {
        at.to_string().get(..7).unwrap_or_default().parse()
    }

    /// Its first day, for example `2026-10-01`.
    #[must_use]
    pub fn first_day(self) -> String {
        self.0.to_string()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let wrong = || MonthError(text.to_owned());
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (year.len(), month.len()) != (4, 2) || !digits(year) || !digits(month) {
            return Err(wrong());
        }
        let year = year.parse().map_err(|_| wrong())?;
        if !(2000..=9998).contains(&year) {
            return Err(wrong());
        }
        let month = month.parse().map_err(|_| wrong())?;
        Date::new(year, month, 1).map(Self).map_err(|_| wrong())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::Month;
    use crate::Timestamp;

    #[test]
    fn a_month_survives_its_text_and_ends_where_the_next_begins() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(
            (month.to_string(), month.next().to_string()),
            ("2026-12".into(), "2027-01".into())
        );
        assert_eq!(month.starts_at().to_string(), "2026-12-01T00:00:00.000000Z");
        assert_eq!(month.ends_at(), month.next().starts_at());
        assert_eq!(Month::of(month.ends_at().plus_secs(-1)), Ok(month));
        assert_eq!(Month::of(month.ends_at()), Ok(month.next()));
        assert_eq!(month.first_day(), "2026-12-01");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in [
            "2026-13",
            "2026-00",
            "2026-1",
            "26-01",
            "1999-12",
            "9999-01",
            "2026",
            "2026-10-01",
            "+026-10",
        ] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        assert!(Month::of(Timestamp::from_secs(0)).is_err());
        assert!(Month::of(Timestamp::from_micros(i64::MAX)).is_err());
    }
}
