//! What a caller has seen of a stream, as a condition of its command: it is carried out on that, or not at all.

/// The code of a refusal because the stream has moved on.
pub const PRECONDITION_FAILED: &str = "precondition_failed";

/// How many events a stream may have for a command to be carried out on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expected {
    /// However many there are.
    #[default]
    Anything,
    /// One of these numbers; with none of them, nothing will do.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Why a command is not carried out on a stream of so many events. What is not there at all is for its aggregate to refuse.
    pub(crate) fn refusal(&self, sequence: i64) -> Option<(&'static str, String)> {
        match self {
            Self::OneOf(seen) if sequence > 0 && !seen.contains(&sequence) => {
                let message =
                    format!("it is at version {sequence} now, which is not what was seen");
                Some((PRECONDITION_FAILED, message))
            }
            Self::OneOf(_) | Self::Anything => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Expected;

    #[test]
    fn only_what_was_seen_will_do_and_what_is_not_there_is_not_judged() {
        let seen = Expected::OneOf(vec![3, 5]);
        let refused: Vec<_> = (0..7).filter(|at| seen.refusal(*at).is_some()).collect();
        assert_eq!(refused, [1, 2, 4, 6]);
        assert!(Expected::OneOf(vec![]).refusal(1).is_some());
        assert!(Expected::Anything.refusal(1).is_none());
    }
}
